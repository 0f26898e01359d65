"""Golden data for encoders: tiny random models in odd shapes, what transformers and sentence-transformers make of texts.

Birth certificate
  command   .venv/bin/python tests/golden/make_encoders.py [name ...]
  versions  torch 2.15.0 (CPU), transformers 5.24.0, sentence-transformers 6.2.0, tokenizers 0.23.3,
            gguf 0.19.0, safetensors 0.8.0, Python 3.11
  source    the weights are random numbers from the seeds below: nobody's work; the answers come from transformers' and
            sentence-transformers' classes in float32 with eager attention, each text by itself, without padding
  licence   Apache-2.0, as the repository

Per model, under tests/golden/encoders/:
  <name>/config.json, model.safetensors   as transformers saves them; where sentence-transformers saves the folder also
                                          modules.json and the modules' own
  <name>.expected.safetensors             lengths [texts] I32; tokens, types [n] I32, the texts end to end;
                                          states [n, hidden] F32, or logits [texts, labels] F32 of a classifier,
                                          vectors [texts, width] F32 of a sentence-transformers folder;
                                          fast.*: the same with weights rounded as the fast path rounds them
  <name>.gguf                             the same model as llama.cpp's converter writes it, where one is named below
  <name>.texts.json                       of folders with a tokenizer: texts, their ids and SentenceTransformer's vectors
"""

import copy
import json
import pathlib
import re
import shutil
import sys

import gguf
import numpy as np
import sentence_transformers as st
import tokenizers as tk
import torch
import transformers as tf
from safetensors.torch import save_file
from sentence_transformers.sentence_transformer import modules as st_modules
from sentence_transformers.base import modules as st_base
from transformers.utils import logging

import make_decoders

HERE = pathlib.Path(__file__).parent / "encoders"
LENGTHS = [1, 7, 30, 16, 3]

BERT = dict(vocab_size=71, hidden_size=36, num_attention_heads=3, intermediate_size=50, num_hidden_layers=2,
            max_position_embeddings=40)
ROBERTA = dict(vocab_size=67, hidden_size=40, num_attention_heads=5, intermediate_size=44, num_hidden_layers=3,
               max_position_embeddings=36, type_vocab_size=1, pad_token_id=1)
DISTIL = dict(vocab_size=61, dim=42, n_heads=6, hidden_dim=56, n_layers=2, max_position_embeddings=32)
WIDE = dict(vocab_size=59, hidden_size=64, num_attention_heads=2, intermediate_size=96, num_hidden_layers=2,
            max_position_embeddings=40)
QWEN3 = dict(vocab_size=57, hidden_size=44, num_attention_heads=6, num_key_value_heads=2, head_dim=10,
             intermediate_size=60, num_hidden_layers=3, max_position_embeddings=40)
QWEN3_WIDE = dict(QWEN3, hidden_size=64, num_attention_heads=4, head_dim=32, intermediate_size=96, num_hidden_layers=2)
GEMMA3 = dict(vocab_size=55, hidden_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
              intermediate_size=52, num_hidden_layers=4, max_position_embeddings=48, sliding_window=9,
              query_pre_attn_scalar=12, use_bidirectional_attention=True,
              layer_types=["sliding_attention", "full_attention"] * 2)
GEMMA3_WIDE = dict(GEMMA3, hidden_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                   intermediate_size=64, num_hidden_layers=6, sliding_window=16, query_pre_attn_scalar=16, layer_types=None)

