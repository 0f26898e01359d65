"""Writes a llama-architecture GGUF with random weights, outside the repository, once: Llama 3.2 1B's shape (2048 wide, 16 layers,
8192 in between, 32 heads, 8 of keys and values, output tied to the embedding), with the tokenizer of SmolLM2 and so 49,152 tokens.
All matrices are of one type."""
import os

import gguf
import numpy as np

from .figures import SMOLLM2

WIDTH, LAYERS, HEADS, KV_HEADS, BETWEEN = 2048, 16, 32, 8, 8192
HEAD = WIDTH // HEADS
VOCABULARY = 49152
FILES = {"q4_0": "shape1b-1.q4_0.gguf", "q4_k": "shape1b-1.q4_k.gguf"}
MATRICES = {"attn_q": (WIDTH, WIDTH), "attn_k": (KV_HEADS * HEAD, WIDTH), "attn_v": (KV_HEADS * HEAD, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (BETWEEN, WIDTH), "ffn_up": (BETWEEN, WIDTH), "ffn_down": (WIDTH, BETWEEN)}
# A token of a prompt goes through the layers; the head, only at the end, does not count.
WEIGHTS_OF_MATMULS = LAYERS * sum(rows * columns for rows, columns in MATRICES.values())


def blocks(rng, kind, rows, columns):
    """Random blocks whose weights have a mean near 0 and a deviation near 0.023, as trained ones do."""
    quant = gguf.GGMLQuantizationType[kind.upper()]
    values, size = gguf.GGML_QUANT_SIZES[quant]
    raw = rng.integers(0, 256, (rows, columns // values, size), dtype=np.uint8)
    half = lambda x: np.frombuffer(np.float16(x).tobytes(), np.uint8)
    if kind == "q4_0":
        raw[:, :, 0:2] = half(0.005)
    else:  # scale of scales, scale of minima: 6-bit each, 31 on average
        raw[:, :, 0:2], raw[:, :, 2:4] = half(1e-4), half(7.5e-4)
    return raw.reshape(rows, -1), quant


def copy_tokenizer(writer, source):
    for key, field in gguf.GGUFReader(source).fields.items():
        if not key.startswith("tokenizer."):
            continue
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(key, field.contents())
        else:
            writer.add_key_value(key, field.contents(), field.types[0])


def write(path, kind):
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"# writing {path.name}", flush=True)
    unfinished = path.with_suffix(".part")
    w = gguf.GGUFWriter(str(unfinished), "llama")
    copy_tokenizer(w, SMOLLM2)
    w.add_name("shape1b")
    w.add_context_length(8192), w.add_embedding_length(WIDTH), w.add_block_count(LAYERS), w.add_feed_forward_length(BETWEEN)
    w.add_head_count(HEADS), w.add_head_count_kv(KV_HEADS), w.add_layer_norm_rms_eps(1e-5), w.add_rope_freq_base(500000.0)
    w.add_rope_dimension_count(HEAD), w.add_vocab_size(VOCABULARY)
    rng = np.random.default_rng(1)

    def matrix(name, rows, columns):
        raw, quant = blocks(rng, kind, rows, columns)
        w.add_tensor(name, raw, raw_dtype=quant)

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    w.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name, shape in MATRICES.items():
            matrix(f"blk.{layer}.{name}.weight", *shape)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    os.replace(unfinished, path)
