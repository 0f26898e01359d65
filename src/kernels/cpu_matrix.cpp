#include "kernels/cpu_matrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/packed_format.h"
#include "tensor/blocks.h"

namespace glia::kernels {
namespace {

using tensor::DType;
using Part = CpuMatrix::Part;

template <class T>
void put(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

template <class T>
T get(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// 32 quants of row `row` into its place in a packed block.
template <class Type>
void put_quants(std::uint8_t* block, int row, const std::uint8_t* q) {
  if constexpr (Type::kBits == 8) {
    for (int g = 0; g < 8; g++) put(block + 64 * g + 4 * row, get<std::uint32_t>(q + 4 * g));
  } else {
    for (int g = 0; g < 4; g++) {
      const std::uint32_t low = get<std::uint32_t>(q + 4 * g) & 0x0F0F0F0FU;
      const std::uint32_t high = get<std::uint32_t>(q + 16 + 4 * g) & 0x0F0F0F0FU;
      put(block + 64 * g + 4 * row, low | (high << 4));
    }
  }
  if constexpr (Type::kBits == 5) {
    for (int g = 0; g < 8; g++) {
      unsigned bits = 0;
      for (unsigned j = 0; j < 4; j++) bits |= static_cast<unsigned>(q[4 * g + static_cast<int>(j)] >> 4) << j;
      std::uint8_t& byte = block[256 + 8 * g + row / 2];
      byte = static_cast<std::uint8_t>(byte | (bits << (4 * (row % 2))));
    }
  }
}

/// The inverse: quant of column `col` (0..31).
template <class Type>
int get_quant(const std::uint8_t* block, int row, int col) {
  const int g = col / 4;
  if constexpr (Type::kBits == 8) {
    return block[64 * g + 4 * row + col % 4];
  } else {
    const int byte = block[64 * (g % 4) + 4 * row + col % 4];
    int q = g < 4 ? byte & 0x0F : byte >> 4;
    if constexpr (Type::kBits == 5) q |= ((block[256 + 8 * g + row / 2] >> (4 * (row % 2) + col % 4)) & 1) << 4;
    return q;
  }
}

// Scales of one file block at `out`, the scales of a packed group's block (or super-block).

template <class Type, class Block>
void put_scales(std::uint8_t* out, int row, const Block& b) {
  put(out + 2 * row, b.d);
  if constexpr (!Type::kSuper) {
    if constexpr (Type::kMin) put(out + 32 + 2 * row, b.m);
  } else if constexpr (Type::kMin) {
    put(out + 32 + 2 * row, b.dmin);
    std::uint8_t sc[8];
    std::uint8_t mn[8];
    tensor::unpack_scales(b.scales, sc, mn);
    for (int s = 0; s < 8; s++) {
      out[Type::kSuperHeadBytes + s * Type::kSubScaleBytes + row] = sc[s];
      out[Type::kSuperHeadBytes + s * Type::kSubScaleBytes + 16 + row] = mn[s];
    }
  } else {
    for (int s = 0; s < 16; s++) put(out + Type::kSuperHeadBytes + s * Type::kSubScaleBytes + row, b.scales[s]);
  }
}

template <class Type>
constexpr int scale_bytes_per(int elements) {
  return Type::kSuper ? Type::kSuperBytes : Type::kSubScaleBytes * (elements / kBlockCols);
}

template <DType dtype, class Block, int elements>
struct Quantised {
  using Type = Packed<dtype>;

  static void lay_out(Part& part, std::int64_t cols) {
    const auto blocks = static_cast<std::size_t>(cols / kBlockCols);
    part.scale_offset = blocks * static_cast<std::size_t>(Type::kBlockBytes);
    const std::size_t scales =
        static_cast<std::size_t>(cols / elements) * static_cast<std::size_t>(scale_bytes_per<Type>(elements));
    part.group_bytes = (part.scale_offset + scales + 63) / 64 * 64;
  }

  static void pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t scale_offset, int row) {
    std::uint8_t* quants = group;
    std::uint8_t* scales = group + scale_offset;
    for (std::int64_t k = 0; k < cols; k += elements) {
      const auto block = get<Block>(in);
      std::uint8_t q[elements];
      tensor::unpack_quants(block, q);
      for (int j = 0; j < elements; j += kBlockCols, quants += Type::kBlockBytes) put_quants<Type>(quants, row, q + j);
      put_scales<Type>(scales, row, block);
      scales += scale_bytes_per<Type>(elements);
      in += sizeof(Block);
    }
  }

  static void read_row(const Part& part, std::int64_t cols, const std::uint8_t* group, int row, float* out) {
    const std::uint8_t* quants = group;
    for (std::int64_t k = 0; k < cols; k += kBlockCols, quants += Type::kBlockBytes) {
      for (int j = 0; j < kBlockCols; j++) {
        const int q = get_quant<Type>(quants, row, j);
        out[k + j] = weight(group + part.scale_offset, k + j, row, q);
      }
    }
  }

 private:
  static float half(const std::uint8_t* at) { return tensor::f16_to_f32(get<std::uint16_t>(at)); }

  static float weight(const std::uint8_t* scales, std::int64_t k, int row, int q) {
    float d = 0;
    float m = 0;
    if constexpr (!Type::kSuper) {
      const std::uint8_t* at = scales + k / kBlockCols * Type::kSubScaleBytes;
      d = half(at + 2 * row);
      if constexpr (Type::kMin) m = half(at + 32 + 2 * row);
    } else {
      const std::uint8_t* super = scales + k / kSuperCols * Type::kSuperBytes;
      const std::uint8_t* sub =
          super + Type::kSuperHeadBytes + (k % kSuperCols) / Type::kSubBlock * Type::kSubScaleBytes;
      d = half(super + 2 * row) * static_cast<float>(static_cast<std::int8_t>(sub[row]));
      if constexpr (Type::kMin) m = -(half(super + 32 + 2 * row) * static_cast<float>(sub[16 + row]));
    }
    if constexpr (!Type::kMin) return d * static_cast<float>(q - Type::kZero);
    return d * static_cast<float>(q) + m;  // one rounding: the product is exact
  }
};

template <DType dtype, class Element>
struct Floats {
  static void lay_out(Part& part, std::int64_t cols) {
    part.scale_offset = 0;
    part.group_bytes = (static_cast<std::size_t>(cols) * kGroupRows * sizeof(Element) + 63) / 64 * 64;
  }
  static void pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t, int row) {
    auto* out = reinterpret_cast<Element*>(group) + row;
    for (std::int64_t k = 0; k < cols; k++) {
      out[k * kGroupRows] = get<Element>(in + static_cast<std::size_t>(k) * sizeof(Element));
    }
  }
  static void read_row(const Part&, std::int64_t cols, const std::uint8_t* group, int row, float* out) {
    const auto* in = reinterpret_cast<const Element*>(group) + row;
    for (std::int64_t k = 0; k < cols; k++) {
      const Element e = in[k * kGroupRows];
      if constexpr (dtype == DType::f32) out[k] = e;
      if constexpr (dtype == DType::f16) out[k] = tensor::f16_to_f32(e);
      if constexpr (dtype == DType::bf16) out[k] = tensor::bf16_to_f32(e);
    }
  }
};

/// body(packer type) for a dtype; false when it has no packed form.
template <class Body>
bool with_packer(DType type, Body body) {
  switch (type) {
    case DType::f32:
      body(Floats<DType::f32, float>{});
      return true;
    case DType::f16:
      body(Floats<DType::f16, std::uint16_t>{});
      return true;
    case DType::bf16:
      body(Floats<DType::bf16, std::uint16_t>{});
      return true;
    case DType::q4_0:
      body(Quantised<DType::q4_0, tensor::BlockQ4_0, 32>{});
      return true;
    case DType::q4_1:
      body(Quantised<DType::q4_1, tensor::BlockQ4_1, 32>{});
      return true;
    case DType::q5_0:
      body(Quantised<DType::q5_0, tensor::BlockQ5_0, 32>{});
      return true;
    case DType::q5_1:
      body(Quantised<DType::q5_1, tensor::BlockQ5_1, 32>{});
      return true;
    case DType::q8_0:
      body(Quantised<DType::q8_0, tensor::BlockQ8_0, 32>{});
      return true;
    case DType::q4_k:
      body(Quantised<DType::q4_k, tensor::BlockQ4K, 256>{});
      return true;
    case DType::q5_k:
      body(Quantised<DType::q5_k, tensor::BlockQ5K, 256>{});
      return true;
    case DType::q6_k:
      body(Quantised<DType::q6_k, tensor::BlockQ6K, 256>{});
      return true;
    case DType::i32:
    case DType::i8:
      return false;
  }
  return false;
}

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::model_unavailable, why); }

