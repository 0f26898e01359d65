"""onnxruntime's side of a comparison of encoders: the lines of bench/worker/encoder_worker.cpp.
usage: onnx_worker.py MODEL.onnx THREADS"""
import sys
import time

import numpy as np
import onnxruntime as ort

model, threads = sys.argv[1], int(sys.argv[2])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.inter_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
files = {}


def batch(file):
    """Texts padded to the longest."""
    if file not in files:
        with open(file) as f:
            texts = [[int(i) for i in line.split()] for line in f]
        ids = np.zeros((len(texts), max(map(len, texts))), np.int32)
        mask = np.zeros_like(ids)
        for i, text in enumerate(texts):
            ids[i, :len(text)], mask[i, :len(text)] = text, 1
        files[file] = {"ids": ids, "mask": mask}
    return files[file]


print(f"ready onnxruntime {ort.__version__}, {threads} threads", flush=True)
for line in sys.stdin:
    verb, file, *out = line.split()
    inputs = batch(file)
    start = time.perf_counter()
    vectors = session.run(["vectors"], inputs)[0]
    seconds = time.perf_counter() - start
    if verb == "vectors":
        vectors.astype(np.float32).tofile(out[0])
    print(seconds, flush=True)
