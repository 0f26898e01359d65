"""A real `glia serve`, from outside: what HTTP adds, many streams, a full house, an agent's conversations."""
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from . import prompts, random_llama
from .figures import CACHE, GLIA, LOAD, MODEL, PAIRS, SMOLLM2, THREADS, check, glia_worker, quartiles, report, wanted

NAMES = ["serve.first_token_overhead", "serve.streams64", "serve.memory_budget"]
TOO_BIG = "@cf/meta/llama-3.2-1b-instruct"  # by --model a file larger than the budget


class Server:
    """A `glia serve` on a free port with a ledger of its own."""

    def __init__(self, *flags):
        self.data = tempfile.mkdtemp(prefix="glia-bench-")
        self.process = subprocess.Popen([str(GLIA), "serve", "--port", "0", "--data", self.data, "--threads", str(THREADS), "--preload", MODEL,
                                         "--log-level", "error", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(re.search(r":(\d+)$", self.process.stdout.readline().strip()).group(1))
        while self.get("/health")[0] != 200:
            time.sleep(0.05)

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def get(self, path):
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def status(self):
        """The first model's."""
        return json.loads(self.get("/glia/v1/status")[1])["models"][0]

    def held(self):
        """Threads and descriptors that the process has."""
        return {name: len(os.listdir(f"/proc/{self.process.pid}/{folder}")) for name, folder in (("threads", "task"), ("descriptors", "fd"))}

    def most_resident(self):
        """Bytes, the most so far, as the kernel counts them."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) * 1024

    def load(self, file, clients, requests, *options):
        done = subprocess.run([LOAD, str(self.port), file, str(clients), str(requests), *options], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.data)


@contextlib.contextmanager
def server(*flags):
    s = Server(*flags)
    try:
        yield s
    finally:
        s.close()


def first_token_ms(s, connection):
    """Sum over all calls so far of the engine's own time from submit to first sampled token."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = re.search(r"^glia_engine_first_token_seconds_sum\S* (\S+)$", text, re.M)
    return 1000 * float(found.group(1)) if found else 0.0


def first_token_overhead():
    """What HTTP, validation, template, tokenizer, ledger and SSE add before the first byte: the client's time from request
    to first event, minus the engine's own time from submit to first sampled token."""
    body = json.dumps({"messages": [{"role": "user", "content": "Say hello to a person who just arrived."}], "stream": True,
                       "max_tokens": 4, "temperature": 0})
    differences = []
    with server() as s, contextlib.closing(s.connect()) as connection:
        for i in range(60):
            before = first_token_ms(s, connection)
            start = time.perf_counter()
            connection.request("POST", f"/client/v4/accounts/local/ai/run/{MODEL}", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.readline()
            client = (time.perf_counter() - start) * 1e3
            answer.read()
            if i >= 10:
                differences.append(client - (first_token_ms(s, connection) - before))
    report("serve.first_token_overhead", statistics.median(differences), unit="ms", note="bar 2 ms", values=differences)


def streams64():
    """64 streams of mixed prompts over HTTP against the same requests in the engine alone, 64 at a time; then 30 % of the
    clients leave in the middle, and nothing of theirs may stay."""
    name, requests = "serve.streams64", 128
    file = prompts.mixed(CACHE / "mixed.jsonl", requests)
    with server("--no-prefix-cache", "--no-speculation") as s:
        engine = glia_worker(SMOLLM2, "served-kv")
        s.load(file, 64, requests), engine.words(f"crowd {file} 64")
        before = s.held()
        ratios, fair, served, alone, loads = [], [], [], [], []
        for _ in range(PAIRS):
            load = s.load(file, 64, requests)
            seconds, tokens = map(float, engine.words(f"crowd {file} 64"))
            check(name, load["failed"] + load["refused"] == 0, f"requests failed: {load['failure']}")
            check(name, load["tokens"] == tokens, f"{load['tokens']} tokens over HTTP, {tokens:.0f} from the engine")
            served.append(load["tokens"] / load["seconds"]), alone.append(tokens / seconds)
            ratios.append(served[-1] / alone[-1])
            # The load generator's processor time was not the server's to use.
            fair.append(ratios[-1] / (1 - load["cpu_s"] / (THREADS * load["seconds"])))
            loads.append(load)
        engine.close()
        low, high = quartiles(fair)
        gaps = [load["between_ms"]["p99"] / load["between_ms"]["p50"] for load in loads]
        middle = lambda key, q: statistics.median(load[key][q] for load in loads)
        report(name, statistics.median(served), statistics.median(alone), "tok/s", ratios,
               f"peer: the engine alone; at equal compute {statistics.median(fair):.3f} ({low:.3f}..{high:.3f}), bar 0.9; "
               f"load generator {100 * statistics.median(x['cpu_s'] / x['seconds'] for x in loads):.1f} % of a core; "
               f"first piece p50 {middle('first_ms', 'p50'):.0f} ms")
        report(name + ".gap", statistics.median(gaps), unit="p99/p50 between pieces", values=gaps,
               note=f"bar 3; p50 {middle('between_ms', 'p50'):.1f} ms, p99 {middle('between_ms', 'p99'):.1f} ms")
        load = s.load(file, 64, requests, "leave=0.3")
        check(name, load["failed"] + load["refused"] == 0, f"requests failed: {load['failure']}")
        left_behind(name, s, before)
        print(f"# {name}: {load['left']} of {requests} clients left; nothing of theirs stayed", flush=True)


def left_behind(name, s, before):
    """Pages, threads and descriptors are back to what they were, within five seconds."""
    stop = time.monotonic() + 5
    while True:
        model, held = s.status(), s.held()
        free = model["running"] == model["queued"] == model["kv_pages_used"] == 0
        if free and held["threads"] <= before["threads"] and held["descriptors"] <= before["descriptors"]:
            return
        if time.monotonic() > stop:
            return check(name, False, f"left behind: {model['running']} running, {model['queued']} queued, "
                                      f"{model['kv_pages_used']} pages; {held}, before {before}")
        time.sleep(0.1)


@contextlib.contextmanager
def ask_meanwhile(s):
    """Asks for a model that does not fit, again and again, from a thread of its own; gives (status, milliseconds) of each."""
    asked, over = [], threading.Event()

    def ask():
        while not over.wait(0.1):
            start = time.perf_counter()
            with contextlib.closing(s.connect()) as connection:
                connection.request("POST", "/glia/v1/load", json.dumps({"model": TOO_BIG}))
                asked.append((connection.getresponse().status, (time.perf_counter() - start) * 1000))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def memory_budget():
    """Ten times what the server takes at once, and a model that does not fit: memory stays in its budget, refusals are quick."""
    name, budget = "serve.memory_budget", 512
    file = prompts.mixed(CACHE / "mixed.jsonl", 128)
    big = CACHE / random_llama.FILES["q4_0"]
    random_llama.write(big, "q4_0")
    with server("--memory-mib", str(budget), "--max-running", "32", "--max-queued", "96", "--model", f"{TOO_BIG}={big}") as s:
        with ask_meanwhile(s) as asked:
            load = s.load(file, 1280, 1_000_000, "seconds=8", "pause_ms=500")
        used = s.most_resident()
        check(name, asked and all(status == 429 for status, _ in asked), f"a model that does not fit was answered {asked[:3]}")
        check(name, len(json.loads(s.get("/glia/v1/status")[1])["models"]) == 1, "more than one model is in memory")
        check(name, load["failed"] == 0, f"requests failed: {load['failure']}")
        check(name, load["refused"] > 0, "nothing was refused")
        check(name, used <= budget << 20, f"{used / 2**20:.0f} MiB resident, beyond the budget of {budget}")
        refused = load["refused_ms"]
        report(name, used / 2**20, unit="MiB resident", note=f"budget {budget}; 1,280 clients of a house for 128")
        report(name + ".refusal", refused["p99"], unit="ms", note=f"bar 100; p50 {refused['p50']:.1f}, most {refused['most']:.0f}, "
               f"{refused['count']} refusals, {load['finished']} answers")
        report(name + ".too_big", statistics.median(ms for _, ms in asked), unit="ms",
               note=f"bar 100; most {max(ms for _, ms in asked):.0f}, {len(asked)} loads of {os.path.getsize(big) >> 20} MiB refused")


def run():
    for name, case in (("serve.first_token_overhead", first_token_overhead), ("serve.streams64", streams64), ("serve.memory_budget", memory_budget)):
        if wanted(name):
            case()
