#include "kernels/reference_texts.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/error.h"

namespace glia::kernels::reference {
namespace {

class ReferenceTable final : public Table {
 public:
  explicit ReferenceTable(const tensor::View& view)
      : rows_(static_cast<std::int64_t>(view.rows())),
        cols_(static_cast<std::int64_t>(view.cols())),
        values(tensor::values_of(view)) {}
  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return values.size() * sizeof(float); }
  const float* row(std::int64_t r) const { return values.data() + r * cols_; }

 private:
  std::int64_t rows_, cols_;
  std::vector<float> values;
};

float& at(const Tensor& t, std::int64_t r, std::int64_t c) { return t.data[r * t.stride + c]; }
double value(const Tensor& t, std::int64_t r, std::int64_t c) { return static_cast<double>(at(t, r, c)); }

/// One head of the row at position p of a text of n rows that starts at `first`.
void attend(Tensor out, Tensor q, Tensor k, Tensor v, std::int64_t first, std::int64_t n, std::int64_t p,
            std::int64_t head, std::int64_t kv_head, const TextAttention& options) {
  const std::int64_t dim = options.head_dim;
  std::vector<double> weights(static_cast<std::size_t>(n));
  double most = -INFINITY;
  for (std::int64_t j = 0; j < n; j++) {
    double score = 0;
    for (std::int64_t d = 0; d < dim; d++) {
      score += value(q, first + p, head * dim + d) * value(k, first + j, kv_head * dim + d);
    }
    const bool seen = (options.window == 0 || std::abs(j - p) < options.window) && !(options.causal && j > p);
    weights[static_cast<std::size_t>(j)] = seen ? score * static_cast<double>(options.scale) : -INFINITY;
    most = std::max(most, weights[static_cast<std::size_t>(j)]);
  }
  double total = 0;
  for (double& w : weights) total += w = std::exp(w - most);
  for (std::int64_t d = 0; d < dim; d++) {
    double sum = 0;
    for (std::int64_t j = 0; j < n; j++) {
      sum += weights[static_cast<std::size_t>(j)] * value(v, first + j, kv_head * dim + d);
    }
    at(out, first + p, head * dim + d) = static_cast<float>(sum / total);
  }
}

double pooled(Tensor x, std::int64_t first, std::int64_t n, std::int64_t c, Pooling pooling) {
  if (pooling == Pooling::first) return value(x, first, c);
  if (pooling == Pooling::last) return value(x, first + n - 1, c);
  double sum = 0;
  double most = -INFINITY;
  for (std::int64_t r = first; r < first + n; r++) {
    sum += value(x, r, c);
    most = std::max(most, value(x, r, c));
  }
  return pooling == Pooling::max ? most : sum / static_cast<double>(n);
}

}  // namespace

std::unique_ptr<Table> load_table(const tensor::View& view) {
  if (tensor::is_integer(view.dtype)) throw Error(ErrorCode::model_unavailable, "a table of integers");
  return std::make_unique<ReferenceTable>(view);
}

void lookup(Tensor out, std::span<const Lookup> lookups) {
  for (std::int64_t r = 0; r < out.rows; r++) {
    for (std::int64_t c = 0; c < out.cols; c++) {
      float sum = 0;
      for (const Lookup& l : lookups) {
        sum += static_cast<const ReferenceTable&>(*l.table).row(l.ids[static_cast<std::size_t>(r)])[c];
      }
      at(out, r, c) = sum;
    }
  }
}

void text_attention(Tensor out, Tensor q, Tensor k, Tensor v, std::span<const std::int32_t> lengths,
                    const TextAttention& options) {
  const std::int64_t heads = q.cols / options.head_dim;
  std::int64_t first = 0;
  for (const std::int32_t n : lengths) {
    for (std::int64_t p = 0; p < n; p++) {
      for (std::int64_t h = 0; h < heads; h++) {
        attend(out, q, k, v, first, n, p, h, h / (heads / options.kv_heads), options);
      }
    }
    first += n;
  }
}

void pool(Tensor out, Tensor x, std::span<const std::int32_t> lengths, Pooling pooling) {
  std::int64_t first = 0;
  for (std::size_t i = 0; i < lengths.size(); i++) {
    for (std::int64_t c = 0; c < x.cols; c++) {
      at(out, static_cast<std::int64_t>(i), c) = static_cast<float>(pooled(x, first, lengths[i], c, pooling));
    }
    first += lengths[i];
  }
}

void normalise(Tensor x) {
  for (std::int64_t r = 0; r < x.rows; r++) {
    double squares = 0;
    for (std::int64_t c = 0; c < x.cols; c++) squares += value(x, r, c) * value(x, r, c);
    const double length = std::max(std::sqrt(squares), 1e-12);
    for (std::int64_t c = 0; c < x.cols; c++) at(x, r, c) = static_cast<float>(value(x, r, c) / length);
  }
}

}  // namespace glia::kernels::reference
