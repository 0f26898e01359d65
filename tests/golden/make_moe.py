"""Golden data for mixtures of experts: tiny random models in odd shapes, their logits and greedy tokens by transformers.

Birth certificate
  command   .venv/bin/python tests/golden/make_moe.py
  versions  torch 2.15.0 (CPU), transformers 5.24.0, safetensors 0.8.0, gguf 0.19.0, numpy 2.4.6, Python 3.11
  source    the weights are random numbers from the seeds below: nobody's work; the answers come from transformers'
            Mixtral, Qwen2Moe, Qwen3Moe and GptOss in float32 with eager attention and eager experts
  licence   Apache-2.0, as the repository

Files under tests/golden/moe/ as make_llama.py writes them. `gpt_oss` has its experts in MXFP4, as it is published: the
folder in `_blocks` and `_scales`, which transformers' own unpacking turns back into the weights it ran on, the GGUF in
blocks of type MXFP4. `gpt_oss_float` has them as transformers saves floats. `mixtral_quant` has no folder.
"""

import json
import pathlib
import shutil

import gguf
import numpy as np
import torch
from make_llama import Q, first_good, finish, permute, rounded_blocks, unpermute
from safetensors.numpy import load_file, save_file
from transformers import (GptOssConfig, GptOssForCausalLM, MixtralConfig, MixtralForCausalLM, Qwen2MoeConfig,
                          Qwen2MoeForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.models.gpt_oss import modeling_gpt_oss
from transformers.models.mixtral import modeling_mixtral
from transformers.models.qwen2_moe import modeling_qwen2_moe
from transformers.models.qwen3_moe import modeling_qwen3_moe
from transformers.utils import logging

HERE = pathlib.Path(__file__).parent / "moe"
YARN = dict(rope_type="yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
            original_max_position_embeddings=64, rope_theta=150000.0)

# name: (configuration, dtype on disk, architecture in GGUF or None, type of GGUF's matrices)
MODELS = {
    "mixtral": (MixtralConfig(vocab_size=71, hidden_size=36, num_attention_heads=6, num_key_value_heads=2,
                              intermediate_size=22, num_hidden_layers=2, num_local_experts=5, num_experts_per_tok=2,
                              rope_parameters=dict(rope_type="default", rope_theta=1e6)), "float32", "llama", Q.F32),
    "mixtral_quant": (MixtralConfig(vocab_size=64, hidden_size=64, num_attention_heads=4, num_key_value_heads=1,
                                    intermediate_size=32, num_hidden_layers=2, num_local_experts=3,
                                    num_experts_per_tok=2, tie_word_embeddings=True, sliding_window=None,
                                    rope_parameters=dict(rope_type="default", rope_theta=1e4)),
                      None, "llama", Q.Q5_1),
    "mixtral_window": (MixtralConfig(vocab_size=67, hidden_size=32, num_attention_heads=4, num_key_value_heads=4,
                                     intermediate_size=20, num_hidden_layers=2, num_local_experts=4,
                                     num_experts_per_tok=1, sliding_window=9), "bfloat16", None, None),
    "qwen2_moe": (Qwen2MoeConfig(vocab_size=83, hidden_size=40, num_attention_heads=4, num_key_value_heads=2,
                                 intermediate_size=52, moe_intermediate_size=18, shared_expert_intermediate_size=27,
                                 num_hidden_layers=2, num_experts=9, num_experts_per_tok=4, norm_topk_prob=False),
                  "float32", "qwen2moe", Q.F32),
    "qwen2_moe_mixed": (Qwen2MoeConfig(vocab_size=59, hidden_size=32, num_attention_heads=2, num_key_value_heads=1,
                                       intermediate_size=30, moe_intermediate_size=14,
                                       shared_expert_intermediate_size=10, num_hidden_layers=5, num_experts=4,
                                       num_experts_per_tok=2, norm_topk_prob=True, decoder_sparse_step=2,
                                       mlp_only_layers=[3], tie_word_embeddings=True), "bfloat16", None, None),
    "qwen3_moe": (Qwen3MoeConfig(vocab_size=73, hidden_size=44, num_attention_heads=4, num_key_value_heads=2,
                                 head_dim=20, intermediate_size=60, moe_intermediate_size=25, num_hidden_layers=2,
                                 num_experts=11, num_experts_per_tok=3, norm_topk_prob=True),
                  "bfloat16", "qwen3moe", Q.BF16),
    "gpt_oss": (GptOssConfig(vocab_size=77, hidden_size=96, num_attention_heads=6, num_key_value_heads=2, head_dim=14,
                             intermediate_size=64, num_hidden_layers=2, num_local_experts=5, num_experts_per_tok=3,
                             sliding_window=11, rope_parameters=YARN), "bfloat16", "gpt-oss", Q.BF16),
    "gpt_oss_float": (GptOssConfig(vocab_size=61, hidden_size=28, num_attention_heads=4, num_key_value_heads=1,
                                   head_dim=10, intermediate_size=15, num_hidden_layers=2, num_local_experts=4,
                                   num_experts_per_tok=2, sliding_window=6, rope_parameters=YARN),
                      "float32", "gpt-oss", Q.F32),
}
CLASSES = {"mixtral": (MixtralForCausalLM, modeling_mixtral), "qwen2_moe": (Qwen2MoeForCausalLM, modeling_qwen2_moe),
           "qwen3_moe": (Qwen3MoeForCausalLM, modeling_qwen3_moe), "gpt_oss": (GptOssForCausalLM, modeling_gpt_oss)}


def mxfp4(values):
    """[..., cols] as blocks of GGUF's MXFP4, [..., cols / 32, 17], and what they stand for."""
    raw = gguf.quants.quantize(np.ascontiguousarray(values, np.float32), Q.MXFP4)
    return raw.reshape(*values.shape[:-1], -1, 17), gguf.quants.dequantize(raw, Q.MXFP4)


def packed(raw):
    """GGUF's blocks (nibbles: elements 0..15, then 16..31) as the published folder's (pairs side by side) and scales."""
    scales, nibbles = raw[..., 0], raw[..., 1:]
    elements = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)
    return elements[..., 0::2] | (elements[..., 1::2] << 4), scales


