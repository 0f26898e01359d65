#include "models/decoder/bind.h"

#include <array>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "models/blocks/gated_mlp.h"
#include "models/blocks/plain_mlp.h"
#include "models/blocks/weight_binder.h"
#include "models/decoder/bind_moe.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

using Part = WeightBinder::Part;

class Binding {
 public:
  Binding(const Description& description, WeightBinder& binder)
      : c_(description.config), names_(description.names), binder_(binder) {}

  Weights all() {
    Weights w;
    w.embedding = binder_.matrix(weight(names_.embedding), c_.vocab, c_.hidden);
    if (!c_.tied) w.head = binder_.matrix(weight(names_.head), c_.vocab, c_.hidden);
    if (c_.tied) binder_.ignore(weight(names_.head));  // a tied file may still carry a copy
    if (c_.head_bias) w.head_bias = binder_.vector(bias(names_.head), c_.vocab);
    w.stack = stack();
    return w;
  }

  LayerStack stack() {
    LayerStack s;
    s.final_norm = norm(std::string(names_.final_norm));
    for (const RopeSpec& rope : c_.ropes) s.inv_freq.push_back(frequencies(rope));
    for (std::int32_t i = 0; i < c_.layer_count(); i++) s.layers.push_back(layer(i));
    return s;
  }

 private:
  static std::string weight(std::string_view stem) { return std::string(stem) + ".weight"; }
  static std::string bias(std::string_view stem) { return std::string(stem) + ".bias"; }

  NormBlock norm(const std::string& stem) {
    NormBlock n{.kind = c_.norm, .eps = c_.norm_eps, .weight = {}, .bias = {}};
    n.weight = binder_.vector(weight(stem), c_.hidden, c_.norm_offset);
    if (c_.norm == NormKind::layer) n.bias = binder_.vector(bias(stem), c_.hidden);
    return n;
  }

  /// The stacked weights of `parts` (stems and rows), and their biases.
  std::pair<std::unique_ptr<kernels::Matrix>, DeviceVector> stacked(std::span<const Part> parts, std::int64_t cols,
                                                                    bool with_bias) {
    std::vector<Part> weights, biases;
    for (const Part& part : parts) {
      weights.push_back({weight(part.name), part.rows});
      biases.push_back({bias(part.name), part.rows});
    }
    auto matrix = binder_.matrix(weights, cols);
    return {std::move(matrix), with_bias ? binder_.vector(biases) : DeviceVector()};
  }

  Layer layer(std::int32_t i) {
    LayerNorms norms;
    norms.attention = norm(names_.layer(i, names_.attention_norm));
    AttentionBlock block = attention(i);
    if (c_.post_norms) norms.attention_post = norm(names_.layer(i, names_.attention_post_norm));
    if (!c_.parallel) norms.mlp = norm(names_.layer(i, names_.mlp_norm));
    auto feed_forward_block = feed_forward(i);
    if (c_.post_norms) norms.mlp_post = norm(names_.layer(i, names_.mlp_post_norm));
    return {std::move(norms), std::move(block), std::move(feed_forward_block)};
  }

  AttentionBlock attention(std::int32_t i) {
    AttentionShape shape{c_.heads, c_.kv_heads, c_.head_dim};
    shape.scale = c_.attention_scale != 0 ? c_.attention_scale : 1.0F / std::sqrt(static_cast<float>(c_.head_dim));
    shape.softcap = c_.attention_softcap;
    shape.window = c_.layers[static_cast<std::size_t>(i)].window;
    shape.norm_eps = c_.norm_eps;
    shape.both_ways = c_.both_ways;

    std::vector<Part> parts = {{names_.layer(i, names_.q), shape.q_cols()},
                               {names_.layer(i, names_.k), shape.kv_cols()},
                               {names_.layer(i, names_.v), shape.kv_cols()}};
    if (!names_.qkv.empty()) parts = {{names_.layer(i, names_.qkv), shape.qkv_cols()}};
    AttentionWeights w;
    std::tie(w.qkv, w.qkv_bias) = stacked(parts, c_.hidden, c_.qkv_bias);
    if (c_.qk_norm) {
      w.q_norm = binder_.vector(weight(names_.layer(i, names_.q_norm)), c_.head_dim, c_.norm_offset);
      w.k_norm = binder_.vector(weight(names_.layer(i, names_.k_norm)), c_.head_dim, c_.norm_offset);
    }
    if (c_.sinks) w.sinks = binder_.vector(names_.layer(i, names_.sinks), c_.heads);
    std::tie(w.out, w.out_bias) = stacked(std::array{Part{names_.layer(i, names_.attention_out), c_.hidden}},
                                          shape.q_cols(), c_.attention_out_bias);
    return {shape, std::move(w)};
  }

