// The device interface in plain float64 loops over exactly dequantised weights. What it computes is the definition that
// every other device is tested against; it is slow on purpose.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <map>
#include <numbers>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/reference_texts.h"

namespace glia::kernels {
namespace {

class HostAllocation final : public Allocation {
 public:
  explicit HostAllocation(std::size_t bytes) : storage_((bytes + 63) / 64 * 64) {}
  std::byte* data() override { return storage_.data(); }
  std::size_t bytes() const override { return storage_.size(); }

 private:
  std::vector<std::byte> storage_;
};

class ReferenceMatrix final : public Matrix {
 public:
  ReferenceMatrix(std::int64_t rows, std::int64_t cols)
      : rows_(rows), cols_(cols), values(static_cast<std::size_t>(rows * cols)) {}
  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return values.size() * sizeof(float); }
  const float* row(std::int64_t r) const { return values.data() + r * cols_; }

 private:
  std::int64_t rows_, cols_;

 public:
  std::vector<float> values;  ///< [rows, cols]
};

class ReferenceKvCache final : public KvCache {
 public:
  explicit ReferenceKvCache(const KvShape& shape) : shape_(shape) {
    const auto n = static_cast<std::size_t>(shape.layers) * static_cast<std::size_t>(shape.pages) *
                   static_cast<std::size_t>(shape.page_tokens) * static_cast<std::size_t>(row_size());
    keys_.resize(n);
    values_.resize(n);
  }
  const KvShape& shape() const override { return shape_; }
  std::size_t bytes() const override { return (keys_.size() + values_.size()) * sizeof(float); }

  std::int64_t row_size() const { return std::int64_t{shape_.kv_heads} * shape_.head_dim; }
  /// [kv_heads * head_dim] of a position
  std::int64_t offset(std::int32_t layer, std::span<const std::int32_t> table, std::int32_t position) const {
    const std::int64_t page = table[static_cast<std::size_t>(position / shape_.page_tokens)];
    assert(page >= 0 && page < shape_.pages);
    return ((std::int64_t{layer} * shape_.pages + page) * shape_.page_tokens + position % shape_.page_tokens) *
           row_size();
  }
  float* key(std::int64_t offset) { return keys_.data() + offset; }
  float* value(std::int64_t offset) { return values_.data() + offset; }
  const float* key(std::int64_t offset) const { return keys_.data() + offset; }
  const float* value(std::int64_t offset) const { return values_.data() + offset; }

 private:
  KvShape shape_;
  std::vector<float> keys_, values_;  ///< [layers, pages, page_tokens, kv_heads * head_dim]
};

const float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }
float* mutable_row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

std::vector<double> normalised(const float* x, std::int64_t n, const Norm& norm) {
  std::vector<double> out(x, x + n);
  if (norm.weight == nullptr) return out;
  double sum = 0;
  for (const double v : out) sum += v * v;
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(norm.eps));
  for (std::int64_t j = 0; j < n; j++) out[static_cast<std::size_t>(j)] *= scale * static_cast<double>(norm.weight[j]);
  return out;
}