def make_model(config, seed, dtype, name):
    """Random weights as make_llama.make_model, rounded to what the file's type holds; large router weights, so that the
    choice of experts is not a draw. Returns the model and the MXFP4 or quantised tensors by parameter."""
    generator = torch.Generator().manual_seed(seed)
    model = CLASSES[config.model_type][0](config).float().eval()
    raw = {}
    with torch.no_grad():
        for p_name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            transposed = config.model_type == "gpt_oss" and p_name.endswith("_proj") and p.dim() == 3
            inputs = p.shape[1] if transposed else p.shape[-1]
            if "sinks" in p_name:
                p.copy_(noise)
            elif p_name.endswith("bias"):
                p.copy_(0.3 * noise)
            elif p.dim() == 1:
                p.copy_(1 + 0.2 * noise)
            elif "embed" in p_name:
                p.copy_(noise)
            elif "mlp.gate.weight" in p_name or "router.weight" in p_name:
                p.copy_(3 * noise / inputs ** 0.5)
            else:
                p.copy_(noise * 1.6 / inputs ** 0.5)
            if name == "gpt_oss" and transposed:
                raw[p_name], values = mxfp4(p.transpose(1, 2).numpy())
                p.copy_(torch.from_numpy(values).reshape(p.transpose(1, 2).shape).transpose(1, 2))
            elif name == "mixtral_quant" and p.dim() > 1 and "mlp.gate" not in p_name:
                heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
                heads = next((h for k, h in heads.items() if k in p_name), None)
                values = p.numpy() if heads is None else permute(p.numpy(), heads)
                raw[p_name] = gguf.quants.quantize(np.ascontiguousarray(values), Q.Q5_1)
                values = gguf.quants.dequantize(raw[p_name], Q.Q5_1).reshape(p.shape)
                p.copy_(torch.from_numpy(values if heads is None else unpermute(values, heads)))
            else:
                p.copy_(p.to(dtype).float())
    return raw, model


