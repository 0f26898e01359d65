"""What the graph of vectors finds on data of several kinds: recall@10 by the width of the search, and vectors built a second.
usage: PYTHON bench/vector_recall.py [KIND…]   with numpy; VECTORS_BENCH names the program, VECTOR_ROWS how many (default 50,000)"""
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("VECTORS_BENCH", ROOT / "build/bench/vectors_bench")
ROWS, QUERIES, K = int(os.environ.get("VECTOR_ROWS", 50_000)), 500, 10
WIDTHS = [24, 32, 48, 96, 192]
THREADS = os.cpu_count()


def clustered(rng, dimensions, clusters, spread, unit=True):
    """Gauss clouds around Gauss centres; `spread` is a cloud's width beside that of all centres."""
    centers = rng.standard_normal((clusters, dimensions)).astype(np.float32)

    def some(n):
        x = centers[rng.integers(0, clusters, n)] + spread * rng.standard_normal((n, dimensions)).astype(np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True) if unit else x * rng.lognormal(0, 0.3, (n, 1)).astype(np.float32)

    return some


def subspace(rng, dimensions, rank):
    """Unit vectors that lie near a plane of `rank` dimensions, as those of embedding models do."""
    basis = rng.standard_normal((rank, dimensions)).astype(np.float32)

    def some(n):
        x = rng.standard_normal((n, rank)).astype(np.float32) @ basis + 0.3 * rng.standard_normal((n, dimensions)).astype(np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return some


def fifties(rng, dimensions):
    """Clusters of fifty that come one after the other, as the passages of documents do; all values are positive."""
    centers = rng.random((ROWS // 50, dimensions), np.float32)

    def some(n):
        which = np.arange(n) * len(centers) // n
        return 0.7 * centers[which] + 0.27 * rng.random((n, dimensions), np.float32)

    return some


KINDS = {
    "clustered-768-cosine": ("cosine", 768, lambda r: clustered(r, 768, ROWS // 50, 0.7)),
    "clustered-384-cosine": ("cosine", 384, lambda r: clustered(r, 384, ROWS // 50, 0.7)),
    "tight-384-cosine": ("cosine", 384, lambda r: clustered(r, 384, 200, 0.1)),
    "subspace-384-cosine": ("cosine", 384, lambda r: subspace(r, 384, 24)),
    "fifties-384-cosine": ("cosine", 384, lambda r: fifties(r, 384)),
    "uniform-32-euclidean": ("euclidean", 32, lambda r: lambda n: r.random((n, 32), np.float32)),
    "uniform-384-euclidean": ("euclidean", 384, lambda r: lambda n: r.random((n, 384), np.float32)),
    "lengths-384-euclidean": ("euclidean", 384, lambda r: clustered(r, 384, ROWS // 50, 0.7, False)),
    "lengths-384-dot-product": ("dot-product", 384, lambda r: clustered(r, 384, ROWS // 50, 0.7, False)),
    "lengths-768-dot-product": ("dot-product", 768, lambda r: clustered(r, 768, ROWS // 50, 0.7, False)),
}


def nearest(metric, base, queries):
    if metric == "cosine":
        base = base / np.linalg.norm(base, axis=1, keepdims=True)
    scores = queries @ base.T
    if metric == "euclidean":
        scores = 2 * scores - (base * base).sum(1)
    some = np.argpartition(-scores, K, axis=1)[:, :K]
    return some.astype(np.int32)


def measure(kind, folder):
    metric, dimensions, make = KINDS[kind]
    some = make(np.random.default_rng(1))
    base, queries = some(ROWS), some(QUERIES)
    files = [folder / name for name in ("base", "queries", "truth")]
    for file, values in zip(files, (base, queries, nearest(metric, base, queries))):
        values.tofile(file)
    worker = subprocess.Popen([PROGRAM, *files, files[2], str(dimensions), str(K), metric], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(line):
        worker.stdin.write(line + "\n")
        worker.stdin.flush()
        return [float(word) for word in worker.stdout.readline().split()]

    worker.stdout.readline()
    seconds = ask(f"build {THREADS}")[0]
    found = [(width, *ask(f"walk {width} 1")) for width in WIDTHS]
    worker.stdin.close()
    worker.wait()
    print(f"{kind}: {ROWS / seconds:.0f} vectors/s; " + ", ".join(f"{width}: {recall:.4f} ({speed:.0f}/s)" for width, speed, recall in found), flush=True)


for kind in sys.argv[1:] or KINDS:
    with tempfile.TemporaryDirectory() as folder:
        measure(kind, pathlib.Path(folder))
