#include "formats/gguf_types.h"

#include <array>
#include <string_view>

namespace glia::formats {
namespace {

using tensor::DType;

struct Row {
  std::uint32_t ggml;
  DType dtype;
};

constexpr std::array kRead = {
    Row{0, DType::f32},     Row{1, DType::f16},     Row{2, DType::q4_0},  Row{3, DType::q4_1},   Row{6, DType::q5_0},
    Row{7, DType::q5_1},    Row{8, DType::q8_0},    Row{12, DType::q4_k}, Row{13, DType::q5_k},  Row{14, DType::q6_k},
    Row{24, DType::i8},     Row{26, DType::i32},    Row{30, DType::bf16}, Row{10, DType::q2_k},  Row{11, DType::q3_k},
    Row{20, DType::iq4_nl}, Row{23, DType::iq4_xs}, Row{27, DType::i64},  Row{39, DType::mxfp4},
};

constexpr std::array<std::string_view, 40> kNames = {
    "F32",    "F16",   "Q4_0",  "Q4_1",   "",      "",      "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   "",      "",      "",       "TQ1_0", "TQ2_0", "",        "",       "",        "MXFP4"};

}  // namespace

std::optional<DType> dtype_of_ggml(std::uint32_t type) {
  for (const Row& row : kRead) {
    if (row.ggml == type) return row.dtype;
  }
  return std::nullopt;
}

std::uint32_t ggml_of_dtype(DType type) {
  for (const Row& row : kRead) {
    if (row.dtype == type) return row.ggml;
  }
  return ~std::uint32_t{0};
}

std::string ggml_type_name(std::uint32_t type) {
  if (type < kNames.size() && !kNames[type].empty()) return std::string(kNames[type]);
  return "type " + std::to_string(type);
}

}  // namespace glia::formats
