#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "formats/quote_name.h"
#include "models/llama/config.h"
#include "models/llama/config_limits.h"

namespace glia::models::llama {
namespace {

using formats::GgufFile;

/// Keys that are read below, or that say nothing about the computation.
constexpr std::array<std::string_view, 18> kUnderstood = {
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.original_context_length",
    "llama.rope.scaling.finetuned",
    "llama.rope.scale_linear",
    "llama.vocab_size",  // the embedding table says it
    "llama.tensor_data_layout",
};

/// Keys that change the computation unless they hold this value.
struct Neutral {
  std::string_view key;
  double value;
};
constexpr std::array kNeutral = {
    Neutral{"llama.expert_count", 0},          Neutral{"llama.expert_used_count", 0},
    Neutral{"llama.attention.causal", 1},      Neutral{"llama.attention.sliding_window", 0},
    Neutral{"llama.attention.clamp_kqv", 0},   Neutral{"llama.attention.max_alibi_bias", 0},
    Neutral{"llama.logit_scale", 1},           Neutral{"llama.embedding_scale", 1},
    Neutral{"llama.residual_scale", 1},        Neutral{"llama.rope.scaling.attn_factor", 1},
    Neutral{"llama.use_parallel_residual", 0},
};

void check_neutral(const GgufFile& file, const Neutral& neutral) {
  const auto& value = file.metadata().find(neutral.key)->second;
  const bool* b = std::get_if<bool>(&value);
  const double number = b != nullptr ? (*b ? 1.0 : 0.0) : file.number(neutral.key);
  if (number != neutral.value)
    refuse("metadata key " + formats::quote_name(neutral.key) + " asks for what is not supported");
}

void check_keys(const GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with("llama.")) continue;
    const auto neutral =
        std::find_if(kNeutral.begin(), kNeutral.end(), [&k = key](const Neutral& n) { return n.key == k; });
    if (neutral != kNeutral.end()) {
      check_neutral(file, *neutral);
    } else if (std::find(kUnderstood.begin(), kUnderstood.end(), key) == kUnderstood.end()) {
      refuse("metadata key " + formats::quote_name(key) + " is not understood");
    }
  }
  if (file.find_uint("split.count").value_or(1) > 1) refuse("the model is split over several files; merge them first");
}

/// One number, or an array that repeats one number (files may give heads per layer).
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

RopeParameters read_rope(const GgufFile& file, std::int32_t head_dim) {
  RopeParameters rope;
  rope.theta = file.find_number("llama.rope.freq_base").value_or(10000.0);
  const auto dims = file.find_uint("llama.rope.dimension_count");
  if (dims && *dims != static_cast<std::uint64_t>(head_dim)) {
    refuse("llama.rope.dimension_count is " + std::to_string(*dims) + ", not the head dimension " +
           std::to_string(head_dim));
  }
  const auto legacy = file.find_number("llama.rope.scale_linear");
  const auto type = file.find_string("llama.rope.scaling.type").value_or(legacy ? "linear" : "none");
  if (type == "linear") {
    rope.scaling = RopeScaling::linear;
    rope.factor = file.find_number("llama.rope.scaling.factor").value_or(legacy.value_or(1.0));
  } else if (type != "none") {
    refuse("llama.rope.scaling.type " + formats::quote_name(type) + " is not supported");
  }
  return rope;
}

std::int32_t read_head_dim(const GgufFile& file, const Config& c) {
  if (const auto explicit_dim = file.find_uint("llama.attention.key_length")) {
    return dimension(*explicit_dim, kMostHeadDim, "llama.attention.key_length");
  }
  if (c.hidden % c.heads != 0) {
    refuse("llama.embedding_length " + std::to_string(c.hidden) + " is not a multiple of llama.attention.head_count " +
           std::to_string(c.heads));
  }
  return dimension(static_cast<std::uint64_t>(c.hidden / c.heads), kMostHeadDim, "the head dimension");
}

std::int32_t read_vocab(const GgufFile& file) {
  const auto embedding = file.find("token_embd.weight");
  if (!embedding) refuse("tensor \"token_embd.weight\" is missing");
  if (embedding->shape.size() != 2) refuse("tensor \"token_embd.weight\" is not a matrix");
  return dimension(embedding->shape[0], kMostVocab, "the rows of token_embd.weight");
}

}  // namespace

Config read_config(const GgufFile& file) {
  check_keys(file);
  Config c;
  c.rope_layout = kernels::RopeLayout::interleaved;
  c.vocab = read_vocab(file);
  c.hidden = dimension(file.uint("llama.embedding_length"), kMostWidth, "llama.embedding_length");
  c.layers = dimension(file.uint("llama.block_count"), kMostLayers, "llama.block_count");
  c.context = dimension(file.uint("llama.context_length"), kMostContext, "llama.context_length");
  c.ff = dimension(uniform(file, "llama.feed_forward_length"), kMostWidth, "llama.feed_forward_length");
  c.heads = dimension(uniform(file, "llama.attention.head_count"), kMostHeads, "llama.attention.head_count");
  c.kv_heads = file.has("llama.attention.head_count_kv") ? dimension(uniform(file, "llama.attention.head_count_kv"),
                                                                     kMostHeads, "llama.attention.head_count_kv")
                                                         : c.heads;
  c.head_dim = read_head_dim(file, c);
  if (file.find_uint("llama.attention.value_length").value_or(static_cast<std::uint64_t>(c.head_dim)) !=
      static_cast<std::uint64_t>(c.head_dim)) {
    refuse("llama.attention.value_length differs from the head dimension, which is not supported");
  }
  c.norm_eps = static_cast<float>(file.number("llama.attention.layer_norm_rms_epsilon"));
  c.tied = !file.find("output.weight").has_value();
  c.rope = read_rope(file, c.head_dim);
  check_config(c);
  return c;
}

}  // namespace glia::models::llama
