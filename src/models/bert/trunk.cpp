#include "models/bert/trunk.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace glia::models::bert {
namespace {

using kernels::Tensor;
using Part = WeightBinder::Part;

/// Rows that go through a layer at a time: what is computed for them then stays in the cache. A longer text goes
/// through attention whole.
constexpr std::int64_t kBlockRows = 256;

struct Layer {
  std::unique_ptr<kernels::Matrix> qkv;  ///< [3 hidden, hidden]
  DeviceVector qkv_bias;                 ///< [3 hidden]
  std::unique_ptr<kernels::Matrix> out;  ///< [hidden, hidden]
  DeviceVector out_bias;                 ///< [hidden]
  NormBlock attention_norm;
  std::unique_ptr<kernels::Matrix> up;    ///< [ff, hidden]
  DeviceVector up_bias;                   ///< [ff]
  std::unique_ptr<kernels::Matrix> down;  ///< [hidden, ff]
  DeviceVector down_bias;                 ///< [hidden]
  NormBlock output_norm;
};

struct Weights {
  std::unique_ptr<kernels::Table> words, types, positions;  ///< [·, hidden]; types may be null
  NormBlock norm;
  std::vector<Layer> layers;

  std::size_t bytes() const {
    std::size_t n = words->bytes() + positions->bytes() + norm.bytes() + (types ? types->bytes() : 0);
    for (const Layer& l : layers) {
      n += l.qkv->bytes() + l.out->bytes() + l.up->bytes() + l.down->bytes() + l.qkv_bias.bytes() + l.out_bias.bytes() +
           l.up_bias.bytes() + l.down_bias.bytes() + l.attention_norm.bytes() + l.output_norm.bytes();
    }
    return n;
  }
};

class BertTrunk final : public encoder::Trunk {
 public:
  BertTrunk(const Config& config, Weights weights, kernels::Device& device)
      : c_(config), w_(std::move(weights)), device_(device), head_dim_(c_.hidden / c_.heads) {}

  void forward(const encoder::Batch& batch, Arena& arena, Tensor x) override {
    place(batch);
    const kernels::Lookup lookups[] = {
        {w_.words.get(), batch.tokens}, {w_.types.get(), batch.types}, {w_.positions.get(), places_}};
    if (w_.types) {
      device_.lookup(x, lookups);
    } else {
      const kernels::Lookup untyped[] = {lookups[0], lookups[2]};
      device_.lookup(x, untyped);
    }
    w_.norm.forward(device_, x, x);
    for (const Layer& layer : w_.layers) {
      for_blocks(batch.lengths, x, [&](std::span<const std::int32_t> lengths, Tensor rows) {
        const std::int64_t mark = arena.mark();
        attend(layer, lengths, arena, rows);
        arena.rewind(mark);
        const Tensor up = arena.take(std::min(kBlockRows, rows.rows), c_.ff);
        for (std::int64_t first = 0; first < rows.rows; first += kBlockRows) {
          feed_forward(layer, up, rows.slice_rows(first, std::min(kBlockRows, rows.rows - first)));
        }
        arena.rewind(mark);
      });
    }
  }

  std::int64_t scratch_floats(std::int64_t n) const override {
    return std::max(Arena::floats(n, 3 * std::int64_t{c_.hidden}) + Arena::floats(n, c_.hidden),
                    Arena::floats(std::min(kBlockRows, n), c_.ff));
  }
  std::size_t bytes() const override { return w_.bytes(); }

 private:
  void place(const encoder::Batch& batch) {
    places_.clear();
    std::size_t at = 0;
    for (const std::int32_t length : batch.lengths) {
      std::int32_t next = c_.padding + 1;
      for (std::int32_t i = 0; i < length; i++, at++) {
        const bool padding = c_.padding >= 0 && batch.tokens[at] == c_.padding;
        places_.push_back(padding ? c_.padding : next++);
      }
    }
  }

  /// body(lengths, rows) for as many whole texts as kBlockRows hold, one after the other.
  template <class Body>
  static void for_blocks(std::span<const std::int32_t> lengths, Tensor x, Body body) {
    std::int64_t row = 0;
    for (std::size_t first = 0, last = 0; first < lengths.size(); first = last) {
      std::int64_t rows = 0;
      do rows += lengths[last++];
      while (last < lengths.size() && rows + lengths[last] <= kBlockRows);
      body(lengths.subspan(first, last - first), x.slice_rows(row, rows));
      row += rows;
    }
  }

