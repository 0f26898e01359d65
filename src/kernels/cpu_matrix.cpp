#include "kernels/cpu_matrix.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <string>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/packed_format.h"
#include "kernels/rounded_weights.h"
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

static_assert([] {
  for (int i = 0; i < 16; i++) {
    if (kIq4Codes[i] != tensor::kIq4Values[i] + 128 || kFp4Codes[i] != tensor::kFp4Values[i] + 16) return false;
  }
  return true;
}());

/// The bits above a quant's low ones, `shift` and up, of 32 columns: a nibble per row and 4 columns.
void put_high_bits(std::uint8_t* out, int row, const std::uint8_t* q, int shift) {
  for (int g = 0; g < 8; g++) {
    unsigned bits = 0;
    for (int j = 0; j < 4; j++) bits |= static_cast<unsigned>(q[4 * g + j] >> shift) << j;
    std::uint8_t& byte = out[8 * g + row / 2];
    byte = static_cast<std::uint8_t>(byte | (bits << (4 * (row % 2))));
  }
}

int get_high_bit(const std::uint8_t* in, int row, int col) {
  return (in[8 * (col / 4) + row / 2] >> (4 * (row % 2) + col % 4)) & 1;
}

/// 32 quants of row `row` into its place in a packed block, which was zero.
template <class Type>
void put_quants(std::uint8_t* block, int row, const std::uint8_t* q) {
  if constexpr (Type::kBits == 8) {
    for (int g = 0; g < 8; g++) put(block + 64 * g + 4 * row, get<std::uint32_t>(q + 4 * g));
  } else if constexpr (Type::kBits <= 3) {
    for (int g = 0; g < 2; g++) {
      std::uint32_t four = 0;
      for (int i = 0; i < 4; i++) four |= (get<std::uint32_t>(q + 4 * (g + 2 * i)) & 0x03030303U) << (2 * i);
      put(block + 64 * g + 4 * row, four);
    }
    if constexpr (Type::kBits == 3) put_high_bits(block + 128, row, q, 2);
  } else {
    for (int g = 0; g < 4; g++) {
      const std::uint32_t low = get<std::uint32_t>(q + 4 * g) & 0x0F0F0F0FU;
      const std::uint32_t high = get<std::uint32_t>(q + 16 + 4 * g) & 0x0F0F0F0FU;
      put(block + 64 * g + 4 * row, low | (high << 4));
    }
    if constexpr (Type::kBits == 5) put_high_bits(block + 256, row, q, 4);
  }
}

/// The inverse: quant of column `col` (0..31).
template <class Type>
int get_quant(const std::uint8_t* block, int row, int col) {
  const int g = col / 4;
  const int byte = 4 * row + col % 4;
  if constexpr (Type::kBits == 8) {
    return block[64 * g + byte];
  } else if constexpr (Type::kBits <= 3) {
    int q = (block[64 * (g % 2) + byte] >> (2 * (g / 2))) & 3;
    if constexpr (Type::kBits == 3) q |= get_high_bit(block + 128, row, col) << 2;
    return q;
  } else {
    int q = g < 4 ? block[64 * g + byte] & 0x0F : block[64 * (g - 4) + byte] >> 4;
    if constexpr (Type::kBits == 5) q |= get_high_bit(block + 256, row, col) << 4;
    return q;
  }
}

/// Scales of one file block at `out`, the scales of a packed group's block (or super-block).
template <class Type, class Block>
void put_scales(std::uint8_t* out, int row, const Block& b) {
  if constexpr (Type::kGroupScales) {
    put(out + 4 * row, b.d);
    if constexpr (Type::kZeros) out[64 + row] = static_cast<std::uint8_t>(b.zero);
  } else if constexpr (Type::kBf16Scales) {
    put(out + 2 * row, tensor::f32_to_bf16(tensor::mxfp4_scale(b.e)));  // a power of two: exact
  } else if constexpr (!Type::kSuper) {
    put(out + 2 * row, b.d);
    if constexpr (Type::kMin) put(out + 32 + 2 * row, b.m);
  } else {
    constexpr int kSubBlocks = kSuperCols / Type::kSubBlock;
    put(out + 2 * row, b.d);
    std::int8_t sc[kSubBlocks];
    std::uint8_t mn[kSubBlocks];
    tensor::sub_scales(b, sc, mn);
    if constexpr (Type::kMin) put(out + 32 + 2 * row, b.dmin);
    for (int s = 0; s < kSubBlocks; s++) {
      std::uint8_t* sub = out + Type::kSuperHeadBytes + s * Type::kSubScaleBytes;
      put(sub + row, sc[s]);
      if constexpr (Type::kMin) sub[16 + row] = mn[s];
    }
  }
}

