"""A llama of a billion weights, as large as Llama 3.2 1B, with random weights: speed does not depend on values."""
import os

from . import peer
from .figures import CACHE, PYTHON, glia_worker, limits, pairs, wanted
from .random_llama import FILES, WEIGHTS_OF_MATMULS, write

TYPES = ("q4_0", "q4_k")
# name, line, tokens of work, sequences, whether it is a prompt
WORK = [("prefill256", "prefill 256", 256, 1, True),
        ("decode64", "decode 64 1", 64, 1, False),
        ("batch8", "decode 16 8", 16 * 8, 8, False)]
NAMES = [f"shape1b.{t}.{name}" for t in TYPES for name, *_ in WORK]


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
        work = [w for w in WORK if wanted(f"shape1b.{kind}.{w[0]}")]
        if not work:
            continue
        file = CACHE / FILES[kind]
        write(file, kind)
        ours = glia_worker(file)
        for name, line, tokens, sequences, prompt in work:
            other = peer.best(PYTHON, file, line, sequences, prompt)
            pairs(f"shape1b.{kind}.{name}", ours, other, line, tokens, share(name, file, tokens))
            other.close()
        ours.close()
