"""Golden data for the llama family: tiny random models in odd shapes, their logits and greedy tokens by transformers.

Birth certificate
  command   .venv/bin/python tests/golden/make_llama.py
  versions  torch 2.15.0 (CPU), transformers 5.24.0, safetensors 0.8.0, gguf 0.19.0, numpy 2.4.6, Python 3.11
  source    the weights are random numbers from the seeds below: nobody's work; the answers come from transformers'
            LlamaForCausalLM in float32 with eager attention
  licence   Apache-2.0, as the repository

Per model, under tests/golden/llama/:
  <name>/config.json, model.safetensors (or shards)   as transformers saves them
  <name>.gguf                                         the same weights as llama.cpp's converter lays them out
  <name>.expected.safetensors                         prompt [p] I32, greedy [64] I32, logits [p + 63, vocab] F32:
                                                      row i follows token i of prompt + greedy;
                                                      fast.logits, the same tokens with what the fast path rounds
`quant.gguf` has no folder: its weights exist only in GGUF's quantised types, and transformers ran on what the gguf
package makes of them.
"""

import contextlib
import json
import pathlib
import shutil

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama
from transformers.utils import logging

HERE = pathlib.Path(__file__).parent / "llama"
GREEDY = 64
# A greedy choice may be compared only where the best logit leads by more than any rounding.
LEAST_MARGIN = 2e-3

# name: (config, dtype on disk, GGUF too, largest shard in bytes)
MODELS = {
    "odd": (dict(vocab_size=131, hidden_size=60, num_attention_heads=6, num_key_value_heads=2, head_dim=10,
                 intermediate_size=77, num_hidden_layers=3, tie_word_embeddings=False), "float32", True, None),
    "mqa_tied": (dict(vocab_size=97, hidden_size=48, num_attention_heads=4, num_key_value_heads=1,
                      intermediate_size=91, num_hidden_layers=2, tie_word_embeddings=True, rope_theta=500000.0,
                      rms_norm_eps=1e-5), "bfloat16", True, None),
    "mha_sharded": (dict(vocab_size=64, hidden_size=40, num_attention_heads=5, num_key_value_heads=5,
                         intermediate_size=33, num_hidden_layers=2, tie_word_embeddings=False, rope_theta=1e6,
                         rms_norm_eps=1e-3), "float16", False, 20_000),
    "wide_heads_linear": (dict(vocab_size=101, hidden_size=36, num_attention_heads=3, num_key_value_heads=3,
                               head_dim=20, intermediate_size=130, num_hidden_layers=2, tie_word_embeddings=False,
                               rope_scaling=dict(rope_type="linear", factor=3.0)), "float32", True, None),
    "llama3_rope": (dict(vocab_size=89, hidden_size=64, num_attention_heads=4, num_key_value_heads=2,
                         intermediate_size=64, num_hidden_layers=2, tie_word_embeddings=True, rope_theta=10000.0,
                         rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                           original_max_position_embeddings=48)), "bfloat16", True, None),
}

QUANT = dict(vocab_size=160, hidden_size=256, num_attention_heads=4, num_key_value_heads=1, head_dim=32,
             intermediate_size=256, num_hidden_layers=2, tie_word_embeddings=False)
Q = gguf.GGMLQuantizationType
# Types of blk.<layer>: q k v o gate up down.
QUANT_TYPES = {
    "embedding": Q.Q8_0, "head": Q.Q6_K,
    0: [Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.Q4_0, Q.Q4_K, Q.Q5_K, Q.Q6_K],
    1: [Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q4_1, Q.F16, Q.BF16, Q.Q4_1],
}


def make_config(spec):
    spec = dict(spec)
    theta = spec.pop("rope_theta", 10000.0)
    scaling = spec.pop("rope_scaling", dict(rope_type="default"))
    return LlamaConfig(**spec, max_position_embeddings=512, rope_parameters=dict(rope_theta=theta, **scaling),
                       bos_token_id=0, eos_token_id=1, attn_implementation="eager")


def make_model(config, seed, dtype=torch.float32):
    """Random weights, large enough that attention is not flat and every token depends on its context. Rounded to what a
    file of `dtype` can hold; the parameters alone, for model.to(dtype) would round the rotary table too."""
    generator = torch.Generator().manual_seed(seed)
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:
                p.copy_(1 + 0.2 * noise)
            else:
                p.copy_(noise * (1.0 if "embed" in name else 1.6) / p.shape[1] ** 0.5)
            p.copy_(p.to(dtype).float())
    return model


def run(model, prompt):
    """Greedy tokens, the logits behind them, and the smallest lead of a best logit over the second."""
    ids = list(prompt)
    margin = float("inf")
    with torch.no_grad():
        for _ in range(GREEDY):
            logits = model(torch.tensor([ids])).logits[0, -1]
            best = torch.topk(logits, 2).values
            margin = min(margin, float(best[0] - best[1]))
            ids.append(int(torch.argmax(logits)))
        logits = model(torch.tensor([ids[:-1]])).logits[0]
    return ids[len(prompt):], logits.float().numpy(), margin


FAST_LEVELS = 32512  # the fast path's largest integer, 127 * 256