/// log2 of how many blocks of 32 columns share group scales.
constexpr int shift_of(int elements) { return elements == 32 ? 0 : elements == 64 ? 1 : 2; }

template <DType dtype, class Block, int elements>
struct Quantised {
  using Type = Packed<dtype>;
  static constexpr bool kIntegers = true;
  static constexpr int kScaleBytes = Type::kSuper ? Type::kSuperBytes : Type::kSubScaleBytes;  ///< of a file block

  static void lay_out(Part& part, std::int64_t cols) {
    const auto blocks = static_cast<std::size_t>(cols / kBlockCols);
    part.scale_offset = blocks * static_cast<std::size_t>(Type::kBlockBytes);
    const std::size_t scales = static_cast<std::size_t>(cols / elements) * static_cast<std::size_t>(kScaleBytes);
    part.group_bytes = (part.scale_offset + scales + 63) / 64 * 64;
    if constexpr (Type::kGroupScales) part.scale_shift = shift_of(elements);
  }

  static bool pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t scale_offset, int row) {
    std::uint8_t* quants = group;
    std::uint8_t* scales = group + scale_offset;
    for (std::int64_t k = 0; k < cols; k += elements) {
      const auto block = get<Block>(in);
      std::uint8_t q[elements];
      tensor::unpack_quants(block, q);
      for (int j = 0; j < elements; j += kBlockCols, quants += Type::kBlockBytes) put_quants<Type>(quants, row, q + j);
      put_scales<Type>(scales, row, block);
      scales += kScaleBytes;
      in += sizeof(Block);
    }
    return true;
  }

  static void read_row(const Part& part, std::int64_t cols, const std::uint8_t* group, int row, float* out) {
    const std::uint8_t* quants = group;
    for (std::int64_t k = 0; k < cols; k += kBlockCols, quants += Type::kBlockBytes) {
      for (int j = 0; j < kBlockCols; j++) {
        int q = get_quant<Type>(quants, row, j);
        if constexpr (Type::kCoded) q = Type::kCodes[q];
        out[k + j] = weight(group + part.scale_offset, k + j, row, q);
      }
    }
  }

 private:
  static float half(const std::uint8_t* at) { return tensor::f16_to_f32(get<std::uint16_t>(at)); }

  /// Each case rounds as tensor::dequantize_row does: once.
  static float weight(const std::uint8_t* scales, std::int64_t k, int row, int q) {
    if constexpr (Type::kGroupScales) {
      const std::uint8_t* at = scales + k / elements * Type::kSubScaleBytes;
      return get<float>(at + 4 * row) * static_cast<float>(q - at[64 + row]);
    } else if constexpr (Type::kSuper) {
      const std::uint8_t* super = scales + k / kSuperCols * Type::kSuperBytes;
      const std::uint8_t* sub =
          super + Type::kSuperHeadBytes + (k % kSuperCols) / Type::kSubBlock * Type::kSubScaleBytes;
      const float d = half(super + 2 * row) * static_cast<float>(static_cast<std::int8_t>(sub[row]));
      if constexpr (!Type::kMin) return d * static_cast<float>(q - Type::kZero);
      const float m = -(half(super + 32 + 2 * row) * static_cast<float>(sub[16 + row]));
      return d * static_cast<float>(q) + m;
    } else {
      const std::uint8_t* at = scales + k / kBlockCols * Type::kSubScaleBytes;
      const float d = Type::kBf16Scales ? tensor::bf16_to_f32(get<std::uint16_t>(at + 2 * row)) : half(at + 2 * row);
      if constexpr (!Type::kMin) return d * static_cast<float>(q - Type::kZero);
      return d * static_cast<float>(q) + half(at + 32 + 2 * row);
    }
  }
};

/// FP8 with a float32 scale per `elements` columns.
template <int elements>
struct Float8 {
  static constexpr bool kIntegers = false;

