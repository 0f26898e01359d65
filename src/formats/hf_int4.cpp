// AWQ and GPTQ: 4-bit integers packed eight to an int32, outputs innermost.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/hf_quantisation.h"
#include "formats/quote_name.h"
#include "tensor/blocks.h"

namespace glia::formats {
namespace {

using tensor::DType;
using tensor::View;

/// Where AWQ keeps output o of eight: it packs 0, 2, 4, 6, 1, 3, 5, 7 from the lowest nibble up.
constexpr std::array<std::uint64_t, 8> kAwqNibble = {0, 4, 1, 5, 2, 6, 3, 7};

std::uint32_t word(const View& view, std::uint64_t index) {
  std::uint32_t value;
  std::memcpy(&value, view.data.data() + index * sizeof(value), sizeof(value));
  return value;
}

std::uint8_t nibble(std::uint32_t word, std::uint64_t index) {
  return static_cast<std::uint8_t>((word >> (4 * index)) & 0x0F);
}

/// The numbers of one layer's tensors, whatever made them.
class Int4Tensors {
 public:
  Int4Tensors(const HfQuantisation& q, const Int4Parts& p, std::uint64_t in, std::uint64_t out, std::uint64_t group)
      : awq_(q.method == HfQuantisation::Method::awq),
        less_one_(q.stored_less_one),
        qweight_(*p.qweight),
        qzeros_(*p.qzeros),
        scales_(*p.scales),
        in_(in),
        out_(out),
        group_(group) {}

  std::uint64_t in() const { return in_; }
  std::uint64_t out() const { return out_; }
  std::uint64_t group() const { return group_; }

  std::uint8_t quant(std::uint64_t k, std::uint64_t o) const {
    if (awq_) return nibble(word(qweight_, k * (out_ / 8) + o / 8), kAwqNibble[o % 8]);
    return nibble(word(qweight_, k / 8 * out_ + o), k % 8);
  }
  /// Version 1 stores zero points less one, within 4 bits.
  std::uint8_t zero(std::uint64_t g, std::uint64_t o) const {
    const std::uint8_t stored = nibble(word(qzeros_, g * (out_ / 8) + o / 8), awq_ ? kAwqNibble[o % 8] : o % 8);
    return less_one_ ? static_cast<std::uint8_t>((stored + 1) & 0x0F) : stored;
  }
  float scale(std::uint64_t g, std::uint64_t o) const {
    const std::uint64_t size = tensor::info(scales_.dtype).bytes;
    float value;
    tensor::dequantize_row(scales_.dtype, scales_.data.subspan((g * out_ + o) * size, size), {&value, 1});
    return value;
  }

 private:
  bool awq_;
  bool less_one_;
  View qweight_, qzeros_, scales_;
  std::uint64_t in_, out_, group_;
};

template <int n>
class Int4Rows final : public tensor::RowSource {
 public:
  explicit Int4Rows(Int4Tensors tensors) : t_(std::move(tensors)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const std::uint64_t blocks = t_.in() / n;
    std::vector<std::uint8_t> q(static_cast<std::size_t>(count) * n);
    for (std::uint64_t b = 0; b < blocks; b++) {
      // Outputs lie side by side in the file: all rows of a column before the next column.
      for (std::uint64_t j = 0; j < n; j++) {
        for (std::uint64_t r = 0; r < count; r++) q[r * n + j] = t_.quant(b * n + j, first + r);
      }
      for (std::uint64_t r = 0; r < count; r++) {
        const std::uint64_t g = b * n / t_.group();
        tensor::BlockInt4<n> block;
        block.d = t_.scale(g, first + r);
        block.zero = t_.zero(g, first + r);
        for (int i = 0; i < n / 2; i++) {
          const std::uint8_t* pair = q.data() + r * n + 32 * (i / 16) + i % 16;
          block.qs[i] = static_cast<std::uint8_t>(pair[0] | (pair[16] << 4));
        }
        std::memcpy(out.data() + (r * blocks + b) * sizeof(block), &block, sizeof(block));
      }
    }
  }