  std::unique_ptr<FeedForward> feed_forward(std::int32_t i) {
    if (c_.layers[static_cast<std::size_t>(i)].experts) return bind_moe(c_, names_, i, binder_);
    const std::array down = {Part{names_.layer(i, names_.down), c_.hidden}};
    if (!c_.gated) {
      PlainMlpWeights w;
      std::tie(w.up, w.up_bias) = stacked(std::array{Part{names_.layer(i, names_.up), c_.ff}}, c_.hidden, c_.mlp_bias);
      std::tie(w.down, w.down_bias) = stacked(down, c_.ff, c_.mlp_bias);
      return std::make_unique<PlainMlpBlock>(c_.ff, c_.gate, std::move(w));
    }
    std::vector<Part> parts = {{names_.layer(i, names_.gate), c_.ff}, {names_.layer(i, names_.up), c_.ff}};
    if (!names_.gate_up.empty()) parts = {{names_.layer(i, names_.gate_up), 2 * std::int64_t{c_.ff}}};
    GatedMlpWeights w;
    std::tie(w.gate_up, w.gate_up_bias) = stacked(parts, c_.hidden, c_.mlp_bias);
    std::tie(w.down, w.down_bias) = stacked(down, c_.ff, c_.mlp_bias);
    return std::make_unique<GatedMlpBlock>(c_.ff, c_.gate, std::move(w));
  }

  std::vector<float> frequencies(const RopeSpec& rope) {
    std::vector<float> divisors = rope.divisors;
    if (!rope.divisors_tensor.empty()) {
      divisors = binder_.host_vector(rope.divisors_tensor, c_.rope_dims / 2);
      for (const float d : divisors) {
        number_within(static_cast<double>(d), 1e-3, 1e6, "a value of " + rope.divisors_tensor);
      }
    }
    return inverse_frequencies(rope.parameters, c_.rope_dims, divisors);
  }

  const Config& c_;
  const Names& names_;
  WeightBinder& binder_;
};

}  // namespace

std::vector<kernels::Rope> LayerStack::ropes(const Config& config) const {
  std::vector<kernels::Rope> out;
  for (std::size_t i = 0; i < inv_freq.size(); i++) {
    out.push_back({config.rope_layout, config.rope_dims, inv_freq[i], config.ropes[i].parameters.attention_factor});
  }
  return out;
}

std::size_t LayerStack::bytes() const {
  std::size_t n = final_norm.bytes();
  for (const Layer& layer : layers) n += layer.bytes();
  return n;
}

std::size_t Weights::bytes() const {
  return embedding->bytes() + (head ? head->bytes() : 0) + head_bias.bytes() + stack.bytes();
}

LayerStack bind_stack(const Description& description, WeightBinder& binder) {
  return Binding(description, binder).stack();
}

void check_weights(const Description& description, const formats::WeightSource& source) {
  WeightBinder binder(source);
  Binding(description, binder).all();
  for (const auto& name : description.unused) binder.ignore(name);
  for (const auto& prefix : description.unused_prefixes) binder.ignore_prefix(prefix);
  binder.check_all_used(description.architecture);
}

Weights bind(const Description& description, const formats::WeightSource& source, kernels::Device& device) {
  check_weights(description, source);
  WeightBinder binder(source, &device);
  return Binding(description, binder).all();
}

}  // namespace glia::models::decoder
