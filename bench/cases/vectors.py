"""Vector search beside hnswlib, faiss and usearch: 100,000 vectors of 768 values, k = 10, one query thread. Each peer is
built with its own best settings of those that were tried, and compared at the cheapest width that reaches a recall of 0.99."""
import os
import statistics

from .figures import BUILD, CACHE, PAIRS, PYTHON, ROOT, THREADS, Worker, report, wanted

NAMES = ["vectors.query", "vectors.filter1", "vectors.build"]
ROWS, DIMENSIONS, K, RECALL = 100_000, 768, 10, 0.99
PEERS = os.environ.get("VECTOR_PEERS", "hnswlib:16:128 faiss:HNSW16 faiss:IVF1024,Flat usearch:i8:16:128 usearch:bf16:16:128 usearch:f32:16:128").split()
WIDTHS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]


def data():
    """Clustered unit vectors, as those of embedding models are; the nearest by float32."""
    import numpy as np
    folder = CACHE / f"vectors-{ROWS}-{DIMENSIONS}"
    files = [folder / name for name in ("base", "queries", "truth", "filtered")]
    if not all(f.exists() for f in files):
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        centers = rng.standard_normal((2000, DIMENSIONS)).astype(np.float32)

        def some(n):
            x = centers[rng.integers(0, 2000, n)] + 0.7 * rng.standard_normal((n, DIMENSIONS)).astype(np.float32)
            return x / np.linalg.norm(x, axis=1, keepdims=True)

        base, queries = some(ROWS), some(500)
        scores = queries @ base.T
        matching = np.where(np.arange(ROWS) % 100 == 17)[0]
        base.tofile(files[0])
        queries.tofile(files[1])
        np.argsort(-scores, axis=1)[:, :K].astype(np.int32).tofile(files[2])
        matching[np.argsort(-scores[:, matching], axis=1)[:, :K]].astype(np.int32).tofile(files[3])
    return [*map(str, files), str(DIMENSIONS), str(K)]


def figures(worker, line):
    return [float(word) for word in worker.words(line)]


def cheapest(worker):
    """The narrowest width of enough recall; 0 where none has it."""
    for width in WIDTHS:
        if figures(worker, f"walk {width} 1")[1] >= RECALL:
            return width
    return 0


def compare(name, ours, our_line, peer, peer_line, note):
    a, b = [], []
    for _ in range(PAIRS):
        a.append(figures(ours, our_line)[0])
        b.append(figures(peer, peer_line)[0])
    report(name, statistics.median(a), statistics.median(b), "queries/s", [x / y for x, y in zip(a, b)], note)


def run():
    if not any(wanted(name) for name in NAMES):
        return
    files = data()
    ours = Worker([BUILD / "bench/vectors_bench", *files])
    our_build = figures(ours, f"build {THREADS}")[0]
    our_width = cheapest(ours)
    best, fastest_build = None, None
    for kind in PEERS:
        peer = Worker([PYTHON, ROOT / "bench/peers/vector_worker.py", kind, *files])
        seconds = figures(peer, f"build {THREADS}")[0]
        width = cheapest(peer)
        speed = figures(peer, f"walk {width} 2")[0] if width else 0
        print(f"#   {kind}: built in {seconds:.1f} s; " + (f"recall {RECALL} at width {width}: {speed:.0f} queries/s" if width else f"recall stays below {RECALL}"), flush=True)
        if width and (fastest_build is None or seconds < fastest_build[0]):
            fastest_build = (seconds, kind)
        if width and (best is None or speed > best[0]):
            if best is not None:
                best[2].close()
            best = (speed, kind, peer, width)
        else:
            peer.close()
    _, kind, peer, width = best
    if wanted("vectors.query"):
        compare("vectors.query", ours, f"walk {our_width} 4", peer, f"walk {width} 2", f"bar 1.2; width {our_width}, {kind} width {width}, recall {RECALL} or better")
    peer.close()
    if wanted("vectors.filter1"):
        flat = Worker([PYTHON, ROOT / "bench/peers/vector_worker.py", "faiss:Flat", *files])
        figures(flat, "build 1")
        compare("vectors.filter1", ours, "filter 4", flat, "filter 2", "bar 5; 1 % match, found by us, known beforehand by the peer; both complete")
        flat.close()
    if wanted("vectors.build"):
        seconds, kind = fastest_build
        report("vectors.build", ROWS / our_build, ROWS / seconds, "vectors/s", [seconds / our_build] * 2, f"bar 0.9; one build each, {THREADS} threads, {kind} (of those that reach recall {RECALL})")
    ours.close()
