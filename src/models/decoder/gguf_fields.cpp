#include "models/decoder/gguf_fields.h"

#include <algorithm>
#include <array>

#include "formats/quote_name.h"
#include "models/decoder/limits.h"
#include "models/decoder/names.h"

namespace glia::models::decoder {
namespace {

using formats::GgufFile;

/// Keys that say nothing about the computation of the layers.
constexpr std::array kSilent = std::to_array<std::string_view>({
    "vocab_size",    // the embedding table says it
    "pooling_type",  // of an encoder, with what follows: encoder/modules.h
    "dense_2_feat_in",
    "dense_2_feat_out",
    "dense_3_feat_in",
    "dense_3_feat_out",
    "tensor_data_layout",
    "rope.scaling.finetuned",
});

/// Keys that change the computation unless they hold this value.
struct Neutral {
  std::string_view key;
  double value;
};
constexpr std::array kNeutral = {
    Neutral{"expert_count", 0},          Neutral{"expert_used_count", 0},
    Neutral{"attention.causal", 1},      Neutral{"attention.sliding_window", 0},
    Neutral{"attention.clamp_kqv", 0},   Neutral{"attention.max_alibi_bias", 0},
    Neutral{"logit_scale", 1},           Neutral{"embedding_scale", 1},
    Neutral{"residual_scale", 1},        Neutral{"rope.scaling.yarn_ext_factor", 1},
    Neutral{"use_parallel_residual", 0},
};

void check_neutral(const GgufFile& file, const std::string& key, double neutral) {
  const auto& value = file.metadata().find(key)->second;
  const bool* b = std::get_if<bool>(&value);
  const double number = b != nullptr ? (*b ? 1.0 : 0.0) : file.number(key);
  if (number != neutral) refuse("metadata key " + formats::quote_name(key) + " asks for what is not supported");
}

std::uint64_t uniform(const GgufFile& file, std::string_view key) {
  const auto it = file.metadata().find(key);
  if (it == file.metadata().end() || !std::holds_alternative<formats::GgufArray>(it->second)) return file.uint(key);
  const auto values = file.numbers(key);
  const bool equal =
      !values.empty() && std::all_of(values.begin(), values.end(), [&](double v) { return v == values.front(); });
  if (!equal || !(values.front() >= 0 && values.front() <= 4294967295.0)) {
    refuse("metadata key " + formats::quote_name(key) + " differs from layer to layer, which is not supported");
  }
  return static_cast<std::uint64_t>(values.front());
}

std::int32_t read_vocab(const GgufFile& file) {
  const auto embedding = file.find("token_embd.weight");
  if (!embedding) refuse("tensor \"token_embd.weight\" is missing");
  if (embedding->shape.size() != 2) refuse("tensor \"token_embd.weight\" is not a matrix");
  return dimension(embedding->shape[0], kMostVocab, "the rows of token_embd.weight");
}

std::int32_t read_head_dim(const GgufFields& f, const Config& c) {
  if (f.has("attention.key_length")) return f.dimension_at("attention.key_length", kMostHeadDim);
  if (c.hidden % c.heads != 0) {
    refuse(f.key("embedding_length") + " " + std::to_string(c.hidden) + " is not a multiple of " +
           f.key("attention.head_count") + " " + std::to_string(c.heads));
  }
  return dimension(static_cast<std::uint64_t>(c.hidden / c.heads), kMostHeadDim, "the head dimension");
}

/// Long context by factors of its own for every dimension: chosen once for all sequences, as llama.cpp does by the size
/// of its context. Here that is the model's.
void read_longrope(const GgufFields& f, std::int32_t original, Description& d) {
  constexpr auto kLong = "rope_factors_long.weight";
  constexpr auto kShort = "rope_factors_short.weight";
  if (!f.file().find(kLong)) return;
  d.config.ropes.front().divisors_tensor = d.config.context > original ? kLong : kShort;
  d.unused.insert(d.unused.end(), {kLong, kShort});
}

void read_rope(const GgufFields& f, double default_theta, Description& d) {
  RopeParameters rope;
  rope.theta = f.number_or("rope.freq_base", default_theta, 1.0 + 1e-6, 1e12);
  const bool scaled = f.has("rope.scaling.factor") || f.has("rope.scale_linear");
  const auto type = f.string_or("rope.scaling.type", scaled ? "linear" : "none");
  const double factor = f.number_or("rope.scaling.factor", f.number_or("rope.scale_linear", 1.0), 1e-3, 1e6);
  const auto original = f.dimension_or("rope.scaling.original_context_length", kMostContext, d.config.context);
  rope.attention_factor = static_cast<float>(f.number_or("rope.scaling.attn_factor", 1.0, 1e-3, 1e3));
  if (type == "linear") {
    rope.scaling = RopeScaling::linear;
    rope.factor = factor;
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::yarn;
    rope.factor = factor;
    rope.original_context = static_cast<double>(original);
    rope.beta_fast = f.number_or("rope.scaling.yarn_beta_fast", 32.0, 1e-3, 1e6);
    rope.beta_slow = f.number_or("rope.scaling.yarn_beta_slow", 1.0, 1e-3, 1e6);
    const double inferred = yarn_attention_factor(factor);
    rope.attention_factor *= static_cast<float>(f.number_or("rope.scaling.yarn_attn_factor", inferred, 1e-3, 1e3));
  } else if (type != "none" && !(type == "longrope" && f.file().find("rope_factors_long.weight"))) {
    refuse(f.key("rope.scaling.type") + " " + formats::quote_name(type) + " is not supported");
  }
  d.config.ropes = {{.parameters = rope, .divisors = {}, .divisors_tensor = {}}};
  read_longrope(f, original, d);
}

}  // namespace

GgufFields::GgufFields(const GgufFile& file) : file_(file), architecture_(file.string("general.architecture")) {}

const std::string& GgufFields::key(std::string_view name) const {
  return *read_.insert(architecture_ + "." + std::string(name)).first;
}

std::int32_t GgufFields::dimension_at(std::string_view name, std::uint64_t most) const {
  return dimension(uniform(file_, key(name)), most, key(name));
}

std::int32_t GgufFields::dimension_or(std::string_view name, std::uint64_t most, std::int32_t fallback) const {
  return has(name) ? dimension_at(name, most) : fallback;
}

std::int32_t GgufFields::window_or(std::int32_t fallback) const {
  const auto& name = key("attention.sliding_window");
  const auto value = file_.find_uint(name);
  return !value ? fallback : *value == 0 ? 0 : dimension(*value, kMostContext, name);
}

double GgufFields::number_or(std::string_view name, double fallback, double least, double most) const {
  return number_within(number_or(name, fallback), least, most, key(name));
}

void GgufFields::check_all_read() const {
  const std::string prefix = architecture_ + ".";
  for (const auto& [key, value] : file_.metadata()) {
    if (!key.starts_with(prefix) || read_.contains(key)) continue;
    const auto name = std::string_view(key).substr(prefix.size());
    if (std::find(kSilent.begin(), kSilent.end(), name) != kSilent.end()) continue;
    const auto neutral =
        std::find_if(kNeutral.begin(), kNeutral.end(), [&](const Neutral& n) { return n.key == name; });
    if (neutral == kNeutral.end()) refuse("metadata key " + formats::quote_name(key) + " is not understood");
    check_neutral(file_, key, neutral->value);
  }
}

Description read_common(const GgufFields& f, double default_theta) {
  Description d{.architecture = f.architecture(), .config = {}, .names = kGgufNames};
  Config& c = d.config;
  c.vocab = read_vocab(f.file());
  c.hidden = f.dimension_at("embedding_length", kMostWidth);
  c.layers.resize(static_cast<std::size_t>(f.dimension_at("block_count", kMostLayers)));
  c.context = f.dimension_at("context_length", kMostContext);
  c.ff = f.dimension_at("feed_forward_length", kMostWidth);
  c.heads = f.dimension_at("attention.head_count", kMostHeads);
  c.kv_heads = f.dimension_or("attention.head_count_kv", kMostHeads, c.heads);
  c.head_dim = read_head_dim(f, c);
  if (f.dimension_or("attention.value_length", kMostHeadDim, c.head_dim) != c.head_dim) {
    refuse(f.key("attention.value_length") + " differs from the head dimension, which is not supported");
  }
  c.rope_dims = f.dimension_or("rope.dimension_count", kMostHeadDim, c.head_dim);
  const auto has = [&f](std::string_view name) { return f.file().find(name).has_value(); };
  c.tied = !has("output.weight");
  if (has("blk.0.attn_qkv.weight")) d.names.qkv = ".attn_qkv";
  c.qkv_bias = has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias");
  c.attention_out_bias = has("blk.0.attn_output.bias");
  c.mlp_bias = has("blk.0.ffn_up.bias");
  c.head_bias = has("output.bias");
  read_rope(f, default_theta, d);
  return d;
}

}  // namespace glia::models::decoder
