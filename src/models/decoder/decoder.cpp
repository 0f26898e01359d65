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
    ropes_ = weights_.stack.ropes(config_);
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
    Step step{device_, arena_, batch.rows, &cache};
    const Tensor hidden = arena_.take(n, config_.hidden);
    device_.embed(hidden, *weights_.embedding, batch.tokens);
    if (config_.embedding_scale != 1) device_.scale(hidden, config_.embedding_scale);
    for (std::int32_t i = 0; i < info_.layers; i++) {
      // After the last layer's keys and values nothing but the wanted rows matters.
      const RowRange needed = i + 1 < info_.layers ? RowRange{0, n} : span_of(batch.logit_rows);
      const auto at = static_cast<std::size_t>(i);
      weights_.stack.layers[at].forward(step, i, ropes_[config_.layers[at].rope], hidden, needed);
    }
    if (m > 0) head(hidden, batch.logit_rows, logits);
  }

 private:
  std::int64_t arena_floats(std::int64_t n, std::int64_t m) const {
    std::int64_t scratch = Arena::floats(m, config_.hidden) + Arena::floats(m, config_.vocab);
    for (const Layer& layer : weights_.stack.layers)
      scratch = std::max(scratch, layer.scratch_floats(n, config_.hidden));
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
      weights_.stack.final_norm.forward(device_, wanted.slice_rows(at, run),
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
  std::vector<kernels::Rope> ropes_;  ///< borrow weights_.stack
  LanguageModelInfo info_;
};

/// What the weights take packed, and of the file while they are packed: one tensor, or what a layer stacks into one.
void measure(const Description& description, const formats::WeightSource& source, MemoryEstimate& out) {
  std::size_t all = 0;
  for (const auto& name : source.names()) {
    const auto& skipped = description.unused_prefixes;
    if (std::any_of(skipped.begin(), skipped.end(), [&](const auto& prefix) { return name.starts_with(prefix); })) {
      continue;
    }
    const auto view = source.find(name);
    if (!view) continue;
    out.weight_bytes += kernels::packed_bytes(*view);
    out.mapped_bytes = std::max<std::size_t>(out.mapped_bytes, view->bytes());
    all += view->bytes();
  }
  out.mapped_bytes =
      std::max<std::size_t>(out.mapped_bytes, all / std::max<std::size_t>(description.config.layers.size(), 1));
}

/// What a row takes in the arena (Layer::scratch_floats) and, as an operand, in the device: two planes of integers or
/// the floats themselves, and twice that because the device's scratch grows by doubling.
std::size_t row_bytes(const Config& c) {
  const std::int64_t q = std::int64_t{c.heads} * c.head_dim;
  const std::int64_t qkv = q + 2 * std::int64_t{c.kv_heads} * c.head_dim;
  std::int64_t feed_forward = 3 * std::int64_t{c.ff};
  std::int64_t operand = std::max<std::int64_t>({c.hidden, q, c.ff});
  std::int64_t routed = 0;
  if (c.moe) {
    feed_forward = std::max(feed_forward, c.moe->experts + c.hidden + 3 * std::int64_t{c.moe->shared_ff});
    routed = std::int64_t{c.moe->used} * (2 * std::int64_t{c.moe->ff} + c.hidden);
    operand += c.moe->used * std::max(c.hidden, c.moe->ff);
  }
  const std::int64_t arena = 4 * std::int64_t{c.hidden} + std::max(qkv + q, feed_forward);
  return static_cast<std::size_t>(arena) * sizeof(float) +
         2 * static_cast<std::size_t>(routed + 2 * operand) * sizeof(float);
}

}  // namespace

std::unique_ptr<LanguageModel> load(const Description& description, const formats::WeightSource& source,
                                    kernels::Device& device) {
  return std::make_unique<DecoderModel>(description, bind(description, source, device), device);
}

MemoryEstimate estimate(const Description& description, const formats::WeightSource& source, kernels::MathMode math,
                        kernels::KvType kv) {
  check_weights(description, source);
  const Config& c = description.config;
  MemoryEstimate out;
  measure(description, source, out);
  constexpr std::int32_t kPage = 64;
  out.kv_bytes_per_token =
      c.layers.size() * kernels::kv_page_bytes(math, kv, c.kv_heads, c.head_dim, kPage) / std::size_t{kPage};
  out.context = c.context;
  out.vocab = c.vocab;
  out.row_bytes = row_bytes(c);
  return out;
}

}  // namespace glia::models::decoder
