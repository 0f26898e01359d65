#include GLIA_SIMD_HEADER

#include "kernels/isa/rows.h"
#include "kernels/isa/vectors.h"

namespace glia::kernels::GLIA_ISA {

const KernelTable kTable = {
    .queries = kQueries,
    .matmul_fast = kMatmulFast,
    .matmul_int8 = kMatmulInt8,
    .matmul_exact = kMatmulExact,
    .matmul_words = matmul_words,
    .rms_factor = rms_factor,
    .scale_row = scale_row,
    .quantize_row = quantize_row,
    .quantize_row_int8 = quantize_row_int8,
    .quantize_row_words = quantize_row_words,
    .layer_norm = layer_norm,
    .gates = kGates,
    .scale = scale,
    .softcap = softcap,
    .add = add_row,
    .rope = rope,
    .to_f16 = to_f16,
    .exp = exp_row,
    .to_bf16 = to_bf16,
    .length = length,
    .largest = largest,
    .to_int16 = to_int16,
    .to_int8 = to_int8,
    .attention_f32 = attention_f32,
    .attention_f16 = attention_f16,
    .attention_bf16 = attention_bf16,
    .attention_int16 = attention_int16,
    .attention_int8 = attention_int8,
    .attention_merge = attention_merge,
    .vectors = &kVectorKernels,
};

}  // namespace glia::kernels::GLIA_ISA
