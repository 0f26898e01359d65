#include "models/encoder/decoder_trunk.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/blocks/step.h"
#include "models/decoder/bind.h"

namespace glia::models::encoder {
namespace {

using kernels::Tensor;

class DecoderTrunk final : public Trunk {
 public:
  DecoderTrunk(const decoder::Config& config, std::unique_ptr<kernels::Table> words, decoder::LayerStack stack,
               kernels::Device& device)
      : c_(config), words_(std::move(words)), stack_(std::move(stack)), ropes_(stack_.ropes(c_)), device_(device) {}

  void forward(const Batch& batch, Arena& arena, Tensor x) override {
    const kernels::Lookup lookups[] = {{words_.get(), batch.tokens}};
    device_.lookup(x, lookups);
    if (c_.embedding_scale != 1) device_.scale(x, c_.embedding_scale);
    place(batch.lengths);
    Step step{.device = device_, .arena = arena, .rows = {positions_, {}, {}}, .texts = batch.lengths};
    for (std::int32_t i = 0; i < c_.layer_count(); i++) {
      const auto at = static_cast<std::size_t>(i);
      stack_.layers[at].forward(step, i, ropes_[c_.layers[at].rope], x, {0, x.rows});
    }
    stack_.final_norm.forward(device_, x, x);
  }

  std::int64_t scratch_floats(std::int64_t n) const override {
    std::int64_t most = 0;
    for (const decoder::Layer& layer : stack_.layers) most = std::max(most, layer.text_scratch_floats(n, c_.hidden));
    return most;
  }
  std::size_t bytes() const override { return words_->bytes() + stack_.bytes(); }

 private:
  void place(std::span<const std::int32_t> lengths) {
    positions_.clear();
    for (const std::int32_t length : lengths) {
      for (std::int32_t p = 0; p < length; p++) positions_.push_back(p);
    }
  }

  decoder::Config c_;
  std::unique_ptr<kernels::Table> words_;  ///< [vocab, hidden]
  decoder::LayerStack stack_;
  std::vector<kernels::Rope> ropes_;  ///< borrow stack_
  kernels::Device& device_;
  std::vector<std::int32_t> positions_;  ///< of the batch's rows in their texts
};

/// As Layer::text_scratch_floats, and the device's copies: of operands floats or two planes of integers, of keys and
/// values at most floats. (Its scratch grows by doubling, but what is never touched is in no memory.) The
/// feed-forward's activations are those of some rows only, of fewer than a batch has.
std::size_t row_bytes(const decoder::Config& c) {
  const std::int64_t q = std::int64_t{c.heads} * c.head_dim;
  const std::int64_t kv = std::int64_t{c.kv_heads} * c.head_dim;
  const std::int64_t together = std::min(c.context, 256);
  const std::int64_t feed_forward = (4 * std::int64_t{c.ff} * together + c.context - 1) / c.context;
  const std::int64_t arena = 3 * std::int64_t{c.hidden} + 2 * q + 2 * kv + feed_forward;
  const std::int64_t operand = std::max<std::int64_t>(c.hidden, q) + feed_forward;
  const std::int64_t keys = 2 * kv + 2 * std::int64_t{c.kv_heads} * 16;  // and head padding, scales
  return static_cast<std::size_t>(arena + 2 * operand + keys) * sizeof(float);
}

void drop_prefix(std::string_view& name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
}

}  // namespace

Description of_decoder(decoder::Description decoder, const formats::WeightSource& source) {
  const decoder::Config& c = decoder.config;
  assert(c.attention_softcap == 0 && !c.sinks && !c.moe);
  decoder::Names& names = decoder.names;
  if (!source.find(std::string(names.embedding) + ".weight")) {
    for (std::string_view* name : {&names.embedding, &names.final_norm, &names.layer_prefix}) {
      drop_prefix(*name, "model.");
    }
  }
  Description d;
  d.architecture = decoder.architecture;
  d.vocab = c.vocab;
  d.context = c.context;
  d.layers = c.layer_count();
  d.hidden = c.hidden;
  d.row_bytes = row_bytes(c);
  d.tables = {std::string(names.embedding) + ".weight"};
  d.unused = decoder.unused;
  d.unused_prefixes = decoder.unused_prefixes;
  d.unused_prefixes.push_back(std::string(names.head) + ".");  // of the decoder that it was
  d.bind = [decoder, table = d.tables.front()](WeightBinder& binder,
                                               kernels::Device* device) -> std::unique_ptr<Trunk> {
    const decoder::Config& config = decoder.config;
    const auto words = binder.view(table, std::array<std::int64_t, 2>{config.vocab, config.hidden});
    decoder::LayerStack stack = decoder::bind_stack(decoder, binder);
    if (device == nullptr) return nullptr;
    return std::make_unique<DecoderTrunk>(config, device->load_table(words), std::move(stack), *device);
  };
  return d;
}

}  // namespace glia::models::encoder
