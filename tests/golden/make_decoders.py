"""Golden data for the decoder families beside llama: tiny random models in odd shapes, their logits and greedy tokens by
transformers.

Birth certificate
  command   .venv/bin/python tests/golden/make_decoders.py [name ...]
  versions  torch 2.15.0 (CPU), transformers 5.24.0, safetensors 0.8.0, gguf 0.19.0, numpy 2.4.6, Python 3.11
  source    the weights are random numbers from the seeds below: nobody's work; the answers come from transformers'
            classes in float32 with eager attention
  licence   Apache-2.0, as the repository

Per model, under tests/golden/decoders/, the files that make_llama.py describes. Names, keys and changes of the tensors in
the GGUF files are those of llama.cpp's converter: q and k of llama and mistral in pairs, 1 added to Gemma's norms, Phi-3's
fused gate and up as ffn_up, longrope's factors as tensors.
"""

import contextlib
import json
import math
import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers as tf
from safetensors.numpy import save_file
from transformers.utils import logging

import make_llama
from make_llama import finish, first_good, permute

HERE = pathlib.Path(__file__).parent / "decoders"
Q = gguf.GGMLQuantizationType

COMMON = dict(max_position_embeddings=512, bos_token_id=0, eos_token_id=1, pad_token_id=None, attn_implementation="eager")
ROPE = dict(rope_theta=10000.0, rope_type="default")
LONG = [1.0, 1.1, 1.3, 1.9, 2.7, 4.0]
SHORT = [1.0, 1.02, 1.05, 1.1, 1.3, 1.6]

GEMMA3_TEXT = dict(vocab_size=71, hidden_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
                   intermediate_size=52, num_hidden_layers=7, sliding_window=8, query_pre_attn_scalar=12,
                   rope_parameters=dict(full_attention=dict(rope_theta=1e6, rope_type="linear", factor=8.0),
                                        sliding_attention=dict(rope_theta=10000.0, rope_type="default")))
MISTRAL_TEXT = dict(vocab_size=61, hidden_size=36, num_attention_heads=6, num_key_value_heads=2, head_dim=8,
                    intermediate_size=50, num_hidden_layers=2, sliding_window=None, rope_parameters=ROPE)