 private:
  Int4Tensors t_;
};

/// Act-order: every column has a group of its own choice.
class ActOrderRows final : public tensor::RowSource {
 public:
  ActOrderRows(Int4Tensors tensors, std::vector<std::uint32_t> groups, std::uint64_t group_count)
      : t_(std::move(tensors)), groups_(std::move(groups)), group_count_(group_count) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<float> scale(static_cast<std::size_t>(group_count_));
    std::vector<int> zero(scale.size());
    for (std::uint64_t r = 0; r < count; r++) {
      for (std::uint64_t g = 0; g < group_count_; g++) {
        scale[g] = t_.scale(g, first + r);
        zero[g] = t_.zero(g, first + r);
      }
      for (std::uint64_t k = 0; k < t_.in(); k++) {
        const std::uint32_t g = groups_[k];
        const std::uint16_t half = tensor::f32_to_f16(scale[g] * static_cast<float>(t_.quant(k, first + r) - zero[g]));
        std::memcpy(out.data() + (r * t_.in() + k) * sizeof(half), &half, sizeof(half));
      }
    }
  }

 private:
  Int4Tensors t_;
  std::vector<std::uint32_t> groups_;
  std::uint64_t group_count_;
};

class Checker {
 public:
  explicit Checker(std::string_view name) : who_("tensor " + quote_name(name)) {}

  [[noreturn]] void refuse(const std::string& what) const { throw Error(ErrorCode::model_unavailable, who_ + what); }

  void expect(const View& view, std::string_view part, std::uint64_t rows, std::uint64_t cols) const {
    if (view.shape != std::vector<std::uint64_t>{rows, cols}) {
      refuse(": its " + std::string(part) + " do not have the shape [" + std::to_string(rows) + ", " +
             std::to_string(cols) + "]");
    }
  }

 private:
  std::string who_;
};

/// The group of every column; empty when they are in order.
std::vector<std::uint32_t> groups_of(const Checker& check, const View* g_idx, std::uint64_t in, std::uint64_t group) {
  if (g_idx == nullptr) return {};
  if (g_idx->dtype != DType::i32 || g_idx->shape != std::vector<std::uint64_t>{in}) {
    check.refuse(": its g_idx is not " + std::to_string(in) + " int32");
  }
  std::vector<std::uint32_t> out(static_cast<std::size_t>(in));
  bool in_order = true;
  for (std::uint64_t k = 0; k < in; k++) {
    out[k] = word(*g_idx, k);
    if (out[k] >= in / group) check.refuse(": its g_idx names a group that is not there");
    in_order = in_order && out[k] == k / group;
  }
  if (in_order) out.clear();
  return out;
}

}  // namespace

View int4_weight(const HfQuantisation& quantisation, const Int4Parts& parts) {
  const Checker check(parts.name);
  const bool awq = quantisation.method == HfQuantisation::Method::awq;
  const View& w = *parts.qweight;
  if (w.dtype != DType::i32 || w.shape.size() != 2) check.refuse(" is not a matrix of int32");
  if (parts.qzeros->dtype != DType::i32) check.refuse(": its qzeros are not int32");
  const DType scale_type = parts.scales->dtype;
  if (scale_type != DType::f16 && scale_type != DType::bf16 && scale_type != DType::f32) {
    check.refuse(": its scales are not floats");
  }
  // The bytes of both are in the file, so eight times a dimension fits.
  const std::uint64_t in = awq ? w.shape[0] : 8 * w.shape[0];
  const std::uint64_t out = awq ? 8 * w.shape[1] : w.shape[1];
  const std::uint64_t group = quantisation.group_size == 0 ? in : quantisation.group_size;
  if (in % group != 0 || in % 32 != 0 || out % 8 != 0) {
    check.refuse(": " + std::to_string(in) + " inputs and " + std::to_string(out) +
                 " outputs do not go into groups of " + std::to_string(group));
  }
  check.expect(*parts.qzeros, "qzeros", in / group, out / 8);
  check.expect(*parts.scales, "scales", in / group, out);
  Int4Tensors tensors(quantisation, parts, in, out, group);
  auto groups = groups_of(check, parts.g_idx, in, group);
  if (!groups.empty()) {
    return {DType::f16, {out, in}, std::make_shared<ActOrderRows>(std::move(tensors), std::move(groups), in / group)};
  }
  if (group % 128 == 0) return {DType::int4_g128, {out, in}, std::make_shared<Int4Rows<128>>(std::move(tensors))};
  return {DType::int4_g32, {out, in}, std::make_shared<Int4Rows<32>>(std::move(tensors))};
}

}  // namespace glia::formats
