"""Prompts of many lengths, made from a few sentences: the same on every machine."""
import json
import random

SUBJECTS = ["The harbour master", "A night train", "Our baker", "The old lighthouse", "A surveyor", "The choir", "Her notebook", "The ferry",
            "A small museum", "The orchard", "His workshop", "The mountain hut"]
VERBS = ["opens before sunrise", "keeps a careful record", "waits for better weather", "was repaired last spring", "serves the whole valley",
         "hides a second story", "moves slowly in winter", "needs a new roof", "belongs to three families", "smells of salt and tar"]
ENDS = ["and nobody remembers why.", "which surprised the council.", "because the road is closed.", "although money is short.",
        "so the children walk.", "and the letters prove it.", "as the almanac predicted.", "while the tide is out."]
ASKS = ["Summarize this:", "What is this about?", "Write a title for this text:", "Continue the story:", "List the places named here:"]


def sentences(rng, count):
    return " ".join(f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)}, {rng.choice(ENDS)}" for _ in range(count))


def mixed(path, count):
    """Writes `count` prompts, most of them short, a few long, with answers of 16 to 96 tokens."""
    rng = random.Random(7)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as f:
        for _ in range(count):
            length = rng.choice([1, 1, 2, 2, 3, 4, 6, 8, 16, 30])
            f.write(json.dumps({"content": f"{rng.choice(ASKS)} {sentences(rng, length)}", "max_tokens": rng.randint(16, 96)}) + "\n")
    return path
