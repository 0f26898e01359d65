"""Golden data for SmolLM2-135M-Instruct: what transformers makes of the very weights that the GGUF holds.

Birth certificate
  command   .venv/bin/python tests/golden/make_smollm2.py [SmolLM2-135M-Instruct.Q4_1.gguf]
  versions  torch 2.15.0 (CPU), transformers 5.24.0, safetensors 0.8.0, gguf 0.19.0, numpy 2.4.6, Python 3.11
  source    weights: SmolLM2-135M-Instruct (Hugging Face TB, Apache-2.0), Q4_1, dequantised by the gguf package, run by
            LlamaForCausalLM in float32 with eager attention; texts: the prompts below, this repository's LICENSE,
            technical.txt (of its docs) and prose.txt, the opening of Pride and Prejudice (Jane Austen, 1813; public domain)
  licence   Apache-2.0, as the repository

Writes tests/golden/smollm2/expected.safetensors:
  prompt.<i> [p] I32, greedy.<i> [64] I32
  top.<i>.rows [k] I32        tokens of prompt + greedy behind which logits were kept
  top.<i>.ids [k, 32] I32, top.<i>.logits [k, 32] F32   the 32 best, best first
  text [4, 512] I32           four windows of real text
  text.nll [4] F32            mean -log p of tokens 1 to 511 of each window, in nats
  text.fast [3] F32           over the windows, transformers with the fast path's roundings (16-bit inputs of every
                              product, float16 keys and values) against itself: share of equal best tokens, mean KL,
                              perplexity - 1
"""

import os
import pathlib
import sys

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from make_llama import fast_path

ROOT = pathlib.Path(__file__).parents[2]
HERE = pathlib.Path(__file__).parent / "smollm2"
GREEDY, KEPT, WINDOW = 64, 32, 512

CHAT = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [
    CHAT.format("You are a helpful AI assistant named SmolLM, trained by Hugging Face",
                "What is the capital of France, and what is it known for?"),
    CHAT.format("Answer in one short paragraph.", "Explain to a child why the sky is blue."),
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "The history of bread begins",
]


def default_path():
    data = os.environ.get("XDG_DATA_HOME") or str(pathlib.Path.home() / ".local/share")
    return pathlib.Path(os.environ.get("GLIA_MODELS") or data + "/glia/models") / "SmolLM2-135M-Instruct.Q4_1.gguf"


def scalar(reader, key):
    return reader.fields[key].contents()


def unpermute(w, heads):
    """llama.cpp's interleaved pairs back to Hugging Face's halves."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def load(path):
    reader = gguf.GGUFReader(path)
    heads, kv_heads = scalar(reader, "llama.attention.head_count"), scalar(reader, "llama.attention.head_count_kv")
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    config = LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=scalar(reader, "llama.embedding_length"),
        intermediate_size=scalar(reader, "llama.feed_forward_length"),
        num_hidden_layers=scalar(reader, "llama.block_count"), num_attention_heads=heads, num_key_value_heads=kv_heads,
        max_position_embeddings=scalar(reader, "llama.context_length"),
        rms_norm_eps=scalar(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters=dict(rope_type="default", rope_theta=scalar(reader, "llama.rope.freq_base")),
        tie_word_embeddings="output.weight" not in tensors, attn_implementation="eager")
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    layer = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {}
    for name, values in tensors.items():
        parts = name.removesuffix(".weight").split(".")
        if parts[0] == "blk":
            if parts[2] in ("attn_q", "attn_k"):
                values = unpermute(values, heads if parts[2] == "attn_q" else kv_heads)
            target = f"model.layers.{parts[1]}.{layer[parts[2]]}.weight"
        else:
            target = names[parts[0]] + ".weight"
        state[target] = torch.from_numpy(np.array(values, np.float32))
    model = LlamaForCausalLM(config).float().eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model


def greedy(model, prompt):
    """Greedy tokens, all logits, and the smallest lead of a best logit over the second."""
    tokens, margin, cache, step = [], float("inf"), None, list(prompt)
    with torch.no_grad():
        for _ in range(GREEDY):
            out = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
            best = torch.topk(out.logits[0, -1], 2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            tokens.append(int(best.indices[0]))
            cache, step = out.past_key_values, tokens[-1:]
        return tokens, model(torch.tensor([list(prompt) + tokens[:-1]])).logits[0], margin


def windows(tokenizer):
    texts = [ROOT / "LICENSE", HERE / "prose.txt", HERE / "technical.txt"]
    ids = [tokenizer.encode(p.read_text(), add_special_tokens=False) for p in texts]
    print("text tokens:", [len(i) for i in ids])
    return np.array([ids[0][200:200 + WINDOW], ids[1][:WINDOW], ids[2][:WINDOW], ids[0][1200:1200 + WINDOW]], np.int32)


def text_figures(model, text):
    """Per window, so that no more than two windows' logits are in memory."""
    products = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    nll, fast_nll, agree, kl = [], [], [], []
    for window in text:
        ids = torch.from_numpy(window).long()
        with torch.no_grad():
            exact = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
            with fast_path(model, products):
                fast = torch.log_softmax(model(ids[None]).logits[0].double(), -1)
        nll.append(float(torch.nn.functional.nll_loss(exact[:-1], ids[1:])))
        fast_nll.append(float(torch.nn.functional.nll_loss(fast[:-1], ids[1:])))
        agree.append(float((exact.argmax(-1) == fast.argmax(-1)).float().mean()))
        kl.append(float((exact.exp() * (exact - fast)).sum(-1).mean()))
    figures = [np.mean(agree), np.mean(kl), np.exp(np.mean(fast_nll) - np.mean(nll)) - 1]
    print("nll of the windows:", nll, "fast path's agreement, KL, perplexity:", figures)
    return {"text.nll": np.array(nll, np.float32), "text.fast": np.array(figures, np.float32)}


def main():
    torch.set_num_threads(2)
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default_path()
    model = load(path)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    out = {}
    for i, text in enumerate(PROMPTS):
        prompt = tokenizer.encode(text, add_special_tokens=False)
        tokens, logits, margin = greedy(model, prompt)
        print(f"prompt {i}: {len(prompt)} tokens, least margin {margin:.4f}, answer {tokenizer.decode(tokens)!r}")
        rows = np.array([0, len(prompt) // 2, len(prompt) - 1, len(prompt) + 20, logits.shape[0] - 1], np.int32)
        best = torch.topk(logits[rows.tolist()], KEPT)
        out |= {f"prompt.{i}": np.array(prompt, np.int32), f"greedy.{i}": np.array(tokens, np.int32),
                f"top.{i}.rows": rows, f"top.{i}.ids": best.indices.numpy().astype(np.int32),
                f"top.{i}.logits": best.values.numpy()}
    out["text"] = windows(tokenizer)
    out |= text_figures(model, out["text"])
    save_file(out, HERE / "expected.safetensors")
    (HERE / "expected.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