  static void lay_out(Part& part, std::int64_t cols) {
    part.scale_offset = static_cast<std::size_t>(cols) * kGroupRows;
    part.group_bytes = part.scale_offset + static_cast<std::size_t>(cols / elements) * PackedF8::kSubScaleBytes;
    part.scale_shift = shift_of(elements);
  }
  /// False for a NaN, which the kernels would read as 480.
  static bool pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t scale_offset, int row) {
    bool good = true;
    for (std::int64_t k = 0; k < cols; k += elements) {
      const auto block = get<tensor::BlockF8<elements>>(in);
      put(group + scale_offset + k / elements * PackedF8::kSubScaleBytes + 4 * row, block.d);
      for (int j = 0; j < elements; j++) {
        good &= (block.bits[j] & 0x7F) != 0x7F;
        group[(k + j) * kGroupRows + row] = block.bits[j];
      }
      in += sizeof(block);
    }
    return good;
  }
  static void read_row(const Part& part, std::int64_t cols, const std::uint8_t* group, int row, float* out) {
    for (std::int64_t k = 0; k < cols; k++) {
      const float d = get<float>(group + part.scale_offset + k / elements * PackedF8::kSubScaleBytes + 4 * row);
      out[k] = d * tensor::f8_to_f32(group[k * kGroupRows + row]);
    }
  }
};

template <DType dtype, class Element>
struct Floats {
  static constexpr bool kIntegers = false;

  static void lay_out(Part& part, std::int64_t cols) {
    part.scale_offset = 0;
    part.group_bytes = (static_cast<std::size_t>(cols) * kGroupRows * sizeof(Element) + 63) / 64 * 64;
  }
  static bool pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t, int row) {
    auto* out = reinterpret_cast<Element*>(group) + row;
    for (std::int64_t k = 0; k < cols; k++) {
      out[k * kGroupRows] = get<Element>(in + static_cast<std::size_t>(k) * sizeof(Element));
    }
    return true;
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
    case DType::q2_k:
      body(Quantised<DType::q2_k, tensor::BlockQ2K, 256>{});
      return true;
    case DType::q3_k:
      body(Quantised<DType::q3_k, tensor::BlockQ3K, 256>{});
      return true;
    case DType::iq4_nl:
      body(Quantised<DType::iq4_nl, tensor::BlockIq4Nl, 32>{});
      return true;
    case DType::iq4_xs:
      body(Quantised<DType::iq4_xs, tensor::BlockIq4Xs, 256>{});
      return true;
    case DType::mxfp4:
      body(Quantised<DType::mxfp4, tensor::BlockMxfp4, 32>{});
      return true;
    case DType::int4_g32:
      body(Quantised<DType::int4_g32, tensor::BlockInt4<32>, 32>{});
      return true;
    case DType::int4_g128:
      body(Quantised<DType::int4_g128, tensor::BlockInt4<128>, 128>{});
      return true;
    case DType::f8_g32:
      body(Float8<32>{});
      return true;
    case DType::f8_g128:
      body(Float8<128>{});
      return true;
    case DType::i32:
    case DType::i8:
    case DType::u8:
    case DType::i64:
    case DType::f8_e4m3:
      return false;
  }
  return false;
}

template <class Body>
bool with_packer(const Part& part, Body body) {
  if (!part.words) return with_packer(part.type, body);
  body(WordPacker{});
  return true;
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
  if (!checked_mul(rows, tensor::row_bytes(view.dtype, cols), bytes) || (!view.source && bytes != view.data.size())) {
    refuse("a weight matrix has the wrong number of bytes");
  }
  return rows;
}

}  // namespace

void CpuMatrix::lay_out(std::span<const tensor::View> views, FloatWeights floats) {
  if (views.empty()) refuse("a weight matrix has no parts");
  cols_ = static_cast<std::int64_t>(views[0].cols());
  for (const tensor::View& view : views) {
    Part part;
    choose_form(part, view, floats);
    part.rows = static_cast<std::int64_t>(checked_rows(view, views[0].cols()));
    part.first_row = rows_;
    part.first_group = groups_;
    part.groups = (part.rows + kGroupRows - 1) / kGroupRows;
    if (!with_packer(part, [&](auto packer) {
          packer.lay_out(part, cols_);
          (part.words ? has_words_ : packer.kIntegers ? has_quantised_ : has_float_) = true;
        })) {
      refuse("weights of type " + std::string(tensor::info(part.type).name) + " cannot be multiplied");
    }
    if (part.bytes() > SIZE_MAX / 2 - bytes_) refuse("stacked weights are too large");
    bytes_ += part.bytes();
    rows_ += part.rows;
    groups_ += part.groups;
    parts_.push_back(part);
  }
  bytes_ = PageBuffer::whole_pages(bytes_);
}