def fast_logits(name, model, tokens):
    """What the fast path rounds: keys and values to float16; with MXFP4 experts their inputs to 16-bit integers."""
    module = CLASSES[model.config.model_type][1]
    hooks = [m.register_forward_hook(lambda _, args, out: out.half().float())
             for n, m in model.named_modules() if n.endswith("v_proj")]
    rotate = module.apply_rotary_pos_emb

    def rotate_and_round(*args, **kwargs):
        q, k = rotate(*args, **kwargs)
        return q, k.half().float()

    module.apply_rotary_pos_emb = rotate_and_round
    if name == "gpt_oss":
        for n, m in model.named_modules():
            if n.endswith("mlp.experts"):
                hooks.append(m.register_forward_pre_hook(lambda _, args: (rounded_blocks(args[0]), *args[1:])))
                m._apply_gate = (lambda own: lambda x: rounded_blocks(own(x)))(m._apply_gate)
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].numpy()
    module.apply_rotary_pos_emb = rotate
    for hook in hooks:
        hook.remove()
    for m in model.modules():
        m.__dict__.pop("_apply_gate", None)
    return logits


def gguf_writer(path, arch, c):
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_vocab_size(c.vocab_size)
    w.add_expert_count(c.num_experts if arch.startswith("qwen") else c.num_local_experts)
    w.add_expert_used_count(c.num_experts_per_tok)
    if arch == "llama":
        w.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    if arch in ("qwen3moe", "gpt-oss"):
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)
    if arch in ("qwen2moe", "qwen3moe"):
        w.add_expert_feed_forward_length(c.moe_intermediate_size)
    if arch == "qwen2moe":
        w.add_expert_shared_feed_forward_length(c.shared_expert_intermediate_size)
    if arch == "gpt-oss":
        w.add_expert_feed_forward_length(c.intermediate_size)
        w.add_sliding_window(c.sliding_window)
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(c.rope_parameters["factor"])
        w.add_rope_scaling_orig_ctx_len(c.rope_parameters["original_max_position_embeddings"])
    return w


NAMES = [("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
         ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"),
         ("input_layernorm", "attn_norm"), ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
         ("mlp.shared_expert.up_proj", "ffn_up_shexp"), ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
         ("mlp.gate", "ffn_gate_inp"), ("mlp.router", "ffn_gate_inp")]


def write_gguf(path, arch, model, qtype, raw):
    c = model.config
    state = {k: v.float().numpy() for k, v in model.state_dict().items()}
    w = gguf_writer(path, arch, c)

    def add(name, values, original=None):
        if original in raw:
            w.add_tensor(name, raw[original], raw_dtype=qtype)
        elif values.ndim == 1 or "ffn_gate_inp" in name or name.endswith(".bias"):
            w.add_tensor(name, np.ascontiguousarray(values))
        else:
            w.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(values), qtype), raw_dtype=qtype)

    add("token_embd.weight", state["model.embed_tokens.weight"], "model.embed_tokens.weight")
    add("output_norm.weight", state["model.norm.weight"])
    if not c.tie_word_embeddings:
        add("output.weight", state["lm_head.weight"], "lm_head.weight")
    for i in range(c.num_hidden_layers):
        hf, blk = f"model.layers.{i}.", f"blk.{i}."
        add(blk + ("post_attention_norm" if arch == "gpt-oss" else "ffn_norm") + ".weight",
            state[hf + "post_attention_layernorm.weight"])
        for a, b in NAMES:
            for kind in (".weight", ".bias"):
                t = state.get(hf + a + kind)
                if t is None:
                    continue
                heads = {"attn_q": c.num_attention_heads, "attn_k": c.num_key_value_heads}.get(b)
                add(blk + b + kind, permute(t, heads) if heads and arch == "llama" else t, hf + a + kind)
        if arch == "qwen2moe":
            add(blk + "ffn_gate_inp_shexp.weight", state[hf + "mlp.shared_expert_gate.weight"][0])
        if arch == "gpt-oss":
            add(blk + "attn_sinks.weight", state[hf + "self_attn.sinks"])
        write_experts(w, add, arch, state, hf, blk, raw)
    finish(w)


