#include "models/decoder/decoder.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "models/blocks/arena.h"
#include "models/decoder/bind.h"

namespace glia::models::decoder {
namespace {

using kernels::Tensor;

/// The smallest range of rows that holds every row whose logits are wanted.
RowRange span_of(std::span<const std::int32_t> logit_rows) {
  if (logit_rows.empty()) return {};
  return {logit_rows.front(), logit_rows.back() - logit_rows.front() + 1};
}

class DecoderModel final : public LanguageModel {
 public:
  DecoderModel(const Description& description, Weights weights, kernels::Device& device)
      : config_(description.config), weights_(std::move(weights)), device_(device), arena_(device) {
    info_.architecture = description.architecture;
    info_.vocab = config_.vocab;
    info_.context = config_.context;
    info_.layers = config_.layer_count();
    info_.kv_heads = config_.kv_heads;
    info_.head_dim = config_.head_dim;
    info_.weight_bytes = weights_.bytes();
    for (std::size_t i = 0; i < config_.ropes.size(); i++) {
      ropes_.push_back(
          {config_.rope_layout, config_.rope_dims, weights_.inv_freq[i], config_.ropes[i].parameters.attention_factor});
    }
  }

  const LanguageModelInfo& info() const override { return info_; }

  std::unique_ptr<kernels::KvCache> create_kv_cache(std::int32_t pages, std::int32_t page_tokens) override {
    return device_.create_kv_cache({info_.layers, config_.kv_heads, config_.head_dim, page_tokens, pages});
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
    if (config_.embedding_scale != 1) device_.scale(hidden, config_.embedding_scale);
    for (std::int32_t i = 0; i < info_.layers; i++) {
      // After the last layer's keys and values nothing but the wanted rows matters.
      const RowRange needed = i + 1 < info_.layers ? RowRange{0, n} : span_of(batch.logit_rows);
      const auto at = static_cast<std::size_t>(i);
      weights_.layers[at].forward(step, i, ropes_[config_.layers[at].rope], hidden, needed);
    }
    if (m > 0) head(hidden, batch.logit_rows, logits);
  }

 private:
  std::int64_t arena_floats(std::int64_t n, std::int64_t m) const {
    std::int64_t scratch = Arena::floats(m, config_.hidden) + Arena::floats(m, config_.vocab);
    for (const Layer& layer : weights_.layers) scratch = std::max(scratch, layer.scratch_floats(n, config_.hidden));
    return Arena::floats(n, config_.hidden) + scratch;
  }

  /// Normalises the wanted rows into one dense block, run by run, and multiplies that with the head.
  void head(Tensor hidden, std::span<const std::int32_t> rows, std::span<float> logits) {
    const auto m = static_cast<std::int64_t>(rows.size());
    const Tensor wanted = arena_.take(m, config_.hidden);
    for (std::int64_t at = 0; at < m;) {
      std::int64_t run = 1;
      while (at + run < m && rows[static_cast<std::size_t>(at + run)] == rows[static_cast<std::size_t>(at)] + run)
        run++;
      weights_.final_norm.forward(device_, wanted.slice_rows(at, run),
                                  hidden.slice_rows(rows[static_cast<std::size_t>(at)], run));
      at += run;
    }
    const Tensor out = arena_.take(m, config_.vocab);
    device_.matmul(out, weights_.head ? *weights_.head : *weights_.embedding, wanted, {}, /*accumulate=*/false,
                   weights_.head_bias.data());
    if (config_.logit_softcap != 0) device_.softcap(out, config_.logit_softcap);
    const auto vocab = static_cast<std::size_t>(config_.vocab);
    for (std::int64_t i = 0; i < m; i++) {
      device_.download(logits.subspan(static_cast<std::size_t>(i) * vocab, vocab), out.slice_rows(i, 1).data);
    }
  }

  Config config_;
  Weights weights_;
  kernels::Device& device_;
  Arena arena_;
  std::vector<kernels::Rope> ropes_;  ///< borrow weights_.inv_freq
  LanguageModelInfo info_;
};

std::size_t packed_bytes(const Description& description, const formats::WeightSource& source) {
  std::size_t sum = 0;
  for (const auto& name : source.names()) {
    const auto& skipped = description.unused_prefixes;
    if (std::any_of(skipped.begin(), skipped.end(), [&](const auto& prefix) { return name.starts_with(prefix); })) {
      continue;
    }
    if (const auto view = source.find(name)) sum += kernels::packed_bytes(*view);
  }
  return sum;
}

}  // namespace

std::unique_ptr<LanguageModel> load(const Description& description, const formats::WeightSource& source,
                                    kernels::Device& device) {
  return std::make_unique<DecoderModel>(description, bind(description, source, device), device);
}

MemoryEstimate estimate(const Description& description, const formats::WeightSource& source, kernels::MathMode math) {
  check_weights(description, source);
  const Config& c = description.config;
  const std::size_t element = math == kernels::MathMode::fast ? 2 : 4;  // float16 or float32
  MemoryEstimate out;
  out.weight_bytes = packed_bytes(description, source);
  out.kv_bytes_per_token =
      2 * element * c.layers.size() * static_cast<std::size_t>(c.kv_heads) * static_cast<std::size_t>(c.head_dim);
  out.context = c.context;
  return out;
}

}  // namespace glia::models::decoder