def rounded_blocks(x):
    """x rounded to whole multiples of largest / FAST_LEVELS in every 256 columns, the last block may have fewer."""
    out = torch.empty_like(x)
    for first in range(0, x.shape[-1], 256):
        block = x[..., first:first + 256]
        scale = block.abs().amax(-1, keepdim=True) / FAST_LEVELS
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        out[..., first:first + 256] = torch.round(block / scale) * scale
    return out


@contextlib.contextmanager
def fast_path(model, quantised):
    """What the fast path rounds: inputs of products with quantised weights to 16 bits, keys and values to float16."""
    hooks = []
    for name, module in model.named_modules():
        if name in quantised:
            hooks.append(module.register_forward_pre_hook(lambda _, args: (rounded_blocks(args[0]),)))
        if name.endswith("v_proj"):
            hooks.append(module.register_forward_hook(lambda _, args, out: out.half().float()))
    rotate = modeling_llama.apply_rotary_pos_emb

    def rotate_and_round(*args, **kwargs):
        q, k = rotate(*args, **kwargs)
        return q, k.half().float()

    modeling_llama.apply_rotary_pos_emb = rotate_and_round
    yield
    modeling_llama.apply_rotary_pos_emb = rotate
    for hook in hooks:
        hook.remove()


def save_expected(name, model, prompt, greedy, logits, quantised=()):
    with torch.no_grad(), fast_path(model, quantised):
        fast = model(torch.tensor([prompt + greedy[:-1]])).logits[0].numpy()
    print(f"  the fast path's error: {np.sqrt(((fast - logits) ** 2).mean() / (logits ** 2).mean()):.5f} of the logits' rms")
    save_file({"prompt": np.array(prompt, np.int32), "greedy": np.array(greedy, np.int32),
               "logits": np.ascontiguousarray(logits, np.float32), "fast.logits": np.ascontiguousarray(fast, np.float32)},
              HERE / f"{name}.expected.safetensors")


def permute(w, heads):
    """Hugging Face's halves to interleaved pairs, as llama.cpp's converter does for q and k."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def unpermute(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def gguf_writer(path, config):
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    w.add_rope_dimension_count(config.head_dim)
    w.add_vocab_size(config.vocab_size)
    if config.head_dim * config.num_attention_heads != config.hidden_size:
        w.add_key_length(config.head_dim)
        w.add_value_length(config.head_dim)
    return w


def rope_divisors(config):
    """What llama.cpp's converter writes as rope_freqs.weight for rope_type llama3."""
    r = config.rope_parameters
    inv_freq = 1.0 / (r["rope_theta"] ** (np.arange(0, config.head_dim, 2) / config.head_dim))
    low = r["original_max_position_embeddings"] / r["low_freq_factor"]
    high = r["original_max_position_embeddings"] / r["high_freq_factor"]
    out = []
    for f in inv_freq:
        wavelength = 2 * np.pi / f
        if wavelength < high:
            out.append(1.0)
        elif wavelength > low:
            out.append(r["factor"])
        else:
            smooth = (r["original_max_position_embeddings"] / wavelength - r["low_freq_factor"]) / (
                r["high_freq_factor"] - r["low_freq_factor"])
            out.append(1 / ((1 - smooth) / r["factor"] + smooth))
    return np.array(out, np.float32)


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


LAYER = [("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
         ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
         ("mlp.down_proj", "ffn_down")]


def heads_of(config, gguf_name):
    return {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(gguf_name)


def write_gguf(path, model, dtype):
    """Matrices in BF16 where the weights are, else in F32."""
    config = model.config
    state = {k: v.float().numpy() for k, v in model.state_dict().items()}
    w = gguf_writer(path, config)
    qtype = Q.BF16 if dtype == "bfloat16" else Q.F32

    def add_matrix(name, values):
        w.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(values), qtype), raw_dtype=qtype)

    scaling = config.rope_parameters["rope_type"]
    if scaling == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(config.rope_parameters["factor"])
    if scaling == "llama3":
        w.add_tensor("rope_freqs.weight", rope_divisors(config))
    add_matrix("token_embd.weight", state["model.embed_tokens.weight"])
    w.add_tensor("output_norm.weight", state["model.norm.weight"])
    if not config.tie_word_embeddings:
        add_matrix("output.weight", state["lm_head.weight"])
    for i in range(config.num_hidden_layers):
        hf = f"model.layers.{i}."
        w.add_tensor(f"blk.{i}.attn_norm.weight", state[hf + "input_layernorm.weight"])
        w.add_tensor(f"blk.{i}.ffn_norm.weight", state[hf + "post_attention_layernorm.weight"])
        for a, b in LAYER:
            t = state[hf + a + ".weight"]
            heads = heads_of(config, b)
            add_matrix(f"blk.{i}.{b}.weight", permute(t, heads) if heads else t)
    finish(w)


