"""Runs every comparison, us and the peer in turn, and prints one line each:
NAME ratio=R ours=X peer=Y unit=U  spread=Q1..Q3 pairs=N  (R above 1: we are better)
R is the median of the pairs' ratios. Figures without a peer print ours and the bar. A CSV goes to bench/results/.
usage: bench/run [NAME…]"""
import csv
import datetime
import http.client
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS = Path(os.environ.get("GLIA_MODELS") or Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "glia/models")
SMOLLM2 = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
GLIA = ROOT / "build/apps/glia/glia"
QUOTA = ROOT / "build/bench/quota_bench"
WORKER = ROOT / "build/bench/glia_worker"
THREADS = 2
PAIRS = 9
rows = []


class Worker:
    """A process that answers each line with the seconds it took."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})})
        self.banner = self.process.stdout.readline().strip()
        if not self.banner.startswith("ready"):
            sys.exit(f"{command[0]} did not start: {self.banner}")

    def seconds(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the worker ended during: {line}")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def report(name, ours, peer, unit, ratios=None, note=""):
    """`ours` and `peer` in `unit`; `peer` and `ratios` are None where there is a bar instead of a peer."""
    if ratios:
        q = statistics.quantiles(ratios, n=4)
        line = (f"{name} ratio={statistics.median(ratios):.2f} ours={ours:.4g} peer={peer:.4g} unit={unit}"
                f"  spread={q[0]:.2f}..{q[2]:.2f} pairs={len(ratios)}")
    else:
        line = f"{name} ours={ours:.4g} unit={unit}"
    print(line + (f"  {note}" if note else ""), flush=True)
    rows.append([name, f"{statistics.median(ratios):.3f}" if ratios else "", f"{ours:.5g}", f"{peer:.5g}" if peer else "", unit, note])


def pairs(name, ours, peer, line, work):
    """Interleaves `line` on both workers; `work` is what one run does, in tokens."""
    ours.seconds(line), peer.seconds(line)
    a, b, ratios = [], [], []
    for _ in range(PAIRS):
        x, y = ours.seconds(line), peer.seconds(line)
        a.append(work / x), b.append(work / y), ratios.append(y / x)
    report(name, statistics.median(a), statistics.median(b), "tok/s", ratios)


def best_peer(python, line, sequences):
    """llama.cpp with flash attention off and on: the faster one on `line` stays."""
    candidates = [Worker([python, ROOT / "bench/peers/llama_worker.py", SMOLLM2, THREADS, flash, sequences]) for flash in (0, 1)]
    times = []
    for c in candidates:
        c.seconds(line)
        times.append(min(c.seconds(line) for _ in range(2)))
    keep = times.index(min(times))
    candidates[1 - keep].close()
    print(f"# peer: {candidates[keep].banner}", flush=True)
    return candidates[keep]


def chat(suffix, python, env):
    ours = Worker([WORKER, SMOLLM2, THREADS], env)
    print(f"# ours: {ours.banner}", flush=True)
    for name, line, work in (("chat.prefill512", "prefill 512", 512), ("chat.decode128", "decode 128 1", 128)):
        if not wanted(name + suffix):
            continue
        peer = best_peer(python, line, 1)
        pairs(name + suffix, ours, peer, line, work)
        peer.close()
    ours.close()


def engine_first_token_ms(connection):
    """Sum over all calls so far of the engine's own time from submit to first sampled token."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = re.search(r"^glia_engine_first_token_seconds_sum\S* (\S+)$", text, re.M)
    return 1000 * float(found.group(1)) if found else 0.0


