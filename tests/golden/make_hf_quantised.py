"""Golden data for quantised Hugging Face folders: one small layer a method, and the weights that it stands for.

Birth certificate
  command   .venv/bin/python tests/golden/make_hf_quantised.py
  versions  torch 2.15.0 (CPU), transformers 5.24.0, safetensors 0.8.0, numpy 2.4.6, Python 3.11
  source    random integers and floats, seed below
            AWQ and GPTQ: written out here as AutoAWQ (WQLinear_GEMM, order_map) and AutoGPTQ (QuantLinear) pack
            FP8: transformers.integrations.finegrained_fp8.Fp8Dequantize in float32 where the blocks divide the matrix,
                 and the same product written out where they do not
            MXFP4: transformers.integrations.mxfp4.convert_moe_packed_tensors in float32
  licence   Apache-2.0, as the repository

Writes tests/golden/hf_quantised/<case>/: config.json, model.safetensors, expected.safetensors (float32, [out, in]; of
gptq_act_order the float32 weights, which Glia rounds to float16). llama_*: a whole model, whose expected.safetensors
holds tokens [24] and transformers' logits [24, 96] from the weights above in float32.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

HERE = pathlib.Path(__file__).parent / "hf_quantised"
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
rng = np.random.default_rng(4)


def save(name, quantisation, tensors, expected):
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"quantization_config": quantisation}, indent=1) + "\n")
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
    for path in folder.iterdir():
        path.chmod(0o644)


def pack(values, axis, order):
    """Eight 4-bit values of `axis` to an int32, value order[i] in nibble i."""
    v = np.moveaxis(values.astype(np.uint32), axis, -1)
    v = v.reshape(*v.shape[:-1], -1, 8)
    out = np.zeros(v.shape[:-1], np.uint32)
    for i, o in enumerate(order):
        out |= v[..., o] << np.uint32(4 * i)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(out, -1, axis)).view(np.int32))


def layer(inputs, outputs, group, scale_type=torch.float16):
    """q [in, out], zeros and scales [groups, out]."""
    groups = inputs // group
    q = rng.integers(0, 16, (inputs, outputs))
    zeros = rng.integers(0, 16, (groups, outputs))
    scales = torch.from_numpy(rng.uniform(0.001, 0.02, (groups, outputs)).astype(np.float32)).to(scale_type)
    return q, zeros, scales


def weights(q, zeros, scales, g):
    return torch.from_numpy(((q - zeros[g]) * scales.float().numpy()[g]).T.astype(np.float32))


def awq(name, inputs, outputs, group):
    q, zeros, scales = layer(inputs, outputs, group)
    save(name, {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True},
         {"x.qweight": pack(q, 1, ORDER), "x.qzeros": pack(zeros, 1, ORDER), "x.scales": scales,
          "y.weight": torch.ones(2, 3)},
         {"x.weight": weights(q, zeros, scales, np.arange(inputs) // group)})


def gptq(name, inputs, outputs, group, version=1, g=None, scale_type=torch.float16):
    size = inputs if group == -1 else group
    q, zeros, scales = layer(inputs, outputs, size, scale_type)
    act_order = g is not None
    g = np.arange(inputs) // size if g is None else g
    stored = (zeros - 1) % 16 if version == 1 else zeros
    save(name, {"quant_method": "gptq", "bits": 4, "group_size": group, "desc_act": act_order, "sym": False}
         | ({"checkpoint_format": "gptq_v2"} if version == 2 else {}),
         {"x.qweight": pack(q, 0, range(8)), "x.qzeros": pack(stored, 1, range(8)), "x.scales": scales,
          "x.g_idx": torch.from_numpy(g.astype(np.int32)), "x.bias": torch.zeros(outputs, dtype=torch.float16)},
         {"x.weight": weights(q, zeros, scales, g)})


def f8(name, quantisation, rows, cols, scale, suffix="weight_scale", block=None):
    w = torch.from_numpy(rng.standard_normal((rows, cols)).astype(np.float32) * 40).to(torch.float8_e4m3fn)
    if block:
        whole = scale.float().repeat_interleave(block, 0)[:rows].repeat_interleave(block, 1)[:, :cols]
    else:
        whole = scale.float().reshape(-1, 1).expand(rows, cols)
    expected = w.float() * whole
    grid = scale if scale.dim() == 2 else scale.reshape(-1, 1)
    if rows % grid.shape[0] == 0 and cols % grid.shape[1] == 0 and (not block or rows % block == cols % block == 0):
        theirs = Fp8Dequantize(None)._dequantize_one(w, grid, torch.float32)
        assert torch.equal(theirs, expected)
    save(name, quantisation, {"x.weight": w, f"x.{suffix}": scale, "x.input_scale": torch.tensor(0.5)},
         {"x.weight": expected})


def scales(*shape):
    return torch.from_numpy(rng.uniform(0.0005, 0.002, shape).astype(np.float32))


def compressed(strategy, **more):
    weights = {"num_bits": 8, "type": "float", "strategy": strategy, "symmetric": True, "dynamic": False} | more
    return {"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None}}}


def mxfp4():
    blocks = torch.from_numpy(rng.integers(0, 256, (2, 6, 3, 16), dtype=np.uint8))
    exponents = torch.from_numpy(rng.integers(118, 126, (2, 6, 3), dtype=np.uint8))
    expected = convert_moe_packed_tensors(blocks, exponents, dtype=torch.float32).transpose(1, 2)  # [2, 6, 96]
    save("mxfp4", {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
         {"x_blocks": blocks, "x_scales": exponents, "x_bias": torch.zeros(2, 6)}, {"x": expected})


SIZES = dict(vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=128, tie_word_embeddings=False,
             bos_token_id=0, eos_token_id=1)


def store_awq(name, inputs, outputs):
    q, zeros, scales = layer(inputs, outputs, 32)
    return ({name + ".qweight": pack(q, 1, ORDER), name + ".qzeros": pack(zeros, 1, ORDER), name + ".scales": scales},
            weights(q, zeros, scales, np.arange(inputs) // 32))


def store_gptq(name, inputs, outputs):
    q, zeros, scales = layer(inputs, outputs, 32)
    g = np.arange(inputs) // 32
    if "down_proj" in name:  # act-order, as one layer's kind of input may have it
        g = rng.permutation(g)
    tensors = {name + ".qweight": pack(q, 0, range(8)), name + ".qzeros": pack((zeros - 1) % 16, 1, range(8)),
               name + ".scales": scales, name + ".g_idx": torch.from_numpy(g.astype(np.int32)),
               name + ".bias": torch.zeros(outputs, dtype=torch.float16)}
    w = weights(q, zeros, scales, g)
    return tensors, (w.half().float() if "down_proj" in name else w)


def store_f8(name, inputs, outputs):
    w = torch.from_numpy(rng.standard_normal((outputs, inputs)).astype(np.float32) * 100).to(torch.float8_e4m3fn)
    scale = scales(1, 1)
    return {name + ".weight": w, name + ".weight_scale_inv": scale}, w.float() * scale


def llama(name, quantisation, store):
    """A random llama whose linear layers are `store`d, and transformers' logits from the weights that these stand for."""
    torch.manual_seed(5)
    config = LlamaConfig(**SIZES, initializer_range=0.3)
    model = LlamaForCausalLM(config).float().eval()
    tensors = {}
    for key, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and key != "lm_head":
            stored, values = store(key, module.in_features, module.out_features)
            tensors |= stored
            module.weight.data.copy_(values)
        elif hasattr(module, "weight"):
            module.weight.data.copy_(module.weight.data.half().float())
            tensors[key + ".weight"] = module.weight.data.half()
    tokens = torch.from_numpy(rng.integers(0, 96, 24))
    with torch.no_grad():
        logits = model(tokens[None]).logits[0]
    folder = HERE / name
    save(name, quantisation, tensors, {"tokens": tokens.int(), "logits": logits})
    written = json.loads(config.to_json_string(use_diff=False)) | {"quantization_config": quantisation}
    keep = {"architectures", "model_type", "hidden_act", "rms_norm_eps", "rope_parameters", "quantization_config", *SIZES}
    written = {k: v for k, v in written.items() if k in keep} | {"architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")


