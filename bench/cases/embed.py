"""all-MiniLM-L6-v2 beside onnxruntime: 32 passages of 64 tokens in one batch, at float precision and at 8 bits, and 32 clients of a
server with texts of 8 to 256 tokens. Every figure comes with the least cosine to our exact results, ours and the peer's."""
import statistics
import subprocess

from .embed_texts import mixed, passages
from .figures import BUILD, CACHE, MODELS, PAIRS, PYTHON, ROOT, THREADS, Worker, check, report, wanted
from .many_posts import ask, post
from .serve import server

NAMES = ["embed.float", "embed.int8", "embed.http"]
MINILM = MODELS / "all-MiniLM-L6-v2"
ONNX = CACHE / "all-MiniLM-L6-v2.onnx"
TEXTS, LENGTH, WIDTH = 32, 64, 384
MODEL, CLIENTS, REQUESTS = "@cf/baai/bge-small-en-v1.5", 32, 256  # MiniLM stands in for it
INT8 = ["s8", "s8c", "u8"]  # onnxruntime's dynamic quantisations: signed, signed with a scale per column, unsigned


def ours(*mode):
    worker = Worker([BUILD / "bench/encoder_worker", MINILM, THREADS, *mode])
    print(f"# ours: {worker.banner[6:]}", flush=True)
    return worker


def peer(kind=""):
    if not ONNX.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([PYTHON, ROOT / "bench/peers/onnx_bert.py", MINILM, ONNX], check=True, stderr=subprocess.DEVNULL)
    worker = Worker([PYTHON, ROOT / "bench/peers/onnx_worker.py", ONNX.with_suffix(f".{kind}.onnx" if kind else ".onnx"), THREADS])
    worker.kind = kind or "float32"
    return worker


def vectors(worker, file):
    import numpy as np
    out = CACHE / "embed-vectors.f32"
    worker.words(f"vectors {file} {out}")
    return np.fromfile(out, np.float32).reshape(-1, WIDTH)


def least_cosine(a, b):
    import numpy as np
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def best_peer(kinds, line):
    """The fastest kind; what was tried is printed."""
    best, tried = None, []
    for kind in kinds:
        worker = peer(kind)
        worker.seconds(line)
        seconds = min(worker.seconds(line) for _ in range(5))
        tried.append(f"{worker.kind} {seconds * 1e3:.0f} ms")
        if best is None or seconds < best[0]:
            if best is not None:
                best[1].close()
            best = (seconds, worker)
        else:
            worker.close()
    print(f"# peer: {best[1].banner[6:]}, {best[1].kind}; tried: {', '.join(tried)}", flush=True)
    return best[1]


def settled(worker, line):
    """Seconds of the second of two runs: in the first the other side's threads may still spin, and its weights fill the cache."""
    worker.seconds(line)
    return worker.seconds(line)


def compare(name, mode, kinds, file, exact, bar):
    line = f"encode {file}"
    a, b = ours(*mode), best_peer(kinds, line)
    cosines = least_cosine(vectors(a, file), exact), least_cosine(vectors(b, file), exact)
    pairs = [(settled(a, line), settled(b, line)) for _ in range(PAIRS)]
    tokens = TEXTS * LENGTH
    report(name, tokens / statistics.median(x for x, _ in pairs), tokens / statistics.median(y for _, y in pairs), "tok/s",
           [y / x for x, y in pairs], f"{bar}; least cosine to exact results {cosines[0]:.6f}, peer {cosines[1]:.6f}")
    a.close(), b.close()


def onnx_server(budget):
    """Its process and port."""
    peer("").close()  # writes the model where it is missing
    process = subprocess.Popen([str(PYTHON), str(ROOT / "bench/peers/onnx_server.py"), str(ONNX), str(MINILM / "tokenizer.json"),
                                str(THREADS), str(budget)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, int(process.stdout.readline())


def http():
    """Texts per second of 32 clients, each with one text of 8 to 256 tokens at a time, that want base64 as OpenAI's client does."""
    texts = mixed(MINILM, REQUESTS)
    with server("--preload", MODEL) as s:
        requests = [post(MODEL, text) for text in texts]
        best, tried = None, []
        for budget in (2048, 4096, 8192):
            process, port = onnx_server(budget)
            ask(port, requests, CLIENTS)
            rate = REQUESTS / ask(port, requests, CLIENTS)[0]
            tried.append(f"{budget} padded tokens {rate:.0f} texts/s")
            if best is None or rate > best[0]:
                if best is not None:
                    best[1].kill()
                best = (rate, process, port)
            else:
                process.kill()
        print(f"# peer: asyncio, tokenizers, onnxruntime float32, batches by length; tried: {', '.join(tried)}", flush=True)
        ask(s.port, requests, CLIENTS)
        ours_s, peer_s = [], []
        for _ in range(PAIRS):
            seconds, mine = ask(s.port, requests, CLIENTS)
            ours_s.append(seconds)
            seconds, theirs = ask(best[2], requests, CLIENTS)
            peer_s.append(seconds)
        best[1].kill()
    cosine = least_cosine(mine, theirs)
    check("embed.http", cosine > 0.999, f"the servers' vectors differ: cosine {cosine}")
    report("embed.http", REQUESTS / statistics.median(ours_s), REQUESTS / statistics.median(peer_s), "texts/s",
           [y / x for x, y in zip(ours_s, peer_s)], f"bar 2; 32 clients, 8 to 256 tokens; least cosine to the peer {cosine:.6f}")


def run():
    if not any(wanted(name) for name in NAMES):
        return
    file = CACHE / "embed-passages.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(" ".join(map(str, ids)) + "\n" for ids in passages(MINILM, TEXTS, LENGTH)))
    reference = ours("exact")
    exact = vectors(reference, file)
    reference.close()
    if wanted("embed.float"):
        compare("embed.float", [], [""], file, exact, "bar 1.8 at 0.9999")
    if wanted("embed.int8"):
        compare("embed.int8", ["int8"], INT8, file, exact, "bar 1.3 at 0.999, or 1.5 at 0.995")
    if wanted("embed.http"):
        http()