def serve():
    """What HTTP, validation, template, tokenizer, ledger and SSE add before the first byte: the client's time from request
    to first event, minus the engine's own time from submit to first sampled token."""
    data = tempfile.mkdtemp(prefix="glia-bench-")
    process = subprocess.Popen([str(GLIA), "serve", "--port", "0", "--data", data, "--threads", str(THREADS)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    port = int(re.search(r":(\d+)$", process.stdout.readline().strip()).group(1))
    body = json.dumps({"messages": [{"role": "user", "content": "Say hello to a person who just arrived."}], "stream": True,
                       "max_tokens": 4, "temperature": 0})
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    differences = []
    for i in range(60):
        before = engine_first_token_ms(connection)
        start = time.perf_counter()
        connection.request("POST", "/client/v4/accounts/local/ai/run/@cf/meta/llama-3.1-8b-instruct", body,
                           {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.readline()
        client = (time.perf_counter() - start) * 1e3
        answer.read()
        if i >= 10:
            differences.append(client - (engine_first_token_ms(connection) - before))
    process.terminate()
    process.wait(20)
    shutil.rmtree(data)
    q = statistics.quantiles(differences, n=10)
    report("serve.first_token_overhead", statistics.median(differences), None, "ms", note=f"bar 2 ms; p10 {q[0]:.2f}, p90 {q[8]:.2f}, {len(differences)} calls")


def cold_start():
    times = []
    data = tempfile.mkdtemp(prefix="glia-bench-")
    command = [str(GLIA), "run", "@cf/meta/llama-3.1-8b-instruct", "Hello", "--max-tokens", "8", "--data", data]
    for _ in range(7):
        start = time.perf_counter()
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        p.stdout.read(1)
        times.append(time.perf_counter() - start)
        p.stdout.read()
        p.wait()
    report("chat.cold_start", statistics.median(times) * 1e3, None, "ms", note="bar 1000 ms; process start to first character")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        _, _, usage = os.wait4(p.pid, 0)
        p.returncode = 0
    shutil.rmtree(data)
    bar = SMOLLM2.stat().st_size * 1.6 / 2**20 + 200
    report("chat.peak_memory", usage.ru_maxrss / 1024, None, "MiB", note=f"bar {bar:.0f} MiB: weights x 1.6 + 200 MB")


def quota():
    """The ledger's own cost: the same request billed and unbilled in turn, and billed requests a second of 64 clients."""
    figure = lambda *arguments: float(subprocess.run([str(QUOTA), *arguments], check=True, capture_output=True, text=True).stdout)
    overheads = [figure("overhead", "500") for _ in range(7)]
    rates = [figure("rate", "2") for _ in range(7)]
    for name, values, unit, bar in (("quota.overhead", overheads, "ms", "bar 1 ms a request, median of 500 pairs"),
                                    ("quota.billed_requests", rates, "requests/s", "bar 2,000, each durable before its answer ends")):
        q = statistics.quantiles(values, n=4)
        report(name, statistics.median(values), None, unit, note=f"{bar}; quartiles {q[0]:.4g}..{q[2]:.4g} of {len(values)} runs")


def wanted(name):
    names = sys.argv[1:]
    return not names or any(name.startswith(n) for n in names)


def main():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    print(f"# {cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {datetime.date.today()}, {PAIRS} pairs, {THREADS} threads", flush=True)
    if any(map(wanted, ("chat.prefill512", "chat.decode128"))):
        chat("", ROOT / ".venv-bench/bin/python", None)
    if any(map(wanted, ("chat.prefill512.avx2", "chat.decode128.avx2"))):
        chat(".avx2", ROOT / ".venv-bench-avx2/bin/python", {"GLIA_CPU": "avx2"})
    if wanted("serve.first_token_overhead"):
        serve()
    if wanted("chat.cold_start") or wanted("chat.peak_memory"):
        cold_start()
    if wanted("quota.overhead") or wanted("quota.billed_requests"):
        quota()
    out = ROOT / "bench/results" / (re.sub(r"[^A-Za-z0-9]+", "-", cpu).strip("-").lower() + f"-{os.cpu_count()}.csv")
    out.parent.mkdir(exist_ok=True)
    kept = []
    if out.exists():  # what this run did not measure stays
        with out.open(newline="") as f:
            measured = {row[0] for row in rows}
            kept = [row for row in list(csv.reader(f))[1:] if row and row[0] not in measured]
    with out.open("w", newline="") as f:
        csv.writer(f).writerows([["name", "ratio", "ours", "peer", "unit", "note"], *kept, *rows])
    print(f"# wrote {out.relative_to(ROOT)}")


main()