def random_blocks(rng, rows, cols, qtype):
    """Rows of random K-quant blocks. The gguf package reads these types and does not write them, so the blocks come
    first and the values from them; the scales are set so that a value is some 1 / sqrt(cols)."""
    block, size = gguf.GGML_QUANT_SIZES[qtype]
    out = rng.integers(0, 256, (rows, cols // block, size), dtype=np.uint8)
    n = rows * (cols // block)
    unit = 1.0 / cols ** 0.5
    half = lambda v: np.full(n, v, np.float16).view(np.uint8).reshape(rows, cols // block, 2)
    if qtype == Q.Q6_K:  # d * int8 scale * (q - 32); the scales are bytes 192 to 207
        out[..., 192:208] = rng.integers(16, 64, (rows, cols // block, 16))
        out[..., 208:210] = half(unit / 740)
    else:  # d * scale * q - dmin * min, both of 6 bits; equal bits for the two keep the values near zero
        levels = 15 if qtype == Q.Q4_K else 31
        out[..., 0:2] = half(unit / 32 / levels * 3.4)
        out[..., 2:4] = half(unit / 32 * 1.7)
        scales = rng.integers(0, 256, (rows, cols // block, 12), dtype=np.uint8)
        scales[..., 4:8] = scales[..., 0:4]
        low = scales[..., 8:12] & 15
        scales[..., 8:12] = low | (low << 4)
        out[..., 4:16] = scales
    return out.reshape(rows, -1)


def encode(rng, rows, cols, qtype, values):
    if qtype in (Q.Q4_K, Q.Q5_K, Q.Q6_K):
        raw = random_blocks(rng, rows, cols, qtype)
    else:
        raw = gguf.quants.quantize(values, qtype)
    return raw, gguf.quants.dequantize(raw, qtype)


def make_quant(seed):
    rng = np.random.default_rng(seed)
    config = make_config(QUANT)
    model = make_model(config, seed)
    state = model.state_dict()
    tensors = []

    def put(hf_name, gguf_name, qtype, heads=None):
        values = state[hf_name].numpy()
        if heads:
            values = permute(values, heads)
        raw, back = encode(rng, *values.shape, qtype, np.ascontiguousarray(values))
        tensors.append((gguf_name, raw, qtype))
        back = unpermute(back, heads) if heads else back
        state[hf_name].copy_(torch.from_numpy(np.array(back, np.float32)))

    put("model.embed_tokens.weight", "token_embd.weight", QUANT_TYPES["embedding"])
    put("lm_head.weight", "output.weight", QUANT_TYPES["head"])
    for i in range(config.num_hidden_layers):
        for (a, b), qtype in zip(LAYER, QUANT_TYPES[i]):
            put(f"model.layers.{i}.{a}.weight", f"blk.{i}.{b}.weight", qtype, heads_of(config, b))
    return config, model, tensors


def write_quant(config, model, tensors):
    state = model.state_dict()
    w = gguf_writer(HERE / "quant.gguf", config)
    w.add_tensor("output_norm.weight", state["model.norm.weight"].numpy())
    for i in range(config.num_hidden_layers):
        w.add_tensor(f"blk.{i}.attn_norm.weight", state[f"model.layers.{i}.input_layernorm.weight"].numpy())
        w.add_tensor(f"blk.{i}.ffn_norm.weight", state[f"model.layers.{i}.post_attention_layernorm.weight"].numpy())
    for name, raw, qtype in tensors:
        w.add_tensor(name, raw, raw_dtype=qtype)
    finish(w)


def first_good(make, vocab):
    """The first seed whose greedy choices all have a clear lead and whose answer is not one token over and over."""
    for seed in range(1, 200):
        made = make(seed)
        prompt = np.random.default_rng(seed).integers(0, vocab, 17).tolist()
        greedy, logits, margin = run(made[1], prompt)
        if margin > LEAST_MARGIN and len(set(greedy)) >= 12:
            print(f"  seed {seed}, margin {margin:.4f}, {len(set(greedy))} different tokens, "
                  f"largest logit {np.abs(logits).max():.1f}")
            return made, prompt, greedy, logits
    raise SystemExit("no seed gives a clear answer")


def main():
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    for name, (spec, dtype, also_gguf, shard) in MODELS.items():
        print(name)

        def make(seed):
            return None, make_model(make_config(spec), seed, getattr(torch, dtype))

        (_, model), prompt, greedy, logits = first_good(make, spec["vocab_size"])
        if also_gguf:
            write_gguf(HERE / f"{name}.gguf", model, dtype)
        save_expected(name, model, prompt, greedy, logits)
        model.to(getattr(torch, dtype)).save_pretrained(HERE / name, max_shard_size=shard or "5GB")
        (HERE / name / "generation_config.json").unlink(missing_ok=True)
        config = json.loads((HERE / name / "config.json").read_text())
        (HERE / name / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    print("quant")
    (config, model, tensors), prompt, greedy, logits = first_good(make_quant, QUANT["vocab_size"])
    write_quant(config, model, tensors)
    quantised = {"lm_head"} | {f"model.layers.{i}.{a}" for i in range(config.num_hidden_layers)
                               for (a, _), qtype in zip(LAYER, QUANT_TYPES[i]) if qtype not in (Q.F16, Q.BF16)}
    save_expected("quant", model, prompt, greedy, logits, quantised)
    for path in HERE.rglob("*.*"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
