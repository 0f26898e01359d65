// quantize_row: the plain inverse of dequantize_row. Scales come from each block's range; no search for better ones.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "tensor/blocks.h"
#include "tensor/dtype.h"

namespace glia::tensor {
namespace {

struct Range {
  float low = 0, high = 0, most = 0;  // most: the value of largest magnitude, with its sign
};

Range range_of(const float* x, int n) {
  Range r{x[0], x[0], 0};
  for (int j = 0; j < n; j++) {
    r.low = std::min(r.low, x[j]);
    r.high = std::max(r.high, x[j]);
    if (std::fabs(x[j]) > std::fabs(r.most)) r.most = x[j];
  }
  return r;
}

float inverse(float d) { return d != 0 ? 1.0F / d : 0.0F; }

std::uint8_t nearest(float v, int most) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(v), 0L, static_cast<long>(most)));
}

void pack_nibbles(const std::uint8_t* q, std::uint8_t* qs) {
  for (int j = 0; j < 16; j++) qs[j] = static_cast<std::uint8_t>((q[j] & 0x0F) | ((q[j + 16] & 0x0F) << 4));
}

void pack_fifth_bits(const std::uint8_t* q, std::uint8_t* qh) {
  std::uint32_t bits = 0;
  for (int j = 0; j < 32; j++) bits |= static_cast<std::uint32_t>(q[j] >> 4) << j;
  std::memcpy(qh, &bits, 4);
}

/// q - zero in [-zero, zero - 1]: the value of largest magnitude maps to -zero. Returns d.
float quantize_symmetric(const float* x, int n, int zero, std::uint8_t* q) {
  const float d = f16_to_f32(f32_to_f16(range_of(x, n).most / static_cast<float>(-zero)));
  for (int j = 0; j < n; j++) q[j] = nearest(x[j] * inverse(d) + static_cast<float>(zero), 2 * zero - 1);
  return d;
}

void quantize(const float* x, BlockQ4_0& b) {
  std::uint8_t q[32];
  b.d = f32_to_f16(quantize_symmetric(x, 32, 8, q));
  pack_nibbles(q, b.qs);
}

void quantize(const float* x, BlockQ5_0& b) {
  std::uint8_t q[32];
  b.d = f32_to_f16(quantize_symmetric(x, 32, 16, q));
  pack_nibbles(q, b.qs);
  pack_fifth_bits(q, b.qh);
}

template <class Block>
void quantize_min(const float* x, Block& b, int most, std::uint8_t* q) {
  const Range r = range_of(x, 32);
  b.d = f32_to_f16((r.high - r.low) / static_cast<float>(most));
  b.m = f32_to_f16(r.low);
  const float id = inverse(f16_to_f32(b.d));
  for (int j = 0; j < 32; j++) q[j] = nearest((x[j] - f16_to_f32(b.m)) * id, most);
}

void quantize(const float* x, BlockQ4_1& b) {
  std::uint8_t q[32];
  quantize_min(x, b, 15, q);
  pack_nibbles(q, b.qs);
}

void quantize(const float* x, BlockQ5_1& b) {
  std::uint8_t q[32];
  quantize_min(x, b, 31, q);
  pack_nibbles(q, b.qs);
  pack_fifth_bits(q, b.qh);
}

void quantize(const float* x, BlockQ8_0& b) {
  b.d = f32_to_f16(std::fabs(range_of(x, 32).most) / 127.0F);
  const float id = inverse(f16_to_f32(b.d));
  for (int j = 0; j < 32; j++) {
    b.qs[j] = static_cast<std::int8_t>(std::clamp(std::lround(x[j] * id), -127L, 127L));
  }
}

void pack_scales(const std::uint8_t* sc, const std::uint8_t* mn, std::uint8_t* s) {
  for (int j = 0; j < 4; j++) {
    s[j] = static_cast<std::uint8_t>(sc[j] | ((sc[j + 4] >> 4) << 6));
    s[j + 4] = static_cast<std::uint8_t>(mn[j] | ((mn[j + 4] >> 4) << 6));
    s[j + 8] = static_cast<std::uint8_t>((sc[j + 4] & 0x0F) | ((mn[j + 4] & 0x0F) << 4));
  }
}

