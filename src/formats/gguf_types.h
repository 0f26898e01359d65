// Numbers of the GGUF specification that its reader and its writer share.
// Source: the GGUF specification (ggml docs/gguf.md). Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tensor/dtype.h"

namespace glia::formats {

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr std::uint32_t kGgufDefaultAlignment = 32;

enum class GgufType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// Glia's type for a tensor type number of the file; nothing for one that Glia does not read.
std::optional<tensor::DType> dtype_of_ggml(std::uint32_t type);
std::uint32_t ggml_of_dtype(tensor::DType type);
/// For messages: "Q4_K", "IQ4_XS", "type 77".
std::string ggml_type_name(std::uint32_t type);

}  // namespace glia::formats
