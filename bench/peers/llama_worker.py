"""llama.cpp's side of a comparison, through llama-cpp-python's C API, measured as llama-bench measures.
Speaks the lines of worker/glia_worker.cpp (prefill, decode, together), and
  set threads=T flash=F ubatch=U unified=U sequences=S    a context anew with these settings
usage: llama_worker.py MODEL.gguf"""
import statistics
import sys
import time

import llama_cpp as L
import numpy as np

POSITIONS = 1024  # of a sequence
quiet = L.llama_log_callback(lambda level, text, user: None)
L.llama_log_set(quiet, None)
L.llama_backend_init()
params = L.llama_model_default_params()
params.n_gpu_layers = 0
model = L.llama_model_load_from_file(sys.argv[1].encode(), params)
if not model:
    sys.exit(f"llama.cpp cannot load {sys.argv[1]}")
vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
rng = np.random.default_rng(1)
ctx = None


def set_context(threads=2, flash=1, ubatch=512, unified=0, sequences=1):
    """Each sequence has KV memory of its own, unless `unified`."""
    global ctx
    if ctx:
        L.llama_free(ctx)
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch = POSITIONS * sequences, 2048, ubatch
    cp.n_threads = cp.n_threads_batch = threads
    cp.n_seq_max, cp.kv_unified, cp.flash_attn_type = sequences, bool(unified), flash
    ctx = L.llama_init_from_model(model, cp)
    if not ctx:
        sys.exit("no context")


class Batch:
    """Tokens with their positions and sequences; `logits`: indices whose logits are computed."""

    def __init__(self, tokens, positions, sequences, logits):
        n = len(tokens)
        self.raw = b = L.llama_batch_init(n, 0, 1)
        b.n_tokens = n
        for i in range(n):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = int(tokens[i]), int(positions[i]), 1, 0
            b.seq_id[i][0] = int(sequences[i])
        for i in logits:
            b.logits[i] = 1

    def decode(self):
        if L.llama_decode(ctx, self.raw) != 0:
            sys.exit("llama_decode failed")
        L.llama_synchronize(ctx)

    def free(self):
        L.llama_batch_free(self.raw)


def random(n):
    return rng.integers(0, vocab, n)


def step(position, sequences):
    return Batch(random(sequences), [position] * sequences, range(sequences), range(sequences))


def timed(batches):
    """Seconds from the start to the end of each batch."""
    start, ends = time.perf_counter(), []
    for b in batches:
        b.decode()
        ends.append(time.perf_counter() - start)
    for b in batches:
        b.free()
    return ends


def together(sequences, prompt, answer):
    """Prompts one after the other, as many in a batch as fit; then all sequences step together."""
    at_once = max(1, 512 // prompt)
    prompts = []
    for first in range(0, sequences, at_once):
        some = range(first, min(first + at_once, sequences))
        prompts.append(Batch(random(prompt * len(some)), list(range(prompt)) * len(some), [s for s in some for _ in range(prompt)],
                             [(i + 1) * prompt - 1 for i in range(len(some))]))
    ends = timed(prompts + [step(prompt + i, sequences) for i in range(answer - 1)])
    first_tokens = [ends[s // at_once] for s in range(sequences)]
    steps = np.diff(ends[len(prompts) - 1:])
    return f"{ends[-1]} {statistics.median(first_tokens)} {np.median(steps)}"


info = L.llama_print_system_info().decode().strip().replace("\n", " ")
print("ready llama-cpp-python", L.__version__, info, flush=True)
for line in sys.stdin:
    verb, *numbers = line.split()
    if verb == "set":
        set_context(**{k: int(v) for k, v in (n.split("=") for n in numbers)})
        print(0, *numbers, flush=True)
        continue
    L.llama_memory_clear(L.llama_get_memory(ctx), True)
    n = [int(x) for x in numbers]
    if verb == "prefill":
        print(timed([Batch(random(n[0]), range(n[0]), [0] * n[0], [n[0] - 1])])[-1], flush=True)
    elif verb == "decode":
        print(timed([step(i, n[1]) for i in range(n[0])])[-1], flush=True)
    elif verb == "together":
        print(together(*n), flush=True)
    else:
        sys.exit(f"no such work: {line}")
