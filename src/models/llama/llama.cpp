#include "models/llama/llama.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "models/blocks/arena.h"
#include "models/blocks/attention.h"
#include "models/blocks/gated_mlp.h"
#include "models/blocks/weight_binder.h"
#include "models/llama/config.h"
#include "models/llama/config_limits.h"
#include "models/llama/names.h"

namespace glia::models::llama {
namespace {

using kernels::Tensor;

constexpr auto kRopeDivisors = "rope_freqs.weight";  // GGUF's way to say rope_type llama3

struct Layer {
  AttentionBlock attention;
  GatedMlpBlock mlp;
};

struct Weights {
  std::unique_ptr<kernels::Matrix> embedding;  ///< [vocab, hidden]
  std::unique_ptr<kernels::Matrix> head;       ///< [vocab, hidden]; null when tied
  DeviceVector final_norm;                     ///< [hidden]
  std::vector<float> inv_freq;                 ///< [head_dim / 2]
  std::vector<Layer> layers;

  std::size_t bytes() const {
    std::size_t n = embedding->bytes() + (head ? head->bytes() : 0) + final_norm.bytes();
    for (const Layer& layer : layers) n += layer.attention.bytes() + layer.mlp.bytes();
    return n;
  }
};

AttentionShape attention_shape(const Config& c) {
  return {c.heads, c.kv_heads, c.head_dim, 1.0F / std::sqrt(static_cast<float>(c.head_dim))};
}

/// The smallest range of rows that holds every row whose logits are wanted.
RowRange span_of(std::span<const std::int32_t> logit_rows) {
  if (logit_rows.empty()) return {};
  return {logit_rows.front(), logit_rows.back() - logit_rows.front() + 1};
}

class LlamaModel final : public LanguageModel {
 public:
  LlamaModel(const Config& config, Weights weights, kernels::Device& device)
      : config_(config), weights_(std::move(weights)), device_(device), arena_(device) {
    info_.architecture = "llama";
    info_.vocab = config_.vocab;
    info_.context = config_.context;
    info_.layers = config_.layers;
    info_.kv_heads = config_.kv_heads;
    info_.head_dim = config_.head_dim;
    info_.weight_bytes = weights_.bytes();
  }

  const LanguageModelInfo& info() const override { return info_; }

  std::unique_ptr<kernels::KvCache> create_kv_cache(std::int32_t pages, std::int32_t page_tokens) override {
    return device_.create_kv_cache({config_.layers, config_.kv_heads, config_.head_dim, page_tokens, pages});
  }

  void forward(const Batch& batch, kernels::KvCache& cache, std::span<float> logits) override {
    const auto n = static_cast<std::int64_t>(batch.tokens.size());
    const auto m = static_cast<std::int64_t>(batch.logit_rows.size());
    assert(n > 0 && batch.rows.positions.size() == batch.tokens.size());
    assert(logits.size() == static_cast<std::size_t>(m * config_.vocab));
    arena_.begin(arena_floats(n, m));
    Step step{device_, cache, arena_, batch.rows};
    const Tensor hidden = arena_.take(n, config_.hidden);
    device_.embed(hidden, *weights_.embedding, batch.tokens);
    const kernels::Rope rope{config_.rope_layout, config_.head_dim, weights_.inv_freq};
    for (std::int32_t i = 0; i < config_.layers; i++) {
      const Layer& layer = weights_.layers[static_cast<std::size_t>(i)];
      // After the last layer's keys and values nothing but the wanted rows matters.
      const RowRange needed = i + 1 < config_.layers ? RowRange{0, n} : span_of(batch.logit_rows);
      layer.attention.forward(step, i, rope, hidden, needed);
      if (needed.count > 0) layer.mlp.forward(step, hidden.slice_rows(needed.first, needed.count));
    }
    if (m > 0) head(hidden, batch.logit_rows, logits);
  }

 private:
  std::int64_t arena_floats(std::int64_t n, std::int64_t m) const {
    const std::int64_t scratch = std::max({AttentionBlock::scratch_floats(attention_shape(config_), n),
                                           GatedMlpBlock::scratch_floats(config_.ff, n),
                                           Arena::floats(m, config_.hidden) + Arena::floats(m, config_.vocab)});
    return Arena::floats(n, config_.hidden) + scratch;
  }

  /// Normalises the wanted rows into one dense block, run by run, and multiplies that with the head.
  void head(Tensor hidden, std::span<const std::int32_t> rows, std::span<float> logits) {
    const auto m = static_cast<std::int64_t>(rows.size());
    const kernels::Norm norm{weights_.final_norm.data(), config_.norm_eps};
    const Tensor wanted = arena_.take(m, config_.hidden);
    for (std::int64_t at = 0; at < m;) {
      std::int64_t run = 1;
      while (at + run < m && rows[static_cast<std::size_t>(at + run)] == rows[static_cast<std::size_t>(at)] + run)
        run++;
      device_.rms_norm(wanted.slice_rows(at, run), hidden.slice_rows(rows[static_cast<std::size_t>(at)], run), norm);
      at += run;
    }
    const Tensor out = arena_.take(m, config_.vocab);
    device_.matmul(out, weights_.head ? *weights_.head : *weights_.embedding, wanted);
    const auto vocab = static_cast<std::size_t>(config_.vocab);
    for (std::int64_t i = 0; i < m; i++) {
      device_.download(logits.subspan(static_cast<std::size_t>(i) * vocab, vocab), out.slice_rows(i, 1).data);
    }
  }

