#include "models/decoder/bind.h"

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "models/blocks/gated_mlp.h"
#include "models/blocks/weight_binder.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

constexpr std::string_view kWeight = ".weight";

std::string weight(std::string_view stem) { return std::string(stem) + std::string(kWeight); }

class Binding {
 public:
  Binding(const Description& description, WeightBinder& binder)
      : c_(description.config), names_(description.names), binder_(binder) {}

  Weights all() {
    Weights w;
    w.embedding = binder_.matrix(weight(names_.embedding), c_.vocab, c_.hidden);
    const std::string head = weight(names_.head);
    if (!c_.tied) w.head = binder_.matrix(head, c_.vocab, c_.hidden);
    if (c_.tied) binder_.ignore(head);  // a tied file may still carry a copy
    w.final_norm = binder_.vector(weight(names_.final_norm), c_.hidden);
    for (const RopeSpec& rope : c_.ropes) w.inv_freq.push_back(frequencies(rope));
    for (std::int32_t i = 0; i < c_.layer_count(); i++) w.layers.push_back(layer(i));
    return w;
  }

 private:
  std::string name(std::int32_t i, std::string_view stem) const { return weight(names_.layer(i, stem)); }

  Layer layer(std::int32_t i) {
    LayerWeights w;
    w.norm_eps = c_.norm_eps;
    w.attention_norm = binder_.vector(name(i, names_.attention_norm), c_.hidden);
    AttentionBlock block = attention(i);
    w.mlp_norm = binder_.vector(name(i, names_.mlp_norm), c_.hidden);
    return {std::move(w), std::move(block), feed_forward(i)};
  }

  AttentionBlock attention(std::int32_t i) {
    const AttentionShape shape{c_.heads, c_.kv_heads, c_.head_dim, 1.0F / std::sqrt(static_cast<float>(c_.head_dim))};
    AttentionWeights w;
    w.qkv = binder_.matrix(std::array{WeightBinder::Part{name(i, names_.q), shape.q_cols()},
                                      WeightBinder::Part{name(i, names_.k), shape.kv_cols()},
                                      WeightBinder::Part{name(i, names_.v), shape.kv_cols()}},
                           c_.hidden);
    w.out = binder_.matrix(name(i, names_.attention_out), c_.hidden, shape.q_cols());
    return {shape, std::move(w)};
  }

  std::unique_ptr<FeedForward> feed_forward(std::int32_t i) {
    GatedMlpWeights w;
    w.gate_up = binder_.matrix(
        std::array{WeightBinder::Part{name(i, names_.gate), c_.ff}, WeightBinder::Part{name(i, names_.up), c_.ff}},
        c_.hidden);
    w.down = binder_.matrix(name(i, names_.down), c_.hidden, c_.ff);
    return std::make_unique<GatedMlpBlock>(c_.ff, std::move(w));
  }

  std::vector<float> frequencies(const RopeSpec& rope) {
    std::vector<float> divisors = rope.divisors;
    if (!rope.divisors_tensor.empty()) {
      divisors = binder_.host_vector(rope.divisors_tensor, c_.rope_dims / 2);
      for (const float d : divisors)
        number_within(static_cast<double>(d), 1e-3, 1e6, "a value of " + rope.divisors_tensor);
    }
    return inverse_frequencies(rope.parameters, c_.rope_dims, divisors);
  }

  const Config& c_;
  const Names& names_;
  WeightBinder& binder_;
};

}  // namespace

std::size_t Weights::bytes() const {
  std::size_t n = embedding->bytes() + (head ? head->bytes() : 0) + final_norm.bytes();
  for (const Layer& layer : layers) n += layer.bytes();
  return n;
}

void check_weights(const Description& description, const formats::WeightSource& source) {
  WeightBinder binder(source);
  Binding(description, binder).all();
  for (const auto& name : description.unused) binder.ignore(name);
  binder.check_all_used(description.architecture);
}

Weights bind(const Description& description, const formats::WeightSource& source, kernels::Device& device) {
  check_weights(description, source);
  WeightBinder binder(source, &device);
  return Binding(description, binder).all();
}

}  // namespace glia::models::decoder