# name: (configuration class, model class, configuration, dtype on disk)
MODELS = {
    "bert": (tf.BertConfig, tf.BertModel, dict(BERT), "float32"),
    "bert_relu_f16": (tf.BertConfig, tf.BertModel, dict(BERT, hidden_act="relu", layer_norm_eps=1e-5, type_vocab_size=3),
                      "float16"),
    "bert_wide": (tf.BertConfig, tf.BertModel, dict(WIDE), "float32"),
    "bert_masked_lm": (tf.BertConfig, tf.BertForMaskedLM, dict(BERT, num_hidden_layers=1), "float32"),
    "bert_classifier": (tf.BertConfig, tf.BertForSequenceClassification,
                        dict(BERT, num_labels=3, hidden_act="gelu_new"), "bfloat16"),
    "roberta": (tf.RobertaConfig, tf.RobertaModel, dict(ROBERTA, type_vocab_size=2), "float32"),
    "xlm_roberta_bf16": (tf.XLMRobertaConfig, tf.XLMRobertaModel, dict(ROBERTA), "bfloat16"),
    "xlm_roberta_reranker": (tf.XLMRobertaConfig, tf.XLMRobertaForSequenceClassification,
                             dict(ROBERTA, num_labels=1), "float32"),
    "roberta_multi_label": (tf.RobertaConfig, tf.RobertaForSequenceClassification,
                            dict(ROBERTA, num_labels=4, pad_token_id=5, problem_type="multi_label_classification"),
                            "float32"),
    "distilbert": (tf.DistilBertConfig, tf.DistilBertModel, dict(DISTIL), "float16"),
    "distilbert_sentiment": (tf.DistilBertConfig, tf.DistilBertForSequenceClassification,
                             dict(DISTIL, id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1}),
                             "float32"),
}
# name: (model, pooling, dense layers as (width, bias, activation), normalised)
SENTENCES = {
    "sentences_cls": ("bert_wide", "cls", [], True),
    "sentences_dense": ("bert_wide", "mean", [(48, True, torch.nn.Tanh()), (20, False, torch.nn.Identity())], True),
    "sentences_max": ("bert_wide", "max", [], False),
    "sentences_last": ("bert_wide", "lasttoken", [(33, True, torch.nn.Tanh())], False),
}
# Layers of decoders, as MODELS and SENTENCES.
DECODERS = {
    "qwen3": (tf.Qwen3Config, tf.Qwen3Model, dict(QWEN3), "float32"),
    "qwen3_window": (tf.Qwen3Config, tf.Qwen3Model, dict(QWEN3, use_sliding_window=True, sliding_window=6,
                                                         max_window_layers=1), "bfloat16"),
    "qwen3_wide": (tf.Qwen3Config, tf.Qwen3Model, dict(QWEN3_WIDE), "bfloat16"),
    "gemma3": (tf.Gemma3TextConfig, tf.Gemma3TextModel, dict(GEMMA3), "float32"),
    "gemma3_causal": (tf.Gemma3TextConfig, tf.Gemma3TextModel, dict(GEMMA3, use_bidirectional_attention=False), "bfloat16"),
    "gemma3_wide": (tf.Gemma3TextConfig, tf.Gemma3TextModel, dict(GEMMA3_WIDE), "bfloat16"),
}
DECODER_SENTENCES = {
    "qwen3_embedding": ("qwen3_wide", "lasttoken", [], True),
    "embedding_gemma": ("gemma3_wide", "mean", [(96, False, torch.nn.Identity()), (64, False, torch.nn.Identity())], True),
}


def fill(model, seed, dtype):
    """Random weights that a file of `dtype` holds: norms near one, biases that matter, attention that is not flat."""
    generator = torch.Generator().manual_seed(seed)
    around = 0 if isinstance(model, tf.Gemma3TextModel) else 1  # whose norms add the one themselves
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:
                p.copy_(0.3 * noise if name.endswith("bias") else around + 0.2 * noise)
            else:
                p.copy_(noise * (1.0 if "embeddings" in name else 1.6 / p.shape[1] ** 0.5))
            p.copy_(p.to(dtype).float())


def make_model(config_class, model_class, spec, seed, dtype):
    model = model_class(config_class(attn_implementation="eager", **spec)).float().eval()
    fill(model, seed, getattr(torch, dtype))
    return model