  Config config_;
  Weights weights_;
  kernels::Device& device_;
  Arena arena_;
  LanguageModelInfo info_;
};

Layer bind_layer(const Config& c, WeightBinder& binder, const Names& names, std::int32_t i) {
  const AttentionShape shape = attention_shape(c);
  AttentionWeights attention;
  attention.norm = binder.vector(names.layer(i, names.attention_norm), c.hidden);
  attention.norm_eps = c.norm_eps;
  attention.qkv = binder.matrix(std::array{WeightBinder::Part{names.layer(i, names.q), shape.q_cols()},
                                           WeightBinder::Part{names.layer(i, names.k), shape.kv_cols()},
                                           WeightBinder::Part{names.layer(i, names.v), shape.kv_cols()}},
                                c.hidden);
  attention.out = binder.matrix(names.layer(i, names.attention_out), c.hidden, shape.q_cols());
  GatedMlpWeights mlp;
  mlp.norm = binder.vector(names.layer(i, names.mlp_norm), c.hidden);
  mlp.norm_eps = c.norm_eps;
  mlp.gate_up = binder.matrix(std::array{WeightBinder::Part{names.layer(i, names.gate), c.ff},
                                         WeightBinder::Part{names.layer(i, names.up), c.ff}},
                              c.hidden);
  mlp.down = binder.matrix(names.layer(i, names.down), c.hidden, c.ff);
  return {AttentionBlock(shape, std::move(attention)), GatedMlpBlock(std::move(mlp))};
}

Weights bind(const Config& c, WeightBinder& binder, const Names& names) {
  Weights w;
  w.embedding = binder.matrix(std::string(names.embedding), c.vocab, c.hidden);
  const std::string head(names.head);
  if (!c.tied) w.head = binder.matrix(head, c.vocab, c.hidden);
  if (c.tied) binder.ignore(head);  // a tied file may still carry a copy
  w.final_norm = binder.vector(std::string(names.final_norm), c.hidden);
  for (std::int32_t i = 0; i < c.layers; i++) w.layers.push_back(bind_layer(c, binder, names, i));
  return w;
}

/// Errors: when the file lacks a tensor, misshapes one, or has one that a llama does not use. Packs nothing.
void check_weights(const Config& config, const formats::WeightSource& source, const Names& names) {
  WeightBinder binder(source);
  bind(config, binder, names);
  if (binder.has(kRopeDivisors)) binder.host_vector(kRopeDivisors, config.head_dim / 2);
  for (std::int32_t i = 0; i < config.layers; i++) {
    binder.ignore(names.layer(i, ".self_attn.rotary_emb.inv_freq"));  // older exports carry the table
  }
  binder.check_all_used("llama");
}

template <typename Source>
std::unique_ptr<LanguageModel> load_from(const Source& source, kernels::Device& device, const Names& names) {
  const Config config = read_config(source);
  check_weights(config, source, names);
  WeightBinder binder(source, &device);
  Weights weights = bind(config, binder, names);
  std::vector<float> divisors;
  if (binder.has(kRopeDivisors)) {
    divisors = binder.host_vector(kRopeDivisors, config.head_dim / 2);
    for (const float d : divisors) number_within(d, 1e-3, 1e6, "a value of rope_freqs.weight");
  }
  weights.inv_freq = inverse_frequencies(config.rope, config.head_dim, divisors);
  return std::make_unique<LlamaModel>(config, std::move(weights), device);
}

/// The packed form keeps a file's types, with rows in whole groups of 16.
std::size_t packed_bytes(const formats::WeightSource& source) {
  constexpr std::uint64_t kGroupRows = 16;
  std::uint64_t sum = 0;
  for (const auto& name : source.names()) {
    const auto view = source.find(name);
    if (!view) continue;
    const std::uint64_t rows = view->rows();
    const std::uint64_t whole = view->shape.size() < 2 ? rows : (rows + kGroupRows - 1) / kGroupRows * kGroupRows;
    sum += view->data.size() / rows * whole;
  }
  return static_cast<std::size_t>(sum);
}

template <typename Source>
MemoryEstimate estimate_from(const Source& source, kernels::MathMode math, const Names& names) {
  const Config c = read_config(source);
  check_weights(c, source, names);
  const std::size_t element = math == kernels::MathMode::fast ? 2 : 4;  // float16 or float32
  MemoryEstimate out;
  out.weight_bytes = packed_bytes(source);
  out.kv_bytes_per_token = 2 * element * static_cast<std::size_t>(c.layers) * static_cast<std::size_t>(c.kv_heads) *
                           static_cast<std::size_t>(c.head_dim);
  out.context = c.context;
  return out;
}

}  // namespace

std::unique_ptr<LanguageModel> load(const formats::GgufFile& file, kernels::Device& device) {
  return load_from(file, device, kGgufNames);
}

std::unique_ptr<LanguageModel> load(const formats::HfFolder& folder, kernels::Device& device) {
  return load_from(folder, device, kHfNames);
}

MemoryEstimate estimate(const formats::GgufFile& file, kernels::MathMode math) {
  return estimate_from(file, math, kGgufNames);
}

MemoryEstimate estimate(const formats::HfFolder& folder, kernels::MathMode math) {
  return estimate_from(folder, math, kHfNames);
}

}  // namespace glia::models::llama
