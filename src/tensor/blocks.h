// GGML's quantised blocks as they lie in a file, and their quants unpacked to one unsigned byte per element.
// Source: the block layouts of ggml's quantisation types; OCP Microscaling Formats 1.0 for MXFP4. All are packed
// without padding. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <cstring>

namespace glia::tensor {

inline constexpr int kBlock = 32;        ///< elements of a plain quantised block
inline constexpr int kSuperBlock = 256;  ///< elements of a k-quant block

struct BlockQ4_0 {  // w = d (q - 8)
  std::uint16_t d;
  std::uint8_t qs[16];
};
struct BlockQ4_1 {  // w = d q + m
  std::uint16_t d, m;
  std::uint8_t qs[16];
};
struct BlockQ5_0 {  // w = d (q - 16); qh holds the fifth bits
  std::uint16_t d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ5_1 {  // w = d q + m
  std::uint16_t d, m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ8_0 {  // w = d q
  std::uint16_t d;
  std::int8_t qs[32];
};
struct BlockQ4K {  // w = d sc q - dmin mn, sub-blocks of 32 with 6-bit sc and mn
  std::uint16_t d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
struct BlockQ5K {  // as Q4_K, with fifth bits in qh
  std::uint16_t d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
struct BlockQ6K {  // w = d sc (q - 32), sub-blocks of 16 with 8-bit signed sc
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  std::uint16_t d;
};
struct BlockQ2K {  // w = d sc q - dmin mn, sub-blocks of 16; a scale byte holds sc in its low and mn in its high nibble
  std::uint8_t scales[16];
  std::uint8_t qs[64];
  std::uint16_t d, dmin;
};
struct BlockQ3K {  // w = d sc (q - 4), sub-blocks of 16 with 6-bit sc, stored plus 32; hmask holds the third bits
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  std::uint16_t d;
};
struct BlockIq4Nl {  // w = d kIq4Values[q]
  std::uint16_t d;
  std::uint8_t qs[16];
};
struct BlockIq4Xs {  // w = d sc kIq4Values[q], sub-blocks of 32 with 6-bit sc, stored plus 32
  std::uint16_t d;
  std::uint16_t scales_h;
  std::uint8_t scales_l[4];
  std::uint8_t qs[128];
};
struct BlockMxfp4 {  // w = 2^(e - 128) kFp4Values[q], OCP microscaling: E2M1 values under one E8M0 scale
  std::uint8_t e;
  std::uint8_t qs[16];
};

// What 4-bit integers and FP8 of Hugging Face folders become (formats/hf_quantised.cpp): Glia's own blocks, scales kept
// whole in float32. `n`: columns under one scale.
template <int n>
struct BlockInt4 {  // w = d (q - zero); nibbles as in Q4_0, per 32 columns
  float d;
  std::int32_t zero;  // 0 to 16
  std::uint8_t qs[n / 2];
};
template <int n>
struct BlockF8 {  // w = d e4m3
  float d;
  std::uint8_t bits[n];
};

/// The levels of IQ4_NL and IQ4_XS, and twice the values of E2M1.
inline constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
inline constexpr std::int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static_assert(sizeof(BlockQ2K) == 84 && sizeof(BlockQ3K) == 110 && sizeof(BlockIq4Nl) == 18);
static_assert(sizeof(BlockIq4Xs) == 136 && sizeof(BlockMxfp4) == 17);
static_assert(sizeof(BlockInt4<32>) == 24 && sizeof(BlockInt4<128>) == 72);
static_assert(sizeof(BlockF8<32>) == 36 && sizeof(BlockF8<128>) == 132);
static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4K) == 144 && sizeof(BlockQ5K) == 176 && sizeof(BlockQ6K) == 210);

// unpack_quants: the unsigned quants of one block in element order. q: [32], or [256] for the k-quants.

inline void unpack_nibbles(const std::uint8_t* qs, std::uint8_t* q) {
  for (int j = 0; j < 16; j++) q[j] = qs[j] & 0x0F;
  for (int j = 0; j < 16; j++) q[j + 16] = static_cast<std::uint8_t>(qs[j] >> 4);
}

inline void add_fifth_bits(const std::uint8_t* qh, std::uint8_t* q) {
  std::uint32_t bits;
  std::memcpy(&bits, qh, 4);
  for (int j = 0; j < 32; j++) q[j] = static_cast<std::uint8_t>(q[j] | (((bits >> j) & 1U) << 4));
}

inline void unpack_quants(const BlockQ4_0& b, std::uint8_t* q) { unpack_nibbles(b.qs, q); }
inline void unpack_quants(const BlockQ4_1& b, std::uint8_t* q) { unpack_nibbles(b.qs, q); }
inline void unpack_quants(const BlockQ5_0& b, std::uint8_t* q) {
  unpack_nibbles(b.qs, q);
  add_fifth_bits(b.qh, q);
}
inline void unpack_quants(const BlockQ5_1& b, std::uint8_t* q) {
  unpack_nibbles(b.qs, q);
  add_fifth_bits(b.qh, q);
}
/// Offset by 128: w = d (q - 128).
inline void unpack_quants(const BlockQ8_0& b, std::uint8_t* q) {
  for (int j = 0; j < 32; j++) q[j] = static_cast<std::uint8_t>(b.qs[j] + 128);
}
inline void unpack_quants(const BlockQ4K& b, std::uint8_t* q) {
  for (int c = 0; c < 4; c++) {
    for (int l = 0; l < 32; l++) q[64 * c + l] = b.qs[32 * c + l] & 0x0F;
    for (int l = 0; l < 32; l++) q[64 * c + 32 + l] = static_cast<std::uint8_t>(b.qs[32 * c + l] >> 4);
  }
}
inline void unpack_quants(const BlockQ5K& b, std::uint8_t* q) {
  for (int c = 0; c < 4; c++) {
    for (int l = 0; l < 32; l++) {
      const unsigned lo = (b.qh[l] >> (2 * c)) & 1U;
      const unsigned hi = (b.qh[l] >> (2 * c + 1)) & 1U;
      q[64 * c + l] = static_cast<std::uint8_t>((b.qs[32 * c + l] & 0x0FU) | (lo << 4));
      q[64 * c + 32 + l] = static_cast<std::uint8_t>((b.qs[32 * c + l] >> 4) | (hi << 4));
    }
  }
}
inline void unpack_quants(const BlockQ6K& b, std::uint8_t* q) {
  for (int half = 0; half < 2; half++) {
    const std::uint8_t* ql = b.ql + 64 * half;
    const std::uint8_t* qh = b.qh + 32 * half;
    std::uint8_t* out = q + 128 * half;
    for (int l = 0; l < 32; l++) {
      out[l] = static_cast<std::uint8_t>((ql[l] & 0x0FU) | ((qh[l] & 3U) << 4));
      out[l + 32] = static_cast<std::uint8_t>((ql[l + 32] & 0x0FU) | (((qh[l] >> 2) & 3U) << 4));
      out[l + 64] = static_cast<std::uint8_t>((ql[l] >> 4) | (((qh[l] >> 4) & 3U) << 4));
      out[l + 96] = static_cast<std::uint8_t>((ql[l + 32] >> 4) | (((qh[l] >> 6) & 3U) << 4));
    }
  }
}

inline void unpack_two_bits(const std::uint8_t* qs, std::uint8_t* q) {
  for (int half = 0; half < 2; half++) {
    for (int s = 0; s < 4; s++) {
      for (int l = 0; l < 32; l++) q[128 * half + 32 * s + l] = (qs[32 * half + l] >> (2 * s)) & 3;
    }
  }
}
inline void unpack_quants(const BlockQ2K& b, std::uint8_t* q) { unpack_two_bits(b.qs, q); }
inline void unpack_quants(const BlockQ3K& b, std::uint8_t* q) {
  unpack_two_bits(b.qs, q);
  for (int j = 0; j < 256; j++) q[j] = static_cast<std::uint8_t>(q[j] | (((b.hmask[j % 32] >> (j / 32)) & 1U) << 2));
}
// Codes into the tables of values.
inline void unpack_quants(const BlockIq4Nl& b, std::uint8_t* q) { unpack_nibbles(b.qs, q); }
inline void unpack_quants(const BlockMxfp4& b, std::uint8_t* q) { unpack_nibbles(b.qs, q); }
inline void unpack_quants(const BlockIq4Xs& b, std::uint8_t* q) {
  for (int s = 0; s < 8; s++) unpack_nibbles(b.qs + 16 * s, q + 32 * s);
}
template <int n>
inline void unpack_quants(const BlockInt4<n>& b, std::uint8_t* q) {
  for (int s = 0; s < n / 32; s++) unpack_nibbles(b.qs + 16 * s, q + 32 * s);
}

/// The eight 6-bit scales and mins of a Q4_K or Q5_K block. sc, mn: [8].
inline void unpack_scales(const std::uint8_t* s, std::uint8_t* sc, std::uint8_t* mn) {
  for (int j = 0; j < 4; j++) {
    sc[j] = s[j] & 63;
    mn[j] = s[j + 4] & 63;
    sc[j + 4] = static_cast<std::uint8_t>((s[j + 8] & 0x0F) | ((s[j] >> 6) << 4));
    mn[j + 4] = static_cast<std::uint8_t>((s[j + 8] >> 4) | ((s[j + 4] >> 6) << 4));
  }
}

// sub_scales: the scales of a super-block's sub-blocks, and its mins where it has them. sc, mn: [256 / sub-block].

inline void sub_scales(const BlockQ4K& b, std::int8_t* sc, std::uint8_t* mn) {
  std::uint8_t scales[8];
  unpack_scales(b.scales, scales, mn);
  std::memcpy(sc, scales, 8);
}
inline void sub_scales(const BlockQ5K& b, std::int8_t* sc, std::uint8_t* mn) {
  std::uint8_t scales[8];
  unpack_scales(b.scales, scales, mn);
  std::memcpy(sc, scales, 8);
}
inline void sub_scales(const BlockQ6K& b, std::int8_t* sc, std::uint8_t*) { std::memcpy(sc, b.scales, 16); }
inline void sub_scales(const BlockQ2K& b, std::int8_t* sc, std::uint8_t* mn) {
  for (int s = 0; s < 16; s++) {
    sc[s] = static_cast<std::int8_t>(b.scales[s] & 0x0F);
    mn[s] = b.scales[s] >> 4;
  }
}
inline void sub_scales(const BlockQ3K& b, std::int8_t* sc, std::uint8_t*) {
  for (int s = 0; s < 16; s++) {
    const int low = (b.scales[s % 8] >> (s < 8 ? 0 : 4)) & 0x0F;
    const int high = (b.scales[8 + s % 4] >> (2 * (s / 4))) & 3;
    sc[s] = static_cast<std::int8_t>((low | (high << 4)) - 32);
  }
}
inline void sub_scales(const BlockIq4Xs& b, std::int8_t* sc, std::uint8_t*) {
  for (int s = 0; s < 8; s++) {
    const int low = (b.scales_l[s / 2] >> (4 * (s % 2))) & 0x0F;
    sc[s] = static_cast<std::int8_t>((low | (((b.scales_h >> (2 * s)) & 3) << 4)) - 32);
  }
}

/// 2^(e - 128).
inline float mxfp4_scale(std::uint8_t e) {
  const std::uint32_t bits = e < 2 ? 0x00200000U << e : static_cast<std::uint32_t>(e - 1) << 23;
  return __builtin_bit_cast(float, bits);
}

}  // namespace glia::tensor
