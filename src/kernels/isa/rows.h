// The kernels of one instruction set, as kernel_table.h describes them.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {

float rms_factor(const float* x, std::int64_t cols, float eps);
void scale_row(float* out, const float* x, std::int64_t cols, float factor, const float* weight);
void quantize_row(std::int8_t* quants, BlockScales* scales, int lane, const float* x, std::int64_t cols, float factor,
                  const float* weight);
void quantize_row_int8(std::int8_t* quants, BlockScales* scales, int lane, const float* x, std::int64_t cols,
                       float factor, const float* weight);
void quantize_row_words(std::int16_t* quants, float* scales, int lane, const float* x, std::int64_t cols, float factor,
                        const float* weight);
void matmul_words(const WordsTask& task);
void layer_norm(float* out, const float* x, std::int64_t cols, const float* weight, const float* bias, float eps);
void scale(float* x, std::int64_t n, float factor);
void softcap(float* x, std::int64_t n, float cap);
void add_row(float* out, const float* x, std::int64_t n, float factor);
void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t dims, bool interleaved,
          const float* cos_sin);
void to_f16(std::uint16_t* out, const float* x, std::int64_t n);
void exp_row(float* out, const float* x, std::int64_t n);
void to_bf16(std::uint16_t* out, const float* x, std::int64_t n);
float length(const float* x, std::int64_t n);
float largest(const float* x, std::int64_t n);
void to_int16(std::int16_t* out, const float* x, std::int64_t n, float factor);
void to_int8(std::int8_t* out, const float* x, std::int64_t n, float factor);
void attention_f32(const AttentionTask& task);
void attention_f16(const AttentionTask& task);
void attention_bf16(const AttentionTask& task);
void attention_int16(const AttentionTask& task);
void attention_int8(const AttentionTask& task);
void attention_merge(const AttentionTask& task, const float* partials, int chunks);
extern const GateKernel kGates[5];
extern const MatmulKernel kMatmulFast[tensor::kDTypes];
extern const MatmulKernel kMatmulInt8[tensor::kDTypes];
extern const MatmulKernel kMatmulExact[tensor::kDTypes];

}  // namespace glia::kernels::GLIA_ISA
