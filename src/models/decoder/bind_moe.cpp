#include "models/decoder/bind_moe.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "formats/quote_name.h"
#include "models/blocks/gated_mlp.h"
#include "models/blocks/moe_mlp.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

using tensor::View;
using Part = WeightBinder::Part;

/// Views of a stack of matrices, and what was rearranged for them.
struct Stack {
  std::vector<View> views;
  std::vector<std::vector<std::byte>> copies;

  void add_copy(tensor::DType type, std::int64_t rows, std::int64_t cols, std::vector<std::byte> bytes) {
    copies.push_back(std::move(bytes));
    views.push_back({type, {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)}, copies.back()});
  }
};

/// Matrix `index` of a tensor [count, rows, cols].
View slice(const View& all, std::int64_t index) {
  const std::uint64_t rows = all.shape[1];
  return tensor::slice_rows(all, static_cast<std::uint64_t>(index) * rows, rows);
}

/// Columns first, first + step, ... of a matrix [rows, cols] as the rows of another: [count, rows].
std::vector<std::byte> columns(const View& matrix, std::int64_t first, std::int64_t step, std::int64_t count) {
  const std::size_t element = tensor::row_bytes(matrix.dtype, 1);
  const std::size_t rows = matrix.shape[0];
  const std::size_t row = matrix.shape[1] * element;
  std::vector<std::byte> out(static_cast<std::size_t>(count) * rows * element);
  for (std::size_t r = 0; r < rows; r++) {
    for (std::size_t c = 0; c < static_cast<std::size_t>(count); c++) {
      const std::size_t from = (static_cast<std::size_t>(first) + c * static_cast<std::size_t>(step)) * element;
      std::memcpy(out.data() + (c * rows + r) * element, matrix.data.data() + r * row + from, element);
    }
  }
  return out;
}

class MoeBinding {
 public:
  MoeBinding(const Config& config, const Names& names, std::int32_t index, WeightBinder& binder)
      : c_(config), m_(*config.moe), names_(names), n_(names.moe), index_(index), binder_(binder) {}

  std::unique_ptr<FeedForward> block() {
    MoeMlpWeights w;
    w.router = binder_.matrix(weight(n_.router), m_.experts, c_.hidden);
    if (m_.router_bias) w.router_bias = binder_.vector(bias(n_.router), m_.experts);
    switch (n_.layout) {
      case ExpertLayout::apart:
        apart(w);
        break;
      case ExpertLayout::stacked:
        stacked(w);
        break;
      case ExpertLayout::transposed:
        transposed(w);
        break;
    }
    if (m_.shared_ff > 0) shared(w);
    kernels::Experts routing;
    routing.count = m_.experts;
    routing.used = m_.used;
    routing.gate = c_.gate;
    routing.score = m_.score;
    routing.normalise = m_.normalise;
    routing.scale = m_.scale;
    return std::make_unique<MoeMlpBlock>(routing, std::move(w));
  }

 private:
  std::string name(std::string_view stem) const { return names_.layer(index_, stem); }
  std::string weight(std::string_view stem) const { return name(stem) + ".weight"; }
  std::string bias(std::string_view stem) const { return name(stem) + ".bias"; }

  void apart(MoeMlpWeights& w) {
    std::vector<Part> first;
    std::vector<Part> second;
    for (std::int32_t e = 0; e < m_.experts; e++) {
      const std::string expert = name(n_.expert) + std::to_string(e);
      first.push_back({expert + std::string(n_.gate) + ".weight", m_.ff});
      first.push_back({expert + std::string(n_.up) + ".weight", m_.ff});
      second.push_back({expert + std::string(n_.down) + ".weight", c_.hidden});
    }
    w.gate_up = binder_.matrix(first, c_.hidden);
    w.down = binder_.matrix(second, m_.ff);
  }

  void stacked(MoeMlpWeights& w) {
    const View gate = binder_.view(weight(n_.gate), std::array<std::int64_t, 3>{m_.experts, m_.ff, c_.hidden});
    const View up = binder_.view(weight(n_.up), std::array<std::int64_t, 3>{m_.experts, m_.ff, c_.hidden});
    const View down = binder_.view(weight(n_.down), std::array<std::int64_t, 3>{m_.experts, c_.hidden, m_.ff});
    std::vector<View> first;
    std::vector<View> second;
    for (std::int32_t e = 0; e < m_.experts; e++) {
      first.push_back(slice(gate, e));
      first.push_back(slice(up, e));
      second.push_back(slice(down, e));
    }
    w.gate_up = binder_.matrix(first, weight(n_.gate));
    w.down = binder_.matrix(second, weight(n_.down));
    if (!m_.expert_bias) return;
    const auto gates = table(bias(n_.gate), m_.ff);
    const auto ups = table(bias(n_.up), m_.ff);
    w.gate_up_bias = joined(gates, ups, /*alternating=*/false);
    w.down_bias = binder_.upload(table(bias(n_.down), c_.hidden));
  }

