"""Texts for encoders: passages of examples/rag/corpus, by their tokens."""
import random
import re

from .figures import ROOT

CORPUS = ["jargon.md", "elements.md"]


def tokenizer(model):
    from tokenizers import Tokenizer
    t = Tokenizer.from_file(str(model / "tokenizer.json"))
    t.no_padding(), t.no_truncation()
    return t


def corpus():
    """Its passages, in an order that is always the same."""
    found = []
    for file in CORPUS:
        text = (ROOT / "examples/rag/corpus" / file).read_text()
        found += [re.sub(r"\s+", " ", p).strip() for p in re.split(r"^## .*$", text, flags=re.M)[1:]]
    random.Random(1).shuffle(found)
    return found


def passages(model, count, length):
    """Token ids of `count` passages, each cut to `length` tokens with its special ones."""
    t, out = tokenizer(model), []
    for text in corpus():
        ids = t.encode(text).ids
        if len(ids) >= length:
            out.append(ids[:length - 1] + ids[-1:])
        if len(out) == count:
            return out
    raise RuntimeError(f"fewer than {count} passages of {length} tokens")


def mixed(model, count):
    """`count` texts of 8 to 256 tokens with their special ones, every length as likely: the beginnings of passages put together."""
    t, rng, words = tokenizer(model), random.Random(2), " ".join(corpus()).split()
    out = []
    for _ in range(count):
        want, first = rng.randint(8, 256), rng.randrange(len(words) - 256)
        n = want  # words of at least a token each: too many
        while n > 1 and len(t.encode(" ".join(words[first:first + n])).ids) > want:
            n -= 1
        out.append(" ".join(words[first:first + n]))
    return out