def main():
    awq("awq_g128", 256, 24, 128)
    awq("awq_g32", 96, 16, 32)
    awq("awq_g64", 128, 40, 64)
    gptq("gptq_v1", 256, 24, 128)
    gptq("gptq_v2", 96, 16, 32, version=2)
    gptq("gptq_whole", 128, 16, -1, scale_type=torch.bfloat16)
    gptq("gptq_act_order", 128, 24, 32, g=rng.permutation(np.arange(128) // 32))
    f8("fp8_tensor", {"quant_method": "fp8", "activation_scheme": "static"}, 20, 128, scales())
    f8("fp8_block", {"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}, 128, 256,
       scales(1, 2).to(torch.bfloat16), "weight_scale_inv", 128)
    f8("fp8_block_uneven", {"quant_method": "fp8", "weight_block_size": [128, 128]}, 140, 160, scales(2, 2),
       "weight_scale_inv", 128)
    f8("fbgemm", {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, 20, 96, scales(20, 1))
    f8("compressed_channel", compressed("channel"), 20, 128, scales(20, 1).to(torch.bfloat16))
    f8("compressed_tensor", compressed("tensor"), 20, 128, scales(1))
    f8("compressed_block", compressed("block", block_structure=[128, 128]), 128, 128, scales(1, 1), block=128)
    mxfp4()
    llama("llama_awq", {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}, store_awq)
    llama("llama_gptq", {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}, store_gptq)
    llama("llama_fp8", {"quant_method": "fp8", "weight_block_size": [128, 128]}, store_f8)


if __name__ == "__main__":
    main()