  void transposed(MoeMlpWeights& w) {
    const std::string first = name(n_.gate_up);
    const std::string second = name(n_.down);
    w.gate_up = turned(first, c_.hidden, 2 * std::int64_t{m_.ff}, /*alternating=*/true);
    w.down = turned(second, m_.ff, c_.hidden, /*alternating=*/false);
    if (!m_.expert_bias) return;
    w.gate_up_bias = joined(table(first + "_bias", 2 * std::int64_t{m_.ff}), {}, /*alternating=*/true);
    w.down_bias = binder_.upload(table(second + "_bias", c_.hidden));
  }

  /// A tensor [experts, in, out] of floats as matrices [out, in]; `alternating`: its even columns, then its odd ones.
  /// MXFP4 blocks are stored turned already: [experts, out, in].
  std::unique_ptr<kernels::Matrix> turned(const std::string& tensor_name, std::int64_t in, std::int64_t out,
                                          bool alternating) {
    if (binder_.type_of(tensor_name) == tensor::DType::mxfp4) return rows_of(tensor_name, in, out, alternating);
    const View all = binder_.view(tensor_name, std::array<std::int64_t, 3>{m_.experts, in, out});
    if (tensor::info(all.dtype).block != 1) {
      refuse("tensor " + formats::quote_name(tensor_name) + " is quantised and transposed, which is not supported");
    }
    Stack stack;
    const std::int64_t step = alternating ? 2 : 1;
    for (std::int32_t e = 0; e < m_.experts && binder_.packs(); e++) {
      for (std::int64_t first = 0; first < step; first++) {
        stack.add_copy(all.dtype, out / step, in, columns(slice(all, e), first, step, out / step));
      }
    }
    return binder_.matrix(stack.views, tensor_name);
  }

  std::unique_ptr<kernels::Matrix> rows_of(const std::string& tensor_name, std::int64_t in, std::int64_t out,
                                           bool alternating) {
    const View all = binder_.view(tensor_name, std::array<std::int64_t, 3>{m_.experts, out, in});
    const std::uint64_t step = alternating ? 2 : 1;
    const auto rows = static_cast<std::uint64_t>(out);
    std::vector<View> views;
    for (std::uint64_t e = 0; e < all.shape[0]; e++) {
      for (std::uint64_t i = 0; i < step; i++) {
        views.push_back(tensor::slice_rows(all, e * rows + i, rows / step, step));
      }
    }
    return binder_.matrix(views, tensor_name);
  }

  /// A tensor [experts, cols].
  std::vector<float> table(const std::string& tensor_name, std::int64_t cols) {
    return binder_.host_values(tensor_name, std::array<std::int64_t, 2>{m_.experts, cols});
  }

  /// [experts][ff of gate, ff of up] from one table each, or from one table whose columns alternate.
  DeviceVector joined(const std::vector<float>& a, const std::vector<float>& b, bool alternating) {
    const auto ff = static_cast<std::size_t>(m_.ff);
    std::vector<float> out;
    for (std::size_t e = 0; e < static_cast<std::size_t>(m_.experts); e++) {
      for (std::size_t j = 0; j < 2 * ff; j++) {
        const bool up = j >= ff;
        const std::size_t k = j % ff;
        out.push_back(alternating ? a[e * 2 * ff + 2 * k + (up ? 1 : 0)] : (up ? b : a)[e * ff + k]);
      }
    }
    return binder_.upload(out);
  }

  void shared(MoeMlpWeights& w) {
    GatedMlpWeights mlp;
    mlp.gate_up = binder_.matrix(
        std::array{Part{weight(n_.shared_gate), m_.shared_ff}, Part{weight(n_.shared_up), m_.shared_ff}}, c_.hidden);
    mlp.down = binder_.matrix(weight(n_.shared_down), c_.hidden, m_.shared_ff);
    w.shared = std::make_unique<GatedMlpBlock>(m_.shared_ff, c_.gate, std::move(mlp));
    if (!m_.shared_gate) return;
    const std::string router = weight(n_.shared_router);
    const View flat = binder_.flat(router, c_.hidden);  // [1, hidden] or [hidden]
    w.shared_router = binder_.matrix(std::array{flat}, router);
  }

  const Config& c_;
  const MoeConfig& m_;
  const Names& names_;
  const MoeNames& n_;
  std::int32_t index_;
  WeightBinder& binder_;
};

}  // namespace

std::unique_ptr<FeedForward> bind_moe(const Config& config, const Names& names, std::int32_t index,
                                      WeightBinder& binder) {
  return MoeBinding(config, names, index, binder).block();
}

}  // namespace glia::models::decoder
