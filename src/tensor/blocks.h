// GGML's quantised blocks as they lie in a file, and their quants unpacked to one unsigned byte per element.
// Source: the block layouts of ggml's quantisation types. All are packed without padding and hold float16 scales.
// Thread rule: pure functions.
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

/// The eight 6-bit scales and mins of a Q4_K or Q5_K block. sc, mn: [8].
inline void unpack_scales(const std::uint8_t* s, std::uint8_t* sc, std::uint8_t* mn) {
  for (int j = 0; j < 4; j++) {
    sc[j] = s[j] & 63;
    mn[j] = s[j + 4] & 63;
    sc[j + 4] = static_cast<std::uint8_t>((s[j + 8] & 0x0F) | ((s[j] >> 6) << 4));
    mn[j + 4] = static_cast<std::uint8_t>((s[j + 8] >> 4) | ((s[j + 4] >> 6) << 4));
  }
}

}  // namespace glia::tensor