/// Rows of a view, its size checked again: a packer that trusts a wrong view would read beyond the file.
std::uint64_t checked_rows(const tensor::View& view, std::uint64_t cols) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 31;
  const auto& type = tensor::info(view.dtype);
  if (view.shape.empty() || view.shape.size() > 2) refuse("a weight matrix must have two dimensions");
  const std::uint64_t rows = view.shape.size() == 2 ? view.shape[0] : 1;
  if (rows == 0 || cols == 0 || rows > kMost || cols > kMost) refuse("a weight matrix has an unusable size");
  if (view.cols() != cols) refuse("stacked weights differ in width");
  if (cols % type.block != 0) refuse("a weight row is not a whole number of " + std::string(type.name) + " blocks");
  std::uint64_t bytes = 0;
  if (!checked_mul(rows, tensor::row_bytes(view.dtype, cols), bytes) || bytes != view.data.size()) {
    refuse("a weight matrix has the wrong number of bytes");
  }
  return rows;
}

}  // namespace

std::unique_ptr<CpuMatrix> CpuMatrix::pack(std::span<const tensor::View> views, ThreadPool& pool) {
  if (views.empty()) refuse("a weight matrix has no parts");
  auto matrix = std::make_unique<CpuMatrix>();
  std::size_t bytes = 0;
  matrix->cols_ = static_cast<std::int64_t>(views[0].cols());
  for (const tensor::View& view : views) {
    Part part;
    part.type = view.dtype;
    part.rows = static_cast<std::int64_t>(checked_rows(view, views[0].cols()));
    part.first_row = matrix->rows_;
    part.first_group = matrix->groups_;
    part.groups = (part.rows + kGroupRows - 1) / kGroupRows;
    if (!with_packer(part.type, [&](auto packer) { packer.lay_out(part, matrix->cols_); })) {
      refuse("weights of type " + std::string(tensor::info(part.type).name) + " cannot be multiplied");
    }
    const std::size_t part_bytes = part.group_bytes * static_cast<std::size_t>(part.groups);
    if (part_bytes > SIZE_MAX / 2 - bytes) refuse("stacked weights are too large");
    bytes += part_bytes;
    matrix->rows_ += part.rows;
    matrix->groups_ += part.groups;
    (tensor::info(part.type).block > 1 ? matrix->has_quantised_ : matrix->has_float_) = true;
    matrix->parts_.push_back(part);
  }
  matrix->data_ = PageBuffer(bytes);
  std::uint8_t* next = matrix->data_.data();
  for (Part& part : matrix->parts_) {
    part.data = next;
    next += part.group_bytes * static_cast<std::size_t>(part.groups);
  }
  for (std::size_t i = 0; i < views.size(); i++) {
    const Part& part = matrix->parts_[i];
    const std::byte* data = views[i].data.data();
    const std::uint64_t row_bytes = tensor::row_bytes(part.type, views[0].cols());
    with_packer(part.type, [&](auto packer) {
      pool.for_each(static_cast<std::uint32_t>(part.groups), [&](std::uint32_t g, int) {
        std::uint8_t* group = part.group(g);
        const std::int64_t first = std::int64_t{g} * kGroupRows;
        const auto rows = static_cast<int>(std::min<std::int64_t>(kGroupRows, part.rows - first));
        for (int r = 0; r < rows; r++) {
          packer.pack_row(data + static_cast<std::uint64_t>(first + r) * row_bytes, matrix->cols_, group,
                          part.scale_offset, r);
        }
      });
    });
  }
  return matrix;
}

void CpuMatrix::read_row(std::int64_t row, float* out) const {
  assert(row >= 0 && row < rows_);
  for (const Part& part : parts_) {
    const std::int64_t r = row - part.first_row;
    if (r >= part.rows) continue;
    with_packer(part.type, [&](auto packer) {
      packer.read_row(part, cols_, part.group(r / kGroupRows), static_cast<int>(r % kGroupRows), out);
    });
    return;
  }
}

}  // namespace glia::kernels