# name: (configuration class, model class, configuration, GGUF architecture or None)
MODELS = {
    "llama_yarn_biases": (tf.LlamaConfig, tf.LlamaForCausalLM, dict(
        vocab_size=73, hidden_size=36, num_attention_heads=6, num_key_value_heads=3, head_dim=12, intermediate_size=54,
        num_hidden_layers=2, attention_bias=True, mlp_bias=True, rope_parameters=dict(
            rope_theta=10000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=48, beta_fast=8.0)), "llama"),
    "mistral_window": (tf.MistralConfig, tf.MistralForCausalLM, dict(
        vocab_size=83, hidden_size=42, num_attention_heads=4, num_key_value_heads=2, head_dim=14, intermediate_size=58,
        num_hidden_layers=3, sliding_window=9, rope_parameters=ROPE), "llama"),
    "qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM, dict(
        vocab_size=79, hidden_size=40, num_attention_heads=5, num_key_value_heads=1, intermediate_size=70,
        num_hidden_layers=2, tie_word_embeddings=True, rope_parameters=dict(rope_theta=1e6, rope_type="default")), "qwen2"),
    "qwen2_window_yarn": (tf.Qwen2Config, tf.Qwen2ForCausalLM, dict(
        vocab_size=67, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=46,
        num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1, rope_parameters=dict(
            rope_theta=10000.0, rope_type="yarn", factor=3.0, original_max_position_embeddings=32, truncate=False,
            mscale=1.2, mscale_all_dim=0.7)), None),
    "qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM, dict(
        vocab_size=89, hidden_size=44, num_attention_heads=6, num_key_value_heads=2, head_dim=10, intermediate_size=60,
        num_hidden_layers=3, rope_parameters=dict(rope_theta=1e6, rope_type="default")), "qwen3"),
    "gemma": (tf.GemmaConfig, tf.GemmaForCausalLM, dict(
        vocab_size=77, hidden_size=36, num_attention_heads=3, num_key_value_heads=1, head_dim=16, intermediate_size=66,
        num_hidden_layers=2, rope_parameters=ROPE), "gemma"),
    "gemma2": (tf.Gemma2Config, tf.Gemma2ForCausalLM, dict(
        vocab_size=81, hidden_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=14, intermediate_size=62,
        num_hidden_layers=3, sliding_window=7, query_pre_attn_scalar=14, attn_logit_softcapping=3.0,
        final_logit_softcapping=8.0, rope_parameters=ROPE), "gemma2"),
    "gemma2_scaled": (tf.Gemma2Config, tf.Gemma2ForCausalLM, dict(
        vocab_size=59, hidden_size=32, num_attention_heads=4, num_key_value_heads=4, head_dim=10, intermediate_size=34,
        num_hidden_layers=2, sliding_window=11, query_pre_attn_scalar=8, attn_logit_softcapping=None,
        final_logit_softcapping=None, rope_parameters=ROPE), None),
    "gemma3": (tf.Gemma3TextConfig, tf.Gemma3ForCausalLM, GEMMA3_TEXT, "gemma3"),
    "gemma3_vision": (tf.Gemma3Config, tf.Gemma3ForConditionalGeneration, dict(
        text_config=dict(GEMMA3_TEXT, num_hidden_layers=2, max_position_embeddings=512), vision_config=dict(
            model_type="siglip_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=2, image_size=16, patch_size=8), mm_tokens_per_image=4), None),
    "mistral3_vision": (tf.Mistral3Config, tf.Mistral3ForConditionalGeneration, dict(
        text_config=dict(MISTRAL_TEXT, model_type="mistral", max_position_embeddings=512), vision_config=dict(
            model_type="pixtral", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
            head_dim=4, image_size=16, patch_size=8), spatial_merge_size=1), None),
    "phi2": (tf.PhiConfig, tf.PhiForCausalLM, dict(
        vocab_size=69, hidden_size=40, num_attention_heads=5, intermediate_size=160, num_hidden_layers=3,
        rope_parameters=dict(ROPE, partial_rotary_factor=0.5)), "phi2"),
    "phi3_window": (tf.Phi3Config, tf.Phi3ForCausalLM, dict(
        vocab_size=75, hidden_size=48, num_attention_heads=4, num_key_value_heads=2, intermediate_size=52,
        num_hidden_layers=2, sliding_window=10, original_max_position_embeddings=512, rope_parameters=ROPE), "phi3"),
    "phi3_longrope": (tf.Phi3Config, tf.Phi3ForCausalLM, dict(
        vocab_size=65, hidden_size=48, num_attention_heads=3, num_key_value_heads=1, intermediate_size=44,
        num_hidden_layers=2, tie_word_embeddings=True, original_max_position_embeddings=16, rope_parameters=dict(
            rope_theta=10000.0, rope_type="longrope", partial_rotary_factor=0.75, long_factor=LONG,
            short_factor=SHORT)), "phi3"),
    "phi3_shortrope": (tf.Phi3Config, tf.Phi3ForCausalLM, dict(
        vocab_size=63, hidden_size=36, num_attention_heads=3, num_key_value_heads=3, intermediate_size=40,
        num_hidden_layers=2, original_max_position_embeddings=512, rope_parameters=dict(
            rope_theta=10000.0, rope_type="longrope", long_factor=LONG, short_factor=SHORT)), None),
    "falcon": (tf.FalconConfig, tf.FalconForCausalLM, dict(
        vocab_size=87, hidden_size=42, num_attention_heads=7, num_hidden_layers=2, new_decoder_architecture=False,
        multi_query=True, parallel_attn=True, bias=False, alibi=False, rope_parameters=ROPE), "falcon"),
}


def make_model(config_class, model_class, spec, seed):
    """As make_llama's: random weights that a BF16 file holds, norms near one, biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    model = model_class(config_class(**COMMON, **spec)).float().eval()
    gemma = "Gemma" in model_class.__name__
    around = 0.0 if gemma else 1.0  # its norms add the one themselves
    embedding = 0.3 if gemma else 1.0  # its head is the table and its residual starts with it: else tokens only repeat
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:
                p.copy_(0.3 * noise if name.endswith("bias") else around + 0.2 * noise)
            else:
                p.copy_(noise * (embedding if "embed_tokens" in name else 1.6) / math.prod(p.shape[1:]) ** 0.5)
            p.copy_(p.to(torch.bfloat16).float())
    return model


@contextlib.contextmanager
def fast_path(model):
    """What the fast path rounds where no weight is quantised: keys and values to float16."""
    modules = {sys.modules[type(m).__module__] for m in model.modules()}
    patched = []
    for module in modules:
        eager = getattr(module, "eager_attention_forward", None)
        if eager is None:
            continue

        def rounded(mod, query, key, value, *args, eager=eager, **kwargs):
            return eager(mod, query, key.half().float(), value.half().float(), *args, **kwargs)

        module.eager_attention_forward = rounded
        patched.append((module, eager))
    yield
    for module, eager in patched:
        module.eager_attention_forward = eager


def save_expected(name, model, prompt, greedy, logits):
    out = {"prompt": np.array(prompt, np.int32), "greedy": np.array(greedy, np.int32),
           "logits": np.ascontiguousarray(logits, np.float32)}
    with torch.no_grad(), fast_path(model):
        fast = model(torch.tensor([prompt + greedy[:-1]])).logits[0].numpy()
    difference = np.sqrt(((fast - logits) ** 2).mean() / (logits ** 2).mean())
    print(f"  the fast path's error: {difference:.6f} of the logits' rms")
    if "Falcon" not in type(model).__name__:  # whose class has its attention in itself, beyond the hook above
        out["fast.logits"] = np.ascontiguousarray(fast, np.float32)
    save_file(out, HERE / f"{name}.expected.safetensors")


LAYER = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.qkv_proj": "attn_qkv", "self_attention.query_key_value": "attn_qkv",
         "self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output", "self_attention.dense": "attn_output",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "post_attention_layernorm": "ffn_norm", "pre_feedforward_layernorm": "ffn_norm",
         "post_feedforward_layernorm": "post_ffw_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
         "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down"}
OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "model.final_layernorm": "output_norm",
         "lm_head": "output", "transformer.word_embeddings": "token_embd", "transformer.ln_f": "output_norm"}


def gguf_name(name, arch):
    stem, kind = name.rsplit(".", 1)
    if stem in OUTER:
        return f"{OUTER[stem]}.{kind}"
    parts = stem.split(".")
    layer, rest = parts[2], ".".join(parts[3:])
    short = LAYER[rest]
    if arch in ("gemma2", "gemma3") and rest == "post_attention_layernorm":
        short = "post_attention_norm"
    return f"blk.{layer}.{short}.{kind}"


def add_rope(w, c, arch):
    rope = c.rope_parameters.get("full_attention", c.rope_parameters)
    w.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    if arch == "phi3":
        w.add_rope_scaling_orig_ctx_len(c.original_max_position_embeddings)
    if rope["rope_type"] == "longrope":
        scale = c.max_position_embeddings / c.original_max_position_embeddings
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(c.original_max_position_embeddings)))
        w.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))
    if "sliding_attention" in c.rope_parameters:
        w.add_rope_freq_base_swa(c.rope_parameters["sliding_attention"]["rope_theta"])


def write_gguf(path, model, arch):
    c = model.config
    w = gguf.GGUFWriter(path, arch)
    kv_heads = 1 if arch == "falcon" else c.num_key_value_heads
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(4 * c.hidden_size if arch in ("falcon", "phi2") else c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(kv_heads)
    if arch == "falcon":
        w.add_layer_norm_eps(c.layer_norm_epsilon)
        w.add_tensor_data_layout("jploski")
    elif arch == "phi2":
        w.add_layer_norm_eps(c.layer_norm_eps)
    else:
        w.add_layer_norm_rms_eps(c.rms_norm_eps)
    if arch in ("phi2", "phi3"):
        w.add_rope_dimension_count(int(head_dim * c.rope_parameters.get("partial_rotary_factor", 1.0)))
    elif arch != "falcon":
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
    add_rope(w, c, arch)
    if getattr(c, "sliding_window", None) or arch == "phi3":
        w.add_sliding_window(c.sliding_window or 0)
    if arch == "gemma2":
        w.add_attn_logit_softcapping(c.attn_logit_softcapping)
        w.add_final_logit_softcapping(c.final_logit_softcapping)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        values = tensor.float().numpy()
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = c.num_attention_heads if "q_proj" in name else kv_heads
            values = permute(values.reshape(len(values), -1), heads).reshape(values.shape)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            values = values + 1
        qtype = Q.BF16 if values.ndim == 2 else Q.F32
        w.add_tensor(gguf_name(name, arch), gguf.quants.quantize(np.ascontiguousarray(values), qtype), raw_dtype=qtype)
    finish(w)


def main():
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    wanted = sys.argv[1:] or list(MODELS)
    if not sys.argv[1:]:
        shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        config_class, model_class, spec, arch = MODELS[name]
        print(name)
        vocab = spec.get("text_config", spec)["vocab_size"]
        (_, model), prompt, greedy, logits = first_good(
            lambda seed: (None, make_model(config_class, model_class, spec, seed)), vocab)
        if arch:
            write_gguf(HERE / f"{name}.gguf", model, arch)
        save_expected(name, model, prompt, greedy, logits)
        model.to(torch.bfloat16).save_pretrained(HERE / name)
        (HERE / name / "generation_config.json").unlink(missing_ok=True)
        config = json.loads((HERE / name / "config.json").read_text())
        (HERE / name / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    for path in HERE.rglob("*.*"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