/// The two levels of a Q4_K or Q5_K block: sub-block scales and mins as 6-bit multiples of d and dmin.
template <class Block>
void quantize_super(const float* x, Block& b, int most, std::uint8_t* q) {
  float scale[8];
  float min[8];
  for (int s = 0; s < 8; s++) {
    const Range r = range_of(x + 32 * s, 32);
    min[s] = std::max(0.0F, -r.low);
    scale[s] = std::max(0.0F, r.high + min[s]) / static_cast<float>(most);
  }
  b.d = f32_to_f16(*std::max_element(scale, scale + 8) / 63.0F);
  b.dmin = f32_to_f16(*std::max_element(min, min + 8) / 63.0F);
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  std::uint8_t sc[8];
  std::uint8_t mn[8];
  for (int s = 0; s < 8; s++) {
    sc[s] = nearest(scale[s] * inverse(d), 63);
    mn[s] = nearest(min[s] * inverse(dmin), 63);
    const float id = inverse(d * sc[s]);
    for (int j = 0; j < 32; j++) q[32 * s + j] = nearest((x[32 * s + j] + dmin * mn[s]) * id, most);
  }
  pack_scales(sc, mn, b.scales);
}

template <class Block>
void pack_super_nibbles(const std::uint8_t* q, Block& b) {
  for (int c = 0; c < 4; c++) {
    for (int l = 0; l < 32; l++) {
      b.qs[32 * c + l] = static_cast<std::uint8_t>((q[64 * c + l] & 0x0F) | ((q[64 * c + 32 + l] & 0x0F) << 4));
    }
  }
}

void quantize(const float* x, BlockQ4K& b) {
  std::uint8_t q[256];
  quantize_super(x, b, 15, q);
  pack_super_nibbles(q, b);
}

void quantize(const float* x, BlockQ5K& b) {
  std::uint8_t q[256];
  quantize_super(x, b, 31, q);
  pack_super_nibbles(q, b);
  std::memset(b.qh, 0, sizeof(b.qh));
  for (int s = 0; s < 8; s++) {
    for (int l = 0; l < 32; l++) b.qh[l] = static_cast<std::uint8_t>(b.qh[l] | ((q[32 * s + l] >> 4) << s));
  }
}

void quantize(const float* x, BlockQ6K& b) {
  float scale[16];
  float most = 0;
  for (int s = 0; s < 16; s++) {
    scale[s] = range_of(x + 16 * s, 16).most / -32.0F;
    if (std::fabs(scale[s]) > std::fabs(most)) most = scale[s];
  }
  b.d = f32_to_f16(std::fabs(most) / 127.0F);
  const float d = f16_to_f32(b.d);
  std::uint8_t q[256];
  for (int s = 0; s < 16; s++) {
    b.scales[s] = static_cast<std::int8_t>(std::clamp(std::lround(scale[s] * inverse(d)), -127L, 127L));
    const float id = inverse(d * b.scales[s]);
    for (int j = 0; j < 16; j++) q[16 * s + j] = nearest(x[16 * s + j] * id + 32.0F, 63);
  }
  for (int half = 0; half < 2; half++) {
    const std::uint8_t* in = q + 128 * half;
    for (int l = 0; l < 32; l++) {
      b.ql[64 * half + l] = static_cast<std::uint8_t>((in[l] & 0x0F) | ((in[l + 64] & 0x0F) << 4));
      b.ql[64 * half + 32 + l] = static_cast<std::uint8_t>((in[l + 32] & 0x0F) | ((in[l + 96] & 0x0F) << 4));
      b.qh[32 * half + l] = static_cast<std::uint8_t>((in[l] >> 4) | ((in[l + 32] >> 4) << 2) |
                                                      ((in[l + 64] >> 4) << 4) | ((in[l + 96] >> 4) << 6));
    }
  }
}

void pack_two_bits(const std::uint8_t* q, std::uint8_t* qs) {
  for (int i = 0; i < 64; i++) {
    const std::uint8_t* in = q + 128 * (i / 32) + i % 32;
    qs[i] = static_cast<std::uint8_t>((in[0] & 3) | ((in[32] & 3) << 2) | ((in[64] & 3) << 4) | ((in[96] & 3) << 6));
  }
}

void quantize(const float* x, BlockQ2K& b) {
  float scale[16];
  float min[16];
  for (int s = 0; s < 16; s++) {
    const Range r = range_of(x + 16 * s, 16);
    min[s] = std::max(0.0F, -r.low);
    scale[s] = std::max(0.0F, r.high + min[s]) / 3.0F;
  }
  b.d = f32_to_f16(*std::max_element(scale, scale + 16) / 15.0F);
  b.dmin = f32_to_f16(*std::max_element(min, min + 16) / 15.0F);
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  std::uint8_t q[256];
  for (int s = 0; s < 16; s++) {
    const std::uint8_t sc = nearest(scale[s] * inverse(d), 15);
    const std::uint8_t mn = nearest(min[s] * inverse(dmin), 15);
    b.scales[s] = static_cast<std::uint8_t>(sc | (mn << 4));
    for (int j = 0; j < 16; j++) q[16 * s + j] = nearest((x[16 * s + j] + dmin * mn) * inverse(d * sc), 3);
  }
  pack_two_bits(q, b.qs);
}

