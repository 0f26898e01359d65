"""SmolLM2 in the engine, against llama.cpp, and what the engine saves by what it knows already."""
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from . import peer
from .figures import (GLIA, MODEL, PAIRS, PYTHON, PYTHON_AVX2, ROOT, SMOLLM2, check, glia_worker, pairs, report, second_start,
                      wanted)

# name, line, tokens of work, sequences, whether it is a prompt
WORK = [("chat.prefill512", "prefill 512", 512, 1, True),
        ("chat.decode128", "decode 128 1", 128, 1, False),
        ("chat.batch8", "decode 64 8", 64 * 8, 8, False),
        ("chat.batch32", "decode 32 32", 32 * 32, 32, False)]
NAMES = [w[0] + suffix for suffix in ("", ".avx2") for w in WORK]
NAMES += ["chat.lookup", "chat.prefix1500", "chat.cold_start", "chat.peak_memory", "chat.second_start"]


def against_the_peer(suffix, python, env):
    work = [w for w in WORK if wanted(w[0] + suffix)]
    if not work:
        return
    ours = glia_worker(env=env)
    for name, line, tokens, sequences, prompt in work:
        other = peer.best(python, SMOLLM2, line, sequences, prompt)
        pairs(name + suffix, ours, other, line, tokens)
        other.close()
    ours.close()


def lookup():
    """A summary that quotes: drafts from the prompt against one token a step. The text must be the same."""
    if not wanted("chat.lookup"):
        return
    line = f"answer {ROOT / 'bench/data/quotes.txt'} 192"
    on, off = glia_worker(SMOLLM2, "speculation"), glia_worker(SMOLLM2)
    on.words(line), off.words(line)
    ratios, rates = [], []
    for _ in range(PAIRS):
        a, b = on.words(line), off.words(line)
        check("chat.lookup", a[1:] == b[1:], "speculation changed the text")
        ratios.append(float(b[0]) / float(a[0]))
        rates.append(((int(a[1]) - 1) / float(a[0]), (int(b[1]) - 1) / float(b[0])))
    ours, plain = (statistics.median(r) for r in zip(*rates))
    report("chat.lookup", ours, plain, "tok/s", ratios, f"bar 1.8; peer: the same engine without it; {a[1]} tokens")
    on.close(), off.close()


def prefix():
    """A second prompt that shares 1,500 tokens with an earlier one."""
    if not wanted("chat.prefix1500"):
        return
    ours = glia_worker(SMOLLM2, "prefix-cache")
    ours.words("prefix 1500")
    shares, firsts = [], []
    for _ in range(PAIRS):
        first, second = map(float, ours.words("prefix 1500"))
        shares.append(100 * second / first)
        firsts.append(first * 1e3)
    report("chat.prefix1500", statistics.median(shares), unit="% of the first's time", values=shares,
           note=f"bar 5 %; the first token of the first prompt after {statistics.median(firsts):.0f} ms")
    ours.close()


def cold_start():
    if not (wanted("chat.cold_start") or wanted("chat.peak_memory")):
        return
    times = []
    data = tempfile.mkdtemp(prefix="glia-bench-")
    command = [str(GLIA), "run", MODEL, "Hello", "--max-tokens", "8", "--data", data, "--no-packed-cache"]
    for _ in range(7):
        start = time.perf_counter()
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        p.stdout.read(1)
        times.append((time.perf_counter() - start) * 1e3)
        p.stdout.read()
        p.wait()
    report("chat.cold_start", statistics.median(times), unit="ms", values=times, note="bar 1000 ms; process start to first character")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        _, _, usage = os.wait4(p.pid, 0)
        p.returncode = 0
    shutil.rmtree(data)
    bar = SMOLLM2.stat().st_size * 1.6 / 2**20 + 200
    report("chat.peak_memory", usage.ru_maxrss / 1024, unit="MiB", note=f"bar {bar:.0f} MiB: weights x 1.6 + 200 MB")


def run():
    against_the_peer("", PYTHON, None)
    against_the_peer(".avx2", PYTHON_AVX2, {"GLIA_CPU": "avx2"})
    lookup()
    prefix()
    cold_start()
    second_start("chat.second_start", SMOLLM2, f"answer {ROOT / 'bench/data/quotes.txt'} 16")