double gated(Gate gate, double x) {
  switch (gate) {
    case Gate::silu:
      return x / (1.0 + std::exp(-x));
    case Gate::gelu_tanh:
      return x / (1.0 + std::exp(-std::sqrt(8.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Gate::gelu:
      return x * std::erfc(-x / std::numbers::sqrt2) / 2.0;
    case Gate::relu:
      return std::max(x, 0.0);
    case Gate::clamped_swiglu:
      return std::min(x, 7.0) / (1.0 + std::exp(-1.702 * std::min(x, 7.0)));
  }
  return x;
}

double gated(Gate gate, double x, double up) {
  return gated(gate, x) * (gate == Gate::clamped_swiglu ? std::clamp(up, -7.0, 7.0) + 1.0 : up);
}

double capped(double x, double cap) { return cap * std::tanh(x / cap); }

std::span<const std::int32_t> table_of(const Rows& rows, std::size_t i) {
  return rows.page_tables[static_cast<std::size_t>(rows.sequences[i])];
}

class ReferenceDevice final : public Device {
 public:
  std::string_view name() const override { return "reference float64"; }
  MathMode math() const override { return MathMode::exact; }

  std::unique_ptr<Allocation> allocate(std::size_t bytes) override { return std::make_unique<HostAllocation>(bytes); }
  void upload(float* device, std::span<const float> host) override {
    if (!host.empty()) std::memcpy(device, host.data(), host.size_bytes());
  }
  void download(std::span<float> host, const float* device) override {
    if (!host.empty()) std::memcpy(host.data(), device, host.size_bytes());
  }

  std::unique_ptr<Matrix> load_matrix(std::span<const tensor::View> parts, Rounding) override {
    std::uint64_t rows = 0;
    for (const tensor::View& part : parts) {
      if (part.cols() != parts[0].cols()) throw Error(ErrorCode::model_unavailable, "stacked weights differ in width");
      rows += part.rows();
    }
    if (rows == 0) throw Error(ErrorCode::model_unavailable, "empty weight matrix");
    const std::uint64_t cols = parts[0].cols();
    auto matrix = std::make_unique<ReferenceMatrix>(static_cast<std::int64_t>(rows), static_cast<std::int64_t>(cols));
    float* out = matrix->values.data();
    for (const tensor::View& part : parts) {
      std::vector<std::byte> scratch;
      for (std::uint64_t r = 0; r < part.rows(); r++, out += cols) {
        tensor::dequantize_row(part.dtype, tensor::read_rows(part, r, 1, scratch), {out, cols});
      }
    }
    return matrix;
  }

  std::unique_ptr<KvCache> create_kv_cache(const KvShape& shape) override {
    return std::make_unique<ReferenceKvCache>(shape);
  }

  void embed(Tensor out, const Matrix& table, std::span<const std::int32_t> ids) override {
    const auto& m = static_cast<const ReferenceMatrix&>(table);
    for (std::size_t i = 0; i < ids.size(); i++) {
      std::memcpy(mutable_row(out, static_cast<std::int64_t>(i)), m.row(ids[i]),
                  static_cast<std::size_t>(m.cols()) * sizeof(float));
    }
  }

  void rms_norm(Tensor out, Tensor x, Norm norm) override {
    for (std::int64_t i = 0; i < x.rows; i++) {
      const std::vector<double> y = normalised(row(x, i), x.cols, norm);
      for (std::int64_t j = 0; j < x.cols; j++) {
        mutable_row(out, i)[j] = static_cast<float>(y[static_cast<std::size_t>(j)]);
      }
    }
  }

  void matmul(Tensor out, const Matrix& w, Tensor x, Norm norm, bool accumulate, const float* bias) override {
    const auto& m = static_cast<const ReferenceMatrix&>(w);
    assert(x.cols == m.cols() && out.cols == m.rows() && out.rows == x.rows);
    for (std::int64_t i = 0; i < x.rows; i++) {
      const std::vector<double> y = normalised(row(x, i), x.cols, norm);
      for (std::int64_t r = 0; r < m.rows(); r++) {
        double sum = bias != nullptr ? static_cast<double>(bias[r]) : 0.0;
        const float* weights = m.row(r);
        for (std::int64_t k = 0; k < x.cols; k++) {
          sum += y[static_cast<std::size_t>(k)] * static_cast<double>(weights[k]);
        }
        float& o = mutable_row(out, i)[r];
        o = static_cast<float>(accumulate ? static_cast<double>(o) + sum : sum);
      }
    }
  }

  void head_norm(Tensor x, std::int32_t head_dim, Norm norm) override {
    for (std::int64_t i = 0; i < x.rows; i++) {
      for (std::int64_t head = 0; head < x.cols; head += head_dim) {
        rms_norm({mutable_row(x, i) + head, 1, head_dim, head_dim}, {mutable_row(x, i) + head, 1, head_dim, head_dim},
                 norm);
      }
    }
  }

  void layer_norm(Tensor out, Tensor x, const float* weight, const float* bias, float eps) override {
    const auto n = static_cast<double>(x.cols);
    for (std::int64_t i = 0; i < x.rows; i++) {
      double mean = 0;
      double variance = 0;
      for (std::int64_t j = 0; j < x.cols; j++) mean += static_cast<double>(row(x, i)[j]) / n;
      for (std::int64_t j = 0; j < x.cols; j++) variance += std::pow(static_cast<double>(row(x, i)[j]) - mean, 2) / n;
      for (std::int64_t j = 0; j < x.cols; j++) {
        const double y = (static_cast<double>(row(x, i)[j]) - mean) / std::sqrt(variance + static_cast<double>(eps));
        const double shift = bias != nullptr ? static_cast<double>(bias[j]) : 0.0;
        mutable_row(out, i)[j] = static_cast<float>(y * static_cast<double>(weight[j]) + shift);
      }
    }
  }

  void gate(Tensor out, Tensor x, Gate gate) override {
    const std::int64_t half = x.cols / 2;
    for (std::int64_t i = 0; i < x.rows; i++) {
      for (std::int64_t j = 0; j < half; j++) {
        const auto up = static_cast<double>(row(x, i)[half + j]);
        mutable_row(out, i)[j] = static_cast<float>(gated(gate, static_cast<double>(row(x, i)[j]), up));
      }
    }
  }

  void activate(Tensor x, Gate gate) override {
    for_each(x, [gate](double v) { return gated(gate, v); });
  }
  void scale(Tensor x, float factor) override {
    for_each(x, [factor](double v) { return v * static_cast<double>(factor); });
  }
  void softcap(Tensor x, float cap) override {
    for_each(x, [cap](double v) { return capped(v, static_cast<double>(cap)); });
  }
  void add(Tensor out, Tensor x) override {
    for (std::int64_t i = 0; i < x.rows; i++) {
      for (std::int64_t j = 0; j < x.cols; j++) mutable_row(out, i)[j] += row(x, i)[j];
    }
  }

  void experts(Tensor out, const Experts& experts, Tensor x, Norm norm, Tensor logits, bool accumulate) override {
    for (std::int64_t i = 0; i < x.rows; i++) {
      const std::vector<double> y = normalised(row(x, i), x.cols, norm);
      std::vector<double> sum(static_cast<std::size_t>(x.cols));
      for (const auto& [e, weight] : chosen(experts, row(logits, i))) {
        add_expert(sum, experts, e, weight, y);
      }
      for (std::int64_t j = 0; j < x.cols; j++) {
        float& o = mutable_row(out, i)[j];
        const double value = sum[static_cast<std::size_t>(j)];
        o = static_cast<float>(accumulate ? static_cast<double>(o) + value : value);
      }
    }
  }

  void add_weighted(Tensor out, Tensor x, Tensor logit) override {
    for (std::int64_t i = 0; i < x.rows; i++) {
      const double weight = 1 / (1 + std::exp(-static_cast<double>(*row(logit, i))));
      for (std::int64_t j = 0; j < x.cols; j++) {
        float& o = mutable_row(out, i)[j];
        o = static_cast<float>(static_cast<double>(o) + weight * static_cast<double>(row(x, i)[j]));
      }
    }
  }

  void rope(Tensor x, std::int32_t head_dim, const Rope& rope, std::span<const std::int32_t> positions) override {
    const std::int32_t half = rope.dims / 2;
    const bool interleaved = rope.layout == RopeLayout::interleaved;
    for (std::int64_t i = 0; i < x.rows; i++) {
      for (std::int64_t head = 0; head < x.cols / head_dim; head++) {
        float* v = mutable_row(x, i) + head * head_dim;
        for (std::int32_t j = 0; j < half; j++) {
          // The angle is a float32 product, as in the reference implementations of the models.
          const float angle =
              static_cast<float>(positions[static_cast<std::size_t>(i)]) * rope.inv_freq[static_cast<std::size_t>(j)];
          const double c = std::cos(static_cast<double>(angle)) * static_cast<double>(rope.attention_scale);
          const double s = std::sin(static_cast<double>(angle)) * static_cast<double>(rope.attention_scale);
          float& a = v[interleaved ? 2 * j : j];
          float& b = v[interleaved ? 2 * j + 1 : j + half];
          const auto a0 = static_cast<double>(a);
          const auto b0 = static_cast<double>(b);
          a = static_cast<float>(a0 * c - b0 * s);
          b = static_cast<float>(b0 * c + a0 * s);
        }
      }
    }
  }

  void kv_write(KvCache& cache, std::int32_t layer, Tensor k, Tensor v, const Rows& rows) override {
    auto& c = static_cast<ReferenceKvCache&>(cache);
    const auto bytes = static_cast<std::size_t>(c.row_size()) * sizeof(float);
    for (std::size_t i = 0; i < rows.positions.size(); i++) {
      const std::int64_t at = c.offset(layer, table_of(rows, i), rows.positions[i]);
      std::memcpy(c.key(at), row(k, static_cast<std::int64_t>(i)), bytes);
      std::memcpy(c.value(at), row(v, static_cast<std::int64_t>(i)), bytes);
    }
  }

  void attention(Tensor out, Tensor q, const KvCache& cache, std::int32_t layer, const AttentionOptions& options,
                 const Rows& rows) override {
    const auto& c = static_cast<const ReferenceKvCache&>(cache);
    const std::int32_t dim = c.shape().head_dim;
    const std::int64_t heads = q.cols / dim;
    const std::int64_t group = heads / c.shape().kv_heads;
    for (std::size_t i = 0; i < rows.positions.size(); i++) {
      for (std::int64_t head = 0; head < heads; head++) {
        attend(mutable_row(out, static_cast<std::int64_t>(i)) + head * dim,
               row(q, static_cast<std::int64_t>(i)) + head * dim, c, layer, head, head / group, options,
               table_of(rows, i), rows.positions[i]);
      }
    }
  }

  std::unique_ptr<Table> load_table(const tensor::View& view) override { return reference::load_table(view); }
  void lookup(Tensor out, std::span<const Lookup> lookups) override { reference::lookup(out, lookups); }
  void text_attention(Tensor out, Tensor q, Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                      const TextAttention& options) override {
    reference::text_attention(out, q, k, v, lengths, options);
  }
  void pool(Tensor out, Tensor x, std::span<const std::int32_t> lengths, Pooling pooling) override {
    reference::pool(out, x, lengths, pooling);
  }
  void normalise(Tensor x) override { reference::normalise(x); }

 private:
  /// Experts of one row, ascending, with their weights.
  static std::map<std::int32_t, double> chosen(const Experts& experts, const float* logits) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(experts.count));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
    std::vector<double> scores;
    for (const std::int32_t e : order) {
      const auto logit = static_cast<double>(logits[e]);
      const bool softmax = experts.score == RouterScore::softmax;
      scores.push_back(softmax ? std::exp(logit - static_cast<double>(logits[order[0]])) : 1 / (1 + std::exp(-logit)));
    }
    const auto end = scores.begin() + (experts.normalise ? experts.used : experts.count);
    double total = std::accumulate(scores.begin(), end, 0.0);
    if (experts.score == RouterScore::sigmoid && !experts.normalise) total = 1;
    std::map<std::int32_t, double> out;
    for (std::size_t k = 0; k < static_cast<std::size_t>(experts.used); k++) {
      out[order[k]] = scores[k] / total * static_cast<double>(experts.scale);
    }
    return out;
  }

  static double output(const Matrix& w, std::int64_t r, const float* bias, const std::vector<double>& x) {
    const float* weights = static_cast<const ReferenceMatrix&>(w).row(r);
    double sum = bias != nullptr ? static_cast<double>(bias[r]) : 0.0;
    for (std::size_t k = 0; k < x.size(); k++) sum += x[k] * static_cast<double>(weights[k]);
    return sum;
  }

  /// sum += weight * expert e of x
  static void add_expert(std::vector<double>& sum, const Experts& experts, std::int64_t e, double weight,
                         std::vector<double> x) {
    const std::int64_t ff = experts.down->cols();
    const auto hidden = static_cast<std::int64_t>(x.size());
    if (experts.scale_input) {
      for (double& v : x) v *= weight;
    }
    std::vector<double> inner;
    for (std::int64_t j = 0; j < ff; j++) {
      const double gate = output(*experts.gate_up, e * 2 * ff + j, experts.gate_up_bias, x);
      inner.push_back(
          gated(experts.gate, gate, output(*experts.gate_up, (2 * e + 1) * ff + j, experts.gate_up_bias, x)));
    }
    for (std::int64_t j = 0; j < hidden; j++) {
      const double value = output(*experts.down, e * hidden + j, experts.down_bias, inner);
      sum[static_cast<std::size_t>(j)] += experts.scale_input ? value : weight * value;
    }
  }

  template <class Function>
  static void for_each(Tensor x, Function function) {
    for (std::int64_t i = 0; i < x.rows; i++) {
      for (std::int64_t j = 0; j < x.cols; j++) {
        float& v = mutable_row(x, i)[j];
        v = static_cast<float>(function(static_cast<double>(v)));
      }
    }
  }

  static void attend(float* out, const float* q, const ReferenceKvCache& c, std::int32_t layer, std::int64_t head,
                     std::int64_t kv_head, const AttentionOptions& options, std::span<const std::int32_t> table,
                     std::int32_t position) {
    const std::int32_t dim = c.shape().head_dim;
    std::int32_t first = options.window > 0 ? std::max(0, position - options.window + 1) : 0;
    if (options.chunk > 0) first = std::max(first, position - position % options.chunk);
    auto scale = static_cast<double>(options.scale);
    if (options.temperature_floor > 0) {
      const double steps = std::floor((position + 1.0) / options.temperature_floor);
      scale *= 1 + static_cast<double>(options.temperature_scale) * std::log1p(steps);
    }
    std::vector<double> scores(static_cast<std::size_t>(position - first) + 1);
    const double sink = options.sinks != nullptr ? static_cast<double>(options.sinks[head]) : -INFINITY;
    double most = sink;
    for (std::int32_t p = first; p <= position; p++) {
      const float* k = c.key(c.offset(layer, table, p)) + kv_head * dim;
      double dot = 0;
      for (std::int32_t d = 0; d < dim; d++) dot += static_cast<double>(q[d]) * static_cast<double>(k[d]);
      double& score = scores[static_cast<std::size_t>(p - first)];
      score = dot * scale;
      if (options.softcap > 0) score = capped(score, static_cast<double>(options.softcap));
      most = std::max(most, score);
    }
    std::vector<double> sum(static_cast<std::size_t>(dim));
    double total = std::exp(sink - most);
    for (std::int32_t p = first; p <= position; p++) {
      const double w = std::exp(scores[static_cast<std::size_t>(p - first)] - most);
      const float* v = c.value(c.offset(layer, table, p)) + kv_head * dim;
      total += w;
      for (std::int32_t d = 0; d < dim; d++) sum[static_cast<std::size_t>(d)] += w * static_cast<double>(v[d]);
    }
    for (std::int32_t d = 0; d < dim; d++) out[d] = static_cast<float>(sum[static_cast<std::size_t>(d)] / total);
  }
};

}  // namespace

std::unique_ptr<Device> make_reference_device() { return std::make_unique<ReferenceDevice>(); }

}  // namespace glia::kernels