/// Signed 6-bit scales of `count` sub-blocks as multiples of the block's d; stored[s] is the scale plus 32.
std::uint16_t super_scales(const float* scale, int count, std::uint8_t* stored) {
  const float most = range_of(scale, count).most;
  const std::uint16_t half = f32_to_f16(most / -32.0F);
  for (int s = 0; s < count; s++) stored[s] = nearest(scale[s] * inverse(f16_to_f32(half)) + 32.0F, 63);
  return half;
}

void quantize(const float* x, BlockQ3K& b) {
  float scale[16];
  std::uint8_t stored[16];
  for (int s = 0; s < 16; s++) scale[s] = range_of(x + 16 * s, 16).most / -4.0F;
  b.d = super_scales(scale, 16, stored);
  std::uint8_t q[256];
  std::memset(b.scales, 0, sizeof(b.scales));
  std::memset(b.hmask, 0, sizeof(b.hmask));
  for (int s = 0; s < 16; s++) {
    const float id = inverse(f16_to_f32(b.d) * static_cast<float>(stored[s] - 32));
    for (int j = 0; j < 16; j++) q[16 * s + j] = nearest(x[16 * s + j] * id + 4.0F, 7);
    b.scales[s % 8] = static_cast<std::uint8_t>(b.scales[s % 8] | ((stored[s] & 0x0F) << (s < 8 ? 0 : 4)));
    b.scales[8 + s % 4] = static_cast<std::uint8_t>(b.scales[8 + s % 4] | ((stored[s] >> 4) << (2 * (s / 4))));
  }
  pack_two_bits(q, b.qs);
  for (int j = 0; j < 256; j++)
    b.hmask[j % 32] = static_cast<std::uint8_t>(b.hmask[j % 32] | ((q[j] >> 2) << (j / 32)));
}

std::uint8_t nearest_code(float v, const std::int8_t (&values)[16]) {
  int best = 0;
  for (int q = 1; q < 16; q++) {
    if (std::fabs(v - static_cast<float>(values[q])) < std::fabs(v - static_cast<float>(values[best]))) best = q;
  }
  return static_cast<std::uint8_t>(best);
}

void quantize(const float* x, BlockIq4Nl& b) {
  b.d = f32_to_f16(range_of(x, 32).most / -127.0F);
  std::uint8_t q[32];
  for (int j = 0; j < 32; j++) q[j] = nearest_code(x[j] * inverse(f16_to_f32(b.d)), kIq4Values);
  pack_nibbles(q, b.qs);
}

void quantize(const float* x, BlockIq4Xs& b) {
  float scale[8];
  std::uint8_t stored[8];
  for (int s = 0; s < 8; s++) scale[s] = range_of(x + 32 * s, 32).most / -127.0F;
  b.d = super_scales(scale, 8, stored);
  b.scales_h = 0;
  std::memset(b.scales_l, 0, sizeof(b.scales_l));
  for (int s = 0; s < 8; s++) {
    b.scales_h = static_cast<std::uint16_t>(b.scales_h | ((stored[s] >> 4) << (2 * s)));
    b.scales_l[s / 2] = static_cast<std::uint8_t>(b.scales_l[s / 2] | ((stored[s] & 0x0F) << (4 * (s % 2))));
    const float id = inverse(f16_to_f32(b.d) * static_cast<float>(stored[s] - 32));
    std::uint8_t q[32];
    for (int j = 0; j < 32; j++) q[j] = nearest_code(x[32 * s + j] * id, kIq4Values);
    pack_nibbles(q, b.qs + 16 * s);
  }
}

/// The scale of OCP's specification: the power of two that brings the largest magnitude under E2M1's largest, 4 to 6.
void quantize(const float* x, BlockMxfp4& b) {
  const float most = std::fabs(range_of(x, 32).most);
  int exponent = 0;
  std::frexp(most, &exponent);  // most in [2^(exponent - 1), 2^exponent)
  b.e = static_cast<std::uint8_t>(most == 0 ? 0 : std::clamp(exponent - 3 + 127, 0, 254));
  const float id = 1.0F / mxfp4_scale(b.e);
  std::uint8_t q[32];
  for (int j = 0; j < 32; j++) q[j] = nearest_code(x[j] * id, kFp4Values);
  pack_nibbles(q, b.qs);
}

