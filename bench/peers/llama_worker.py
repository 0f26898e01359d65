"""llama.cpp's side of a comparison, through llama-cpp-python's C API, measured as llama-bench measures.
Speaks the lines of glia_worker.cpp. usage: llama_worker.py MODEL.gguf THREADS FLASH(0|1) SEQUENCES"""
import sys
import time

import llama_cpp as L
import numpy as np

path, threads, flash, n_seq = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
quiet = L.llama_log_callback(lambda level, text, user: None)
L.llama_log_set(quiet, None)
L.llama_backend_init()
params = L.llama_model_default_params()
params.n_gpu_layers = 0
model = L.llama_model_load_from_file(path.encode(), params)
if not model:
    sys.exit(f"llama.cpp cannot load {path}")
cp = L.llama_context_default_params()
cp.n_ctx, cp.n_batch, cp.n_ubatch = 2048 * n_seq, 2048, 512
cp.n_threads = cp.n_threads_batch = threads
cp.n_seq_max = n_seq
if hasattr(cp, "flash_attn_type"):
    cp.flash_attn_type = flash
else:
    cp.flash_attn = bool(flash)
ctx = L.llama_init_from_model(model, cp)
memory = L.llama_get_memory(ctx)
vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
rng = np.random.default_rng(1)


def batch(tokens, positions, sequences, all_logits):
    n = len(tokens)
    b = L.llama_batch_init(n, 0, 1)
    b.n_tokens = n
    for i in range(n):
        b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = int(tokens[i]), int(positions[i]), 1, int(all_logits)
        b.seq_id[i][0] = int(sequences[i])
    b.logits[n - 1] = 1
    return b


def run(batches):
    start = time.perf_counter()
    for b in batches:
        if L.llama_decode(ctx, b) != 0:
            sys.exit("llama_decode failed")
        L.llama_synchronize(ctx)
    return time.perf_counter() - start


info = L.llama_print_system_info().decode()
print("ready llama-cpp-python", L.__version__, f"threads={threads} flash={flash}", info.replace("\n", " "), flush=True)
for line in sys.stdin:
    verb, *numbers = line.split()
    if verb == "quit":
        break
    L.llama_memory_clear(memory, True)
    if verb == "prefill":
        n = int(numbers[0])
        batches = [batch(rng.integers(0, vocab, n), range(n), [0] * n, False)]
    else:
        n, s = int(numbers[0]), int(numbers[1])
        batches = [batch(rng.integers(0, vocab, s), [i] * s, range(s), True) for i in range(n)]
    print(run(batches), flush=True)
    for b in batches:
        L.llama_batch_free(b)