  void attend(const Layer& layer, std::span<const std::int32_t> lengths, Arena& arena, Tensor x) {
    const Tensor qkv = arena.take(x.rows, 3 * std::int64_t{c_.hidden});
    device_.matmul(qkv, *layer.qkv, x, {}, /*accumulate=*/false, layer.qkv_bias.data());
    const Tensor seen = arena.take(x.rows, c_.hidden);
    const auto part = [&](std::int64_t i) { return qkv.slice_cols(i * c_.hidden, c_.hidden); };
    device_.text_attention(
        seen, part(0), part(1), part(2), lengths,
        {.kv_heads = c_.heads, .head_dim = head_dim_, .scale = 1.0F / std::sqrt(static_cast<float>(head_dim_))});
    device_.matmul(x, *layer.out, seen, {}, /*accumulate=*/true, layer.out_bias.data());
    layer.attention_norm.forward(device_, x, x);
  }

  void feed_forward(const Layer& layer, Tensor scratch, Tensor x) {
    const Tensor up = scratch.slice_rows(0, x.rows);
    device_.matmul(up, *layer.up, x, {}, /*accumulate=*/false, layer.up_bias.data());
    device_.activate(up, c_.activation);
    device_.matmul(x, *layer.down, up, {}, /*accumulate=*/true, layer.down_bias.data());
    layer.output_norm.forward(device_, x, x);
  }

  Config c_;
  Weights w_;
  kernels::Device& device_;
  std::int32_t head_dim_;
  std::vector<std::int32_t> places_;
};

class Binding {
 public:
  Binding(const Config& config, const Names& names, const std::string& prefix, WeightBinder& binder,
          kernels::Device* device)
      : c_(config), names_(names), prefix_(prefix), binder_(binder), device_(device) {}

  Weights all() {
    Weights w;
    w.words = table(names_.words, c_.vocab);
    if (c_.types > 0) w.types = table(names_.types, c_.types);
    w.positions = table(names_.positions, c_.positions);
    w.norm = norm(prefix_ + std::string(names_.norm));
    for (std::int32_t i = 0; i < c_.layers; i++) w.layers.push_back(layer(i));
    return w;
  }

 private:
  std::unique_ptr<kernels::Table> table(std::string_view stem, std::int64_t rows) {
    const auto view =
        binder_.view(prefix_ + std::string(stem) + ".weight", std::array<std::int64_t, 2>{rows, c_.hidden});
    return device_ != nullptr ? device_->load_table(view) : nullptr;
  }
  NormBlock norm(const std::string& stem) {
    // What transformers renames when it reads an old file.
    const bool old = binder_.has(stem + ".gamma");
    return {.kind = NormKind::layer,
            .eps = c_.norm_eps,
            .weight = binder_.vector(stem + (old ? ".gamma" : ".weight"), c_.hidden),
            .bias = binder_.vector(stem + (old ? ".beta" : ".bias"), c_.hidden)};
  }
  std::string stem(std::int32_t layer, std::string_view name) const {
    return prefix_ + std::string(names_.layer_prefix) + std::to_string(layer) + std::string(name);
  }
  std::unique_ptr<kernels::Matrix> product(std::span<const std::string> stems, std::int64_t rows, std::int64_t cols,
                                           DeviceVector& bias) {
    std::vector<Part> weights, biases;
    for (const std::string& s : stems) {
      weights.push_back({s + ".weight", rows});
      biases.push_back({s + ".bias", rows});
    }
    bias = binder_.vector(biases);
    return binder_.matrix(weights, cols);
  }

  Layer layer(std::int32_t i) {
    Layer l;
    const std::string qkv[] = {stem(i, names_.q), stem(i, names_.k), stem(i, names_.v)};
    const std::string out[] = {stem(i, names_.out)}, up[] = {stem(i, names_.up)}, down[] = {stem(i, names_.down)};
    l.qkv = product(qkv, c_.hidden, c_.hidden, l.qkv_bias);
    l.out = product(out, c_.hidden, c_.hidden, l.out_bias);
    l.attention_norm = norm(stem(i, names_.attention_norm));
    l.up = product(up, c_.ff, c_.hidden, l.up_bias);
    l.down = product(down, c_.hidden, c_.ff, l.down_bias);
    l.output_norm = norm(stem(i, names_.output_norm));
    return l;
  }

  const Config& c_;
  const Names& names_;
  const std::string& prefix_;
  WeightBinder& binder_;
  kernels::Device* device_;
};

}  // namespace

std::unique_ptr<encoder::Trunk> bind_trunk(const Config& config, const Names& names, const std::string& prefix,
                                           WeightBinder& binder, kernels::Device* device) {
  Weights weights = Binding(config, names, prefix, binder, device).all();
  if (device == nullptr) return nullptr;
  return std::make_unique<BertTrunk>(config, std::move(weights), *device);
}

std::size_t row_bytes(const Config& c) {
  const std::int64_t arena = 5 * std::int64_t{c.hidden} + c.ff;
  const std::int64_t operand = std::max(c.hidden, c.ff);
  const std::int64_t keys = 2 * std::int64_t{c.hidden} + 2 * std::int64_t{c.heads} * 16;  // and head padding, scales
  return static_cast<std::size_t>(arena + 4 * operand + 2 * keys) * sizeof(float);
}

}  // namespace glia::models::bert