template <int n>
void quantize(const float* x, BlockInt4<n>& b) {
  const Range r = range_of(x, n);
  const float low = std::min(0.0F, r.low);
  b.d = f16_to_f32(f32_to_f16((std::max(0.0F, r.high) - low) / 15.0F));
  const float id = inverse(b.d);
  b.zero = nearest(-low * id, 15);
  std::uint8_t q[n];
  for (int j = 0; j < n; j++) q[j] = nearest(x[j] * id + static_cast<float>(b.zero), 15);
  for (int s = 0; s < n / 32; s++) pack_nibbles(q + 32 * s, b.qs + 16 * s);
}

template <int n>
void quantize(const float* x, BlockF8<n>& b) {
  b.d = std::fabs(range_of(x, n).most) / 448.0F;
  for (int j = 0; j < n; j++) b.bits[j] = f32_to_f8(x[j] * inverse(b.d));
}

template <class Block, int kElements>
void each_block(std::span<const float> in, std::byte* out) {
  for (std::size_t i = 0; i < in.size() / kElements; i++) {
    Block b;
    quantize(in.data() + i * kElements, b);
    std::memcpy(out + i * sizeof(Block), &b, sizeof(Block));
  }
}

template <class T, class Convert>
void each(std::span<const float> in, std::byte* out, Convert convert) {
  for (std::size_t i = 0; i < in.size(); i++) {
    const T value = convert(in[i]);
    std::memcpy(out + i * sizeof(T), &value, sizeof(T));
  }
}

}  // namespace

void quantize_row(DType type, std::span<const float> in, std::span<std::byte> out) {
  assert(out.size() >= row_bytes(type, in.size()));
  std::byte* p = out.data();
  switch (type) {
    case DType::f32:
      return each<float>(in, p, [](float v) { return v; });
    case DType::f16:
      return each<std::uint16_t>(in, p, f32_to_f16);
    case DType::bf16:
      return each<std::uint16_t>(in, p, f32_to_bf16);
    case DType::i32:
      return each<std::int32_t>(in, p, [](float v) { return static_cast<std::int32_t>(std::lround(v)); });
    case DType::i8:
      return each<std::int8_t>(
          in, p, [](float v) { return static_cast<std::int8_t>(std::clamp(std::lround(v), -128L, 127L)); });
    case DType::q4_0:
      return each_block<BlockQ4_0, kBlock>(in, p);
    case DType::q4_1:
      return each_block<BlockQ4_1, kBlock>(in, p);
    case DType::q5_0:
      return each_block<BlockQ5_0, kBlock>(in, p);
    case DType::q5_1:
      return each_block<BlockQ5_1, kBlock>(in, p);
    case DType::q8_0:
      return each_block<BlockQ8_0, kBlock>(in, p);
    case DType::q4_k:
      return each_block<BlockQ4K, kSuperBlock>(in, p);
    case DType::q5_k:
      return each_block<BlockQ5K, kSuperBlock>(in, p);
    case DType::q6_k:
      return each_block<BlockQ6K, kSuperBlock>(in, p);
    case DType::q2_k:
      return each_block<BlockQ2K, kSuperBlock>(in, p);
    case DType::q3_k:
      return each_block<BlockQ3K, kSuperBlock>(in, p);
    case DType::iq4_nl:
      return each_block<BlockIq4Nl, kBlock>(in, p);
    case DType::iq4_xs:
      return each_block<BlockIq4Xs, kSuperBlock>(in, p);
    case DType::mxfp4:
      return each_block<BlockMxfp4, kBlock>(in, p);
    case DType::u8:
      return each<std::uint8_t>(in, p, [](float v) { return nearest(v, 255); });
    case DType::i64:
      return each<std::int64_t>(in, p, [](float v) { return static_cast<std::int64_t>(std::llround(v)); });
    case DType::f8_e4m3:
      return each<std::uint8_t>(in, p, f32_to_f8);
    case DType::int4_g32:
      return each_block<BlockInt4<32>, 32>(in, p);
    case DType::int4_g128:
      return each_block<BlockInt4<128>, 128>(in, p);
    case DType::f8_g32:
      return each_block<BlockF8<32>, 32>(in, p);
    case DType::f8_g128:
      return each_block<BlockF8<128>, 128>(in, p);
  }
}

}  // namespace glia::tensor