def write_experts(w, add, arch, state, hf, blk, raw):
    gate_up, down = hf + "mlp.experts.gate_up_proj", hf + "mlp.experts.down_proj"
    if arch != "gpt-oss":
        half = state[gate_up].shape[1] // 2
        for name, part in (("gate", slice(0, half)), ("up", slice(half, None))):
            if gate_up in raw:
                w.add_tensor(f"{blk}ffn_{name}_exps.weight", np.ascontiguousarray(raw[gate_up][:, part]),
                             raw_dtype=Q.Q5_1)
            else:
                add(f"{blk}ffn_{name}_exps.weight", state[gate_up][:, part])
        add(f"{blk}ffn_down_exps.weight", state[down], down)
        return
    for name, part in (("gate", slice(0, None, 2)), ("up", slice(1, None, 2))):
        add(f"{blk}ffn_{name}_exps.bias", state[gate_up + "_bias"][:, part])
        if gate_up in raw:
            blocks = np.ascontiguousarray(raw[gate_up][:, part])
            w.add_tensor(f"{blk}ffn_{name}_exps.weight", blocks.reshape(*blocks.shape[:2], -1), raw_dtype=Q.MXFP4)
        else:
            add(f"{blk}ffn_{name}_exps.weight", state[gate_up].transpose(0, 2, 1)[:, part])
    add(f"{blk}ffn_down_exps.bias", state[down + "_bias"])
    if down in raw:
        w.add_tensor(f"{blk}ffn_down_exps.weight", raw[down].reshape(*raw[down].shape[:2], -1), raw_dtype=Q.MXFP4)
    else:
        add(f"{blk}ffn_down_exps.weight", state[down].transpose(0, 2, 1))


def save_folder(folder, model, dtype, raw):
    model.to(dtype).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    if raw:  # as the published files have it
        config["quantization_config"] = dict(quant_method="mxfp4", modules_to_not_convert=[
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"])
        repack(folder / "model.safetensors", model, raw)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def repack(path, model, raw):
    from safetensors.torch import load_file as load_torch, save_file as save_torch
    tensors = load_torch(path)
    for name, blocks in raw.items():
        nibbles, scales = packed(blocks)
        back = convert_moe_packed_tensors(torch.from_numpy(nibbles), torch.from_numpy(scales), dtype=torch.float32)
        assert torch.equal(back, model.get_parameter(name).float()), name
        del tensors[name]
        tensors[name + "_blocks"] = torch.from_numpy(np.ascontiguousarray(nibbles))
        tensors[name + "_scales"] = torch.from_numpy(np.ascontiguousarray(scales))
    save_torch(tensors, path, metadata={"format": "pt"})


def main():
    torch.set_num_threads(2)
    logging.disable_progress_bar()
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    for name, (config, dtype, arch, qtype) in MODELS.items():
        print(name)
        config.max_position_embeddings = 512
        config._attn_implementation = config._experts_implementation = "eager"
        torch_dtype = getattr(torch, dtype or "float32")
        (raw, model), prompt, greedy, logits = first_good(
            lambda seed: make_model(config, seed, torch_dtype, name), config.vocab_size)
        if arch:
            write_gguf(HERE / f"{name}.gguf", arch, model, qtype, raw)
        save_file({"prompt": np.array(prompt, np.int32), "greedy": np.array(greedy, np.int32),
                   "logits": np.ascontiguousarray(logits, np.float32),
                   "fast.logits": np.ascontiguousarray(fast_logits(name, model, prompt + greedy[:-1]), np.float32)},
                  HERE / f"{name}.expected.safetensors")
        if dtype:
            save_folder(HERE / name, model, torch_dtype, raw if name == "gpt_oss" else None)
    for path in HERE.rglob("*.*"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