def make_texts(config, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    most = getattr(config, "type_vocab_size", 1)
    texts = []
    for n in LENGTHS:
        tokens = torch.randint(0, config.vocab_size, (n,), generator=generator)
        if n == 16 and config.pad_token_id is not None:
            tokens[5] = tokens[11] = config.pad_token_id  # spelt in a text, where nothing is padded
        types = torch.randint(0, most, (n,), generator=generator)
        texts.append((tokens, types))
    return texts


def run(model, texts):
    """Each text alone: states, or logits of a classifier."""
    rows = []
    for tokens, types in texts:
        extra = {"token_type_ids": types[None]} if hasattr(model.config, "type_vocab_size") else {}
        base = getattr(model, model.base_model_prefix, model) if "MaskedLM" in type(model).__name__ else model
        with torch.no_grad():
            out = base(input_ids=tokens[None], attention_mask=torch.ones_like(tokens)[None], **extra)
        rows.append(out.logits if hasattr(out, "logits") else out.last_hidden_state[0])
    return torch.cat(rows).contiguous()


def q8_0(w):
    """Rounded in blocks of 32 columns: the scale is float16(largest / 127), halves away from zero."""
    blocks = w.reshape(w.shape[0], -1, 32)
    scale = (blocks.abs().amax(-1, keepdim=True) / 127).half().float()
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
    x = blocks * inverse
    return ((torch.sign(x) * torch.floor(x.abs() + 0.5)).clamp(-127, 127) * scale).reshape(w.shape)


def rounded(model):
    """What the fast path multiplies: the layers' products in Q8_0 where their columns come in whole blocks."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if re.search(r"(^|\.)layers?\.", name) and p.dim() == 2 and p.shape[1] % 32 == 0:
                p.copy_(q8_0(p))
    return model


LETTERS = "abcdefghijklmnopqrstuvwxyz.:IQ"


def qwen_tokenizer():
    """Of bytes, with the end of text behind every text, as Qwen3 Embedding's."""
    words = [*LETTERS, "Ġ", "Ċ", "th", "the", "Ġthe", "<|endoftext|>", "<|im_end|>"]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the")]
    tokenizer = tk.Tokenizer(tk.models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tk.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_end|>"])
    end = tk.processors.TemplateProcessing("$A <|endoftext|>", "$A <|endoftext|> $B <|endoftext|>",
                                           [("<|endoftext|>", words.index("<|endoftext|>"))])
    tokenizer.post_processor = tk.processors.Sequence([tk.processors.ByteLevel(trim_offsets=False), end])
    return tokenizer, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def gemma_tokenizer():
    """Of characters, between a first and a last token, as EmbeddingGemma's."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", *LETTERS, "▁", "th", "the", "▁the"]
    merges = [("t", "h"), ("th", "e"), ("▁", "the")]
    tokenizer = tk.Tokenizer(tk.models.BPE({word: i for i, word in enumerate(words)}, merges, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = tk.normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = tk.pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = tk.decoders.Sequence([tk.decoders.Replace("▁", " "), tk.decoders.Fuse()])
    tokenizer.add_special_tokens(words[:4])
    tokenizer.post_processor = tk.processors.TemplateProcessing("<bos> $A <eos>", "<bos> $A <eos> <bos> $B <eos>",
                                                                [("<bos>", 2), ("<eos>", 1)])
    return tokenizer, {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}


TOKENIZERS = {"qwen3_embedding": qwen_tokenizer, "embedding_gemma": gemma_tokenizer}
TEXTS = ["the red bicycle", "a", "the bus at eight.", "Instruct: go\nQuery:bus", "die fähre: früh"]


def save_texts(name, folder):
    """A tokenizer, and what SentenceTransformer itself makes of texts."""
    tokenizer, special = TOKENIZERS[name]()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special}, indent=1) + "\n")
    prompts = {"prompts": {"query": "Instruct: go\nQuery:", "document": ""}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts, indent=1) + "\n")
    whole = st.SentenceTransformer(str(folder), device="cpu",
                                   model_kwargs={"attn_implementation": "eager", "dtype": torch.float32})
    rows = []
    for text in TEXTS:
        ids = whole.tokenizer(text)["input_ids"]
        assert ids == tokenizer.encode(text).ids and len(ids) <= 24, ids
        rows.append({"text": text, "ids": ids, "vector": [float(x) for x in whole.encode(text)]})
    (HERE / f"{name}.texts.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def gguf_tensors(model, modules, arch):
    """Named and changed as llama.cpp's converter does."""
    for name, p in model.state_dict().items():
        values = p.float().numpy() + (1 if arch == "gemma-embedding" and name.endswith("norm.weight") else 0)
        yield make_decoders.gguf_name("model." + name, "gemma3" if arch == "gemma-embedding" else arch), values
    for i, layer in enumerate([m for m in modules if isinstance(m, st_base.Dense)], 2):
        yield f"dense_{i}.weight", layer.linear.weight.detach().numpy()


def write_gguf(path, name, model, modules):
    c = model.config
    arch, pooling = {"qwen3_embedding": ("qwen3", gguf.PoolingType.LAST),
                     "embedding_gemma": ("gemma-embedding", gguf.PoolingType.MEAN)}[name]
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    make_decoders.add_rope(w, c, arch)
    w.add_pooling_type(pooling)
    if arch == "gemma-embedding":
        w.add_sliding_window((c.sliding_window - 1) * 2)
        for i, layer in enumerate([m for m in modules if isinstance(m, st_base.Dense)], 2):
            w.add_dense_features_dims(f"dense_{i}", layer.linear.in_features, layer.linear.out_features)
    add_vocabulary(w, name)
    for tensor, values in gguf_tensors(model, modules, arch):
        qtype = gguf.GGMLQuantizationType.BF16 if values.ndim == 2 and "dense" not in tensor else gguf.GGMLQuantizationType.F32
        w.add_tensor(tensor, gguf.quants.quantize(np.ascontiguousarray(values), qtype), raw_dtype=qtype)
    make_decoders.finish(w)


def add_vocabulary(w, name):
    tokenizer, special = TOKENIZERS[name]()
    content = json.loads(tokenizer.to_str())
    words = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    of = lambda key: tokenizer.token_to_id(special[key])
    control = set(special.values())
    w.add_tokenizer_model("gpt2" if name == "qwen3_embedding" else "llama")
    w.add_token_list(words)
    w.add_token_types([gguf.TokenType.CONTROL if word in control else gguf.TokenType.NORMAL for word in words])
    if name == "qwen3_embedding":
        w.add_tokenizer_pre("qwen2")
        w.add_token_merges([" ".join(pair) for pair in content["model"]["merges"]])
        w.add_eos_token_id(of("pad_token"))  # what stands behind a text
    else:
        w.add_token_scores([0.0 if word in control or len(word) == 1 else float(len(word)) for word in words])
        w.add_bos_token_id(of("bos_token"))
        w.add_eos_token_id(of("eos_token"))
        w.add_unk_token_id(of("unk_token"))
        w.add_add_space_prefix(False)
    w.add_pad_token_id(of("pad_token"))
    w.add_add_bos_token(name != "qwen3_embedding")
    w.add_add_eos_token(True)


def as_published(config):
    """As transformers 4 wrote the folders that Qwen and Google published: rotary fields apart, a decoder's class."""
    ropes = config.pop("rope_parameters")
    full = ropes.get("full_attention", ropes)
    config.update(rope_theta=full["rope_theta"], rope_scaling=None)
    if "sliding_attention" in ropes:
        config.update(rope_local_base_freq=ropes["sliding_attention"]["rope_theta"], _sliding_window_pattern=6)
    if config["architectures"] == ["Qwen3Model"]:
        config["architectures"] = ["Qwen3ForCausalLM"]
        config.pop("layer_types")


def save_folder(folder, published=False):
    """Without the fields that say who wrote it."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.pop("transformers_version", None)
    if published:
        as_published(config)
    path.write_text(json.dumps(config, indent=1) + "\n")


def texts_of(texts):
    ints = lambda parts: torch.cat(parts).to(torch.int32)
    return {"lengths": torch.tensor([len(t) for t, _ in texts], dtype=torch.int32),
            "tokens": ints([t for t, _ in texts]), "types": ints([t for _, t in texts])}


def make(name, seed):
    config_class, model_class, spec, dtype = (MODELS | DECODERS)[name]
    model = make_model(config_class, model_class, spec, seed, dtype)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    copy.deepcopy(model).to(getattr(torch, dtype)).save_pretrained(folder)
    save_folder(folder)
    texts = make_texts(model.config, seed)
    what = "logits" if "Classification" in model_class.__name__ else "states"
    expected = {what: run(model, texts), "fast." + what: run(rounded(model), texts)}
    save_file({**texts_of(texts), **expected}, HERE / f"{name}.expected.safetensors")


def make_sentences(name, seed):
    base, pooling, dense, normalised = (SENTENCES | DECODER_SENTENCES)[name]
    config_class, model_class, spec, dtype = (MODELS | DECODERS)[base]
    model = make_model(config_class, model_class, spec, seed, dtype)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(2000 + seed)
    modules = [st_modules.Pooling(model.config.hidden_size, pooling_mode=pooling)]
    width = model.config.hidden_size
    for out, bias, activation in dense:
        layer = st_base.Dense(width, out, bias=bias, activation_function=activation)
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / width ** 0.5)
        modules.append(layer)
        width = out
    if normalised:
        modules.append(st_base.Normalize())
    copy.deepcopy(model).to(getattr(torch, dtype)).save_pretrained(folder)
    save_folder(folder, published=name in DECODER_SENTENCES)
    model = model_class.from_pretrained(folder, attn_implementation="eager").float().eval()
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for i, module in enumerate(modules, 1):
        path = f"{i}_{type(module).__name__}"
        (folder / path).mkdir()
        module.save(str(folder / path))
        listed.append({"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{type(module).__name__}"})
    for readme in folder.rglob("2_Normalize/*"):
        readme.unlink()
    (folder / "modules.json").write_text(json.dumps(listed, indent=1) + "\n")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24, "do_lower_case": False}) + "\n")
    if name in TOKENIZERS:
        save_texts(name, folder)
        write_gguf(HERE / f"{name}.gguf", name, model, modules)
    texts = make_texts(model.config, seed)

    def vectors(model):
        rows = []
        for tokens, types in texts:
            states = run(model, [(tokens, types)])
            features = {"token_embeddings": states[None], "attention_mask": torch.ones(1, len(tokens), dtype=torch.int64)}
            with torch.no_grad():
                for module in modules:
                    features = module(features)
            rows.append(features["sentence_embedding"])
        return torch.cat(rows).contiguous()

    save_file({**texts_of(texts), "vectors": vectors(model), "fast.vectors": vectors(rounded(model))},
              HERE / f"{name}.expected.safetensors")


def main():
    logging.set_verbosity_error()
    HERE.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    for seed, name in enumerate([*MODELS, *SENTENCES, *DECODERS, *DECODER_SENTENCES], 1):
        if wanted and name not in wanted:
            continue
        print(name)
        (make if name in MODELS or name in DECODERS else make_sentences)(name, seed)


if __name__ == "__main__":
    main()
