"""A llama of a billion weights, as large as Llama 3.2 1B, with random weights: speed does not depend on values."""
import os

from . import peer
from .figures import CACHE, PYTHON, glia_worker, limits, pairs, second_start, wanted
from .random_llama import FILES, WEIGHTS_OF_MATMULS, write

TYPES = ("q4_0", "q4_k")
# name, line, tokens of work, sequences, whether it is a prompt
WORK = [("prefill256", "prefill 256", 256, 1, True),
        ("decode64", "decode 64 1", 64, 1, False),
        ("batch8", "decode 16 8", 16 * 8, 8, False)]
ACTIVATIONS = ("", ".int8")  # 16 bits, and the peer's own 8
NAMES = [f"shape1b.{t}.{name}" for t in TYPES for name in (*(w[0] + a for w in WORK for a in ACTIVATIONS), "second_start")]


def share(name, file, tokens):
    """What part of the machine the figure uses: of its int8 peak, or of its read bandwidth."""

    def prefill(seconds):
        peak = limits()["int8_gop_s"]
        done = 2 * WEIGHTS_OF_MATMULS * tokens / seconds * 1e-9
        return f"{100 * done / peak:.0f} % of the int8 peak" if peak else ""

    def decode(seconds):
        steps = tokens if name == "decode64" else tokens / 8
        read = os.path.getsize(file) * steps / seconds * 1e-9
        return f"{100 * read / limits()['bandwidth_gb_s']:.0f} % of the read bandwidth"

    return prefill if name.startswith("prefill") else decode


def run():
    for kind in TYPES:
        file = CACHE / FILES[kind]
        names = [f"shape1b.{kind}.{w[0]}{a}" for w in WORK for a in ACTIVATIONS]
        if not any(map(wanted, [*names, f"shape1b.{kind}.second_start"])):
            continue
        write(file, kind)
        second_start(f"shape1b.{kind}.second_start", file)
        ours = {}
        for name, line, tokens, sequences, prompt in WORK:
            asked = [a for a in ACTIVATIONS if wanted(f"shape1b.{kind}.{name}{a}")]
            if not asked:
                continue
            other = peer.best(PYTHON, file, line, sequences, prompt)
            for a in asked:
                ours[a] = ours.get(a) or glia_worker(file, *filter(None, [a[1:]]))
                pairs(f"shape1b.{kind}.{name}{a}", ours[a], other, line, tokens, share(name, file, tokens))
            other.close()
        for worker in ours.values():
            worker.close()
