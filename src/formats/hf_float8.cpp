// FP8 with scales in a tensor of their own, and MXFP4 as gpt-oss stores it.
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
using Shape = std::vector<std::uint64_t>;

[[noreturn]] void refuse(std::string_view name, const std::string& what) {
  throw Error(ErrorCode::model_unavailable, "tensor " + quote_name(name) + ": " + what);
}

/// scales [ceil(rows / block_rows), ceil(cols / block_cols)] over weights [rows, cols].
template <int n>
class F8Rows final : public tensor::RowSource {
 public:
  F8Rows(View weight, View scales, std::uint64_t block_rows, std::uint64_t block_cols)
      : weight_(std::move(weight)), scales_(std::move(scales)), block_rows_(block_rows), block_cols_(block_cols) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const std::uint64_t cols = weight_.cols();
    const std::uint64_t across = (cols + block_cols_ - 1) / block_cols_;
    const std::uint64_t size = tensor::info(scales_.dtype).bytes;
    std::vector<float> scales(static_cast<std::size_t>(across));
    std::byte* to = out.data();
    for (std::uint64_t r = first; r < first + count; r++) {
      tensor::dequantize_row(scales_.dtype, scales_.data.subspan(r / block_rows_ * across * size, across * size),
                             scales);
      for (std::uint64_t k = 0; k < cols; k += n, to += sizeof(tensor::BlockF8<n>)) {
        tensor::BlockF8<n> block;
        block.d = scales[k / block_cols_];
        std::memcpy(block.bits, weight_.data.data() + r * cols + k, n);
        std::memcpy(to, &block, sizeof(block));
      }
    }
  }

 private:
  View weight_, scales_;
  std::uint64_t block_rows_, block_cols_;
};

/// Element 2 j is the low nibble of byte j here, and element j of a block of 32 in GGUF's order.
class Mxfp4Rows final : public tensor::RowSource {
 public:
  Mxfp4Rows(View blocks, View scales) : blocks_(std::move(blocks)), scales_(std::move(scales)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const std::uint64_t across = scales_.cols();
    for (std::uint64_t b = 0; b < count * across; b++) {
      const std::uint64_t at = first * across + b;
      std::uint8_t in[16];
      std::memcpy(in, blocks_.data.data() + at * sizeof(in), sizeof(in));
      tensor::BlockMxfp4 block;
      block.e = std::to_integer<std::uint8_t>(scales_.data[at]);
      for (int j = 0; j < 16; j++) {
        const unsigned low = (in[j / 2] >> (4 * (j % 2))) & 0x0FU;
        const unsigned high = (in[8 + j / 2] >> (4 * (j % 2))) & 0x0FU;
        block.qs[j] = static_cast<std::uint8_t>(low | (high << 4));
      }
      std::memcpy(out.data() + b * sizeof(block), &block, sizeof(block));
    }
  }

 private:
  View blocks_, scales_;
};

}  // namespace

View f8_weight(const HfQuantisation& quantisation, std::string_view name, const View& weight, const View& scale) {
  if (weight.shape.size() != 2) refuse(name, "FP8 is supported in matrices only");
  if (scale.dtype != DType::f32 && scale.dtype != DType::bf16 && scale.dtype != DType::f16) {
    refuse(name, "its scales are not floats");
  }
  const std::uint64_t rows = weight.shape[0];
  const std::uint64_t cols = weight.shape[1];
  std::uint64_t block_rows = 1;
  std::uint64_t block_cols = cols;
  if (quantisation.block_rows != 0) {
    block_rows = quantisation.block_rows;
    block_cols = quantisation.block_cols;
    if (scale.shape != Shape{(rows + block_rows - 1) / block_rows, (cols + block_cols - 1) / block_cols}) {
      refuse(name,
             "its scales do not fit blocks of " + std::to_string(block_rows) + " x " + std::to_string(block_cols));
    }
  } else if (scale.shape.empty() || scale.shape == Shape{1}) {
    block_rows = rows;
  } else if (scale.shape != Shape{rows} && scale.shape != Shape{rows, 1}) {
    refuse(name, "its scales are neither one nor one per row");
  }
  const bool one_block = block_cols >= cols;
  if (cols % 128 == 0 && (one_block || block_cols % 128 == 0)) {
    return {DType::f8_g128, weight.shape, std::make_shared<F8Rows<128>>(weight, scale, block_rows, block_cols)};
  }
  if (cols % 32 != 0 || (!one_block && block_cols % 32 != 0)) {
    refuse(name, "FP8 rows of " + std::to_string(cols) + " values in blocks of " + std::to_string(block_cols) +
                     " are not supported");
  }
  return {DType::f8_g32, weight.shape, std::make_shared<F8Rows<32>>(weight, scale, block_rows, block_cols)};
}

View mxfp4_weight(std::string_view name, const View& blocks, const View& scales) {
  if (blocks.dtype != DType::u8 || scales.dtype != DType::u8) refuse(name, "MXFP4 blocks and scales are not bytes");
  Shape expected = scales.shape;
  expected.push_back(16);
  if (scales.shape.size() < 2 || blocks.shape != expected) refuse(name, "its scales do not fit its blocks");
  Shape shape = scales.shape;
  shape.back() *= 32;  // as many bytes are in the file, halved
  return {DType::mxfp4, std::move(shape), std::make_shared<Mxfp4Rows>(blocks, scales)};
}

}  // namespace glia::formats
