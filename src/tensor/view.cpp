#include "tensor/view.h"

#include <cassert>
#include <cstring>
#include <utility>

namespace glia::tensor {
namespace {

/// Every step-th row of another view.
class Strided final : public RowSource {
 public:
  Strided(View base, std::uint64_t first, std::uint64_t step) : base_(std::move(base)), first_(first), step_(step) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (step_ == 1) {
      std::vector<std::byte> scratch;
      const auto rows = read_rows(base_, first_ + first, count, scratch);
      std::memcpy(out.data(), rows.data(), rows.size());
      return;
    }
    const auto bytes = static_cast<std::size_t>(row_bytes(base_.dtype, base_.cols()));
    std::vector<std::byte> scratch;
    for (std::uint64_t i = 0; i < count; i++) {
      const auto row = read_rows(base_, first_ + (first + i) * step_, 1, scratch);
      std::memcpy(out.data() + i * bytes, row.data(), bytes);
    }
  }

 private:
  View base_;
  std::uint64_t first_, step_;
};

}  // namespace

std::span<const std::byte> read_rows(const View& view, std::uint64_t first, std::uint64_t count,
                                     std::vector<std::byte>& scratch) {
  assert(first + count <= view.rows());
  const std::uint64_t bytes = row_bytes(view.dtype, view.cols());
  if (!view.source) return view.data.subspan(first * bytes, count * bytes);
  scratch.resize(static_cast<std::size_t>(count * bytes));
  view.source->read(first, count, scratch);
  return scratch;
}

std::vector<float> values_of(const View& view) {
  const std::uint64_t cols = view.cols();
  std::vector<float> out(static_cast<std::size_t>(view.rows() * cols));
  std::vector<std::byte> scratch;
  for (std::uint64_t r = 0; r < view.rows(); r++) {
    dequantize_row(view.dtype, read_rows(view, r, 1, scratch), std::span(out).subspan(r * cols, cols));
  }
  return out;
}

View slice_rows(const View& view, std::uint64_t first, std::uint64_t count, std::uint64_t step) {
  assert(count > 0 && first + (count - 1) * step < view.rows());
  if (step == 1 && !view.source) {
    const std::uint64_t bytes = row_bytes(view.dtype, view.cols());
    return {view.dtype, {count, view.cols()}, view.data.subspan(first * bytes, count * bytes)};
  }
  return {view.dtype, {count, view.cols()}, std::make_shared<Strided>(view, first, step)};
}

}  // namespace glia::tensor
