"""A vector index of a peer: one measured piece of work a line, as bench/vectors_bench.cpp has them.
usage: vector_worker.py KIND BASE QUERIES TRUTH FILTERED_TRUTH DIMENSIONS K   KIND: hnswlib:M:EF, usearch:DTYPE:M:EF, faiss:FACTORY"""
import sys
import time

import numpy as np

kind, base, queries, truth, filtered_truth = sys.argv[1:6]
dimensions, k = int(sys.argv[6]), int(sys.argv[7])
x = np.fromfile(base, np.float32).reshape(-1, dimensions)
q = np.fromfile(queries, np.float32).reshape(-1, dimensions)
wanted = np.fromfile(truth, np.int32).reshape(-1, k)
wanted_filtered = np.fromfile(filtered_truth, np.int32).reshape(-1, k)
matching = np.where(np.arange(len(x)) % 100 == 17)[0].astype(np.int64)


class Hnswlib:
    def __init__(self, m, ef):
        import hnswlib
        self.index = hnswlib.Index("ip", dimensions)
        self.index.init_index(len(x), M=int(m), ef_construction=int(ef))

    def build(self, threads):
        self.index.set_num_threads(threads)
        self.index.add_items(x)
        self.index.set_num_threads(1)

    def width(self, width):
        self.index.set_ef(width)

    def search(self, i):
        return self.index.knn_query(q[i:i + 1], k)[0][0]


class Usearch:
    def __init__(self, dtype, m, ef):
        from usearch.index import Index
        self.index = Index(ndim=dimensions, metric="cos", dtype=dtype, connectivity=int(m), expansion_add=int(ef))

    def build(self, threads):
        self.index.add(np.arange(len(x)), x, threads=threads)

    def width(self, width):
        self.index.expansion_search = width

    def search(self, i):
        return self.index.search(q[i], k).keys


class Faiss:
    def __init__(self, factory):
        import faiss
        self.faiss = faiss
        self.factory = factory
        self.index = faiss.index_factory(dimensions, factory, faiss.METRIC_INNER_PRODUCT)

    def build(self, threads):
        self.faiss.omp_set_num_threads(threads)
        self.index.train(x)
        self.index.add(x)
        self.faiss.omp_set_num_threads(1)

    def width(self, width):
        if "HNSW" in self.factory:
            self.faiss.ParameterSpace().set_index_parameter(self.index, "efSearch", width)
        elif "IVF" in self.factory:
            self.faiss.ParameterSpace().set_index_parameter(self.index, "nprobe", width)

    def search(self, i):
        return self.index.search(q[i:i + 1], k)[1][0]

    def filtered(self, i):
        """The fastest of faiss's selectors here: a list of the ids that match, known beforehand."""
        selector = self.faiss.IDSelectorArray(matching)
        return self.index.search(q[i:i + 1], k, params=self.faiss.SearchParameters(sel=selector))[1][0]


peer = {"hnswlib": Hnswlib, "usearch": Usearch, "faiss": Faiss}[kind.split(":")[0]](*kind.split(":")[1:])


def measured(search, truth_rows, repeat):
    start = time.perf_counter()
    for _ in range(repeat):
        found = [search(i) for i in range(len(q))]
    seconds = time.perf_counter() - start
    recall = np.mean([len(set(map(int, a)) & set(map(int, b))) / k for a, b in zip(found, truth_rows)])
    return f"{len(q) * repeat / seconds} {recall}"


print(f"ready {kind}", flush=True)
for line in sys.stdin:
    verb, *numbers = line.split()
    numbers = [int(n) for n in numbers]
    if verb == "build":
        start = time.perf_counter()
        peer.build(numbers[0])
        print(time.perf_counter() - start, flush=True)
    elif verb == "walk":
        peer.width(numbers[0])
        print(measured(peer.search, wanted, numbers[1]), flush=True)
    elif verb == "filter":
        print(measured(peer.filtered, wanted_filtered, numbers[0]), flush=True)
    else:
        print("unknown", flush=True)