/// What a stack's packed form depends on beside its values, by FNV-1a.
std::uint64_t CpuMatrix::store_key() const {
  std::uint64_t key = 0xCBF29CE484222325U;
  const auto mix = [&](std::uint64_t value) {
    for (unsigned shift = 0; shift < 64; shift += 8) key = (key ^ ((value >> shift) & 0xFFU)) * 0x100000001B3U;
  };
  mix(static_cast<std::uint64_t>(cols_));
  for (const Part& part : parts_) {
    mix(static_cast<std::uint64_t>(part.type) + (part.words ? std::uint64_t{tensor::kDTypes} : 0));
    mix(static_cast<std::uint64_t>(part.rows));
  }
  return key;
}

void CpuMatrix::pack_rows(std::span<const tensor::View> views, ThreadPool& pool) {
  std::atomic<bool> good = true;
  std::uint8_t* next = packed_.data();
  for (std::size_t i = 0; i < views.size(); i++) {
    const Part& part = parts_[i];
    std::uint8_t* const groups = std::exchange(next, next + part.bytes());
    const DType read = part.words ? DType::f32 : part.type;
    const auto row_bytes = static_cast<std::size_t>(tensor::row_bytes(read, views[0].cols()));
    with_packer(part, [&](auto packer) {
      pool.for_each(static_cast<std::uint32_t>(part.groups), [&](std::uint32_t g, int) {
        const std::int64_t first = std::int64_t{g} * kGroupRows;
        const std::int64_t rows = std::min<std::int64_t>(kGroupRows, part.rows - first);
        std::vector<std::byte> scratch;
        RoundedRows converter(part, views[i].dtype);
        const auto bytes = converter.converted(
            tensor::read_rows(views[i], static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(rows), scratch),
            good);
        if (!good) return;
        for (int r = 0; r < rows; r++) {
          const std::byte* row = bytes.data() + static_cast<std::size_t>(r) * row_bytes;
          if (!packer.pack_row(row, cols_, groups + g * part.group_bytes, part.scale_offset, r)) good = false;
        }
      });
    });
  }
  if (!good) refuse("a weight is not a number");
}

std::unique_ptr<CpuMatrix> CpuMatrix::pack(std::span<const tensor::View> views, FloatWeights floats, ThreadPool& pool,
                                           PackedStore* store) {
  auto matrix = std::make_unique<CpuMatrix>();
  matrix->lay_out(views, floats);
  const std::uint64_t key = store != nullptr ? matrix->store_key() : 0;
  if (store != nullptr) matrix->found_ = store->find(key, matrix->bytes_, pool);
  if (!matrix->found_) {
    matrix->packed_ = PageBuffer(matrix->bytes_);
    matrix->pack_rows(views, pool);
    if (store != nullptr) store->keep(key, {matrix->packed_.data(), matrix->bytes_});
  }
  const std::uint8_t* next = matrix->found_ ? matrix->found_.get() : matrix->packed_.data();
  for (Part& part : matrix->parts_) part.data = std::exchange(next, next + part.bytes());
  return matrix;
}

std::size_t packed_bytes(const tensor::View& view, FloatWeights floats) {
  if (view.shape.size() < 2) return static_cast<std::size_t>(view.bytes());
  const std::uint64_t rows = view.shape[view.shape.size() - 2];
  CpuMatrix::Part part;
  choose_form(part, view, floats);
  const bool packs = with_packer(part, [&](auto p) { p.lay_out(part, static_cast<std::int64_t>(view.cols())); });
  if (!packs || rows == 0) return static_cast<std::size_t>(view.bytes());
  return static_cast<std::size_t>(view.rows() / rows * ((rows + kGroupRows - 1) / kGroupRows)) * part.group_bytes;
}

void CpuMatrix::read_row(std::int64_t row, float* out) const {
  assert(row >= 0 && row < rows_);
  for (const Part& part : parts_) {
    const std::int64_t r = row - part.first_row;
    if (r >= part.rows) continue;
    with_packer(part, [&](auto packer) {
      packer.read_row(part, cols_, part.group(r / kGroupRows), static_cast<int>(r % kGroupRows), out);
    });
    return;
  }
}

}  // namespace glia::kernels
