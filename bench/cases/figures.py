"""What every case shares: where things are, workers, the lines that are printed, the rows of the CSV."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
MODELS = Path(os.environ.get("GLIA_MODELS") or Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "glia/models")
SMOLLM2 = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "glia-bench"
GLIA = BUILD / "apps/glia/glia"
WORKER = BUILD / "bench/glia_worker"
LOAD = BUILD / "bench/glia_load"
PYTHON = ROOT / ".venv-bench/bin/python"
PYTHON_AVX2 = ROOT / ".venv-bench-avx2/bin/python"
MODEL = "@cf/meta/llama-3.1-8b-instruct"  # SmolLM2 stands in for it
THREADS = int(os.environ.get("THREADS", 2))
PAIRS = int(os.environ.get("PAIRS", 7))  # two are enough to see that everything runs

rows = []
wrong = []


class Worker:
    """A process that answers each line with a line whose first word is the seconds that it took."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})})
        self.banner = self.process.stdout.readline().strip()
        if not self.banner.startswith("ready"):
            raise RuntimeError(f"{command[0]} did not start: {self.banner}")

    def words(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended during: {line}")
        return answer.split()

    def seconds(self, line):
        return float(self.words(line)[0])

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def glia_worker(model=SMOLLM2, *words, env=None):
    worker = Worker([WORKER, model, THREADS, *words], env)
    print(f"# ours: {worker.banner[6:]}", flush=True)
    return worker


def quartiles(values):
    q = statistics.quantiles(values, n=4)
    return q[0], q[2]


def report(name, ours, peer=None, unit="", ratios=None, note="", values=None):
    """`ours` and `peer` in `unit`; `ratios` above 1 where we are better. Without a peer, `values` are ours, run by run."""
    line = name
    if ratios:
        low, high = quartiles(ratios)
        line += (f" ratio={statistics.median(ratios):.2f} ours={ours:.4g} peer={peer:.4g} unit={unit}"
                 f"  spread={low:.2f}..{high:.2f} pairs={len(ratios)}")
    else:
        line += f" ours={ours:.4g} unit={unit}"
        if values:
            low, high = quartiles(values)
            line += f"  spread={low:.4g}..{high:.4g} runs={len(values)}"
    print(line + (f"  {note}" if note else ""), flush=True)
    rows.append([name, f"{statistics.median(ratios):.3f}" if ratios else "", f"{ours:.5g}", f"{peer:.5g}" if peer else "", unit, note])


def check(name, true, what):
    """Figures are only shown; what must hold ends the run with 1."""
    if not true:
        print(f"WRONG {name}: {what}", flush=True)
        wrong.append(f"{name}: {what}")


def pairs(name, ours, peer, line, work, note=lambda median_seconds: ""):
    """Interleaves `line` on both workers; `work` is what one run does, in tokens."""
    ours.seconds(line), peer.seconds(line)
    a, b = [], []
    for _ in range(PAIRS):
        a.append(ours.seconds(line)), b.append(peer.seconds(line))
    report(name, work / statistics.median(a), work / statistics.median(b), "tok/s", [y / x for x, y in zip(a, b)],
           note(statistics.median(a)))


def second_start(name, model, question=None):
    """Process start to the model in memory, its packed weights mapped, against packing them. `question`: a line whose answer
    must be the same either way, its time aside."""
    if not wanted(name):
        return

    def start(*words):
        begin = time.perf_counter()
        worker = Worker([WORKER, model, THREADS, *words])
        ms = (time.perf_counter() - begin) * 1e3
        answer = worker.words(question)[1:] if question else []
        worker.close()
        return ms, answer

    with tempfile.TemporaryDirectory(prefix="glia-bench-", dir=CACHE.parent) as folder:
        packed = f"packed={folder}/packed"
        first = Worker([WORKER, model, THREADS, packed])  # leaves them, in its own time
        deadline = time.monotonic() + 60
        while not any(Path(folder).rglob("*.packed")) and time.monotonic() < deadline:
            time.sleep(0.05)
        first.close()
        ours, peers = [], []
        for _ in range(PAIRS):
            mapped, packing = start(packed), start()
            check(name, mapped[1] == packing[1], "mapped weights changed the answer")
            ours.append(mapped[0]), peers.append(packing[0])
    report(name, statistics.median(ours), statistics.median(peers), "ms", [y / x for x, y in zip(ours, peers)],
           "process start to the model in memory; peer: the same engine, packing")


_limits = {}


def limits():
    """Read bandwidth in GB/s and the int8 peak in Gop/s of this machine now."""
    if not _limits:
        words = subprocess.run([BUILD / "bench/limits", str(THREADS)], check=True, capture_output=True, text=True).stdout.split()
        _limits.update(zip(words[::2], map(float, words[1::2])))
        print(f"# limits: {json.dumps(_limits)}", flush=True)
    return _limits


names = []  # of everything, as run.py collects them


def wanted(name):
    """Whether the command line asks for it: all where nothing is named, else by the whole name or a prefix that is none."""
    return not sys.argv[1:] or any(name == given or (given not in names and name.startswith(given)) for given in sys.argv[1:])
