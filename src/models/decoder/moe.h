// A feed-forward made of experts: its numbers, and how a file lays its tensors out.
// Thread rule: values.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/device.h"

namespace glia::models::decoder {

struct MoeConfig {
  std::int32_t experts = 0;
  std::int32_t used = 0;  ///< chosen per row, at most `experts`
  std::int32_t ff = 0;    ///< of one expert
  kernels::RouterScore score = kernels::RouterScore::softmax;
  bool normalise = false;  ///< weights of the chosen sum to one
  float scale = 1;         ///< of the weights
  bool router_bias = false;
  bool expert_bias = false;
  std::int32_t shared_ff = 0;  ///< of an expert that every row goes through; 0: none
  bool shared_gate = false;    ///< its output is weighed with sigmoid(w x)
};

/// apart: a matrix per expert. stacked: one tensor [experts, rows, cols] each of gate, up and down. transposed: one
/// [experts, hidden, 2 ff] whose columns alternate between gate and up, and one [experts, ff, hidden]; or the same rows
/// of MXFP4 blocks and scales (gpt-oss), not transposed.
enum class ExpertLayout { apart, stacked, transposed };

/// After the layer's prefix and number; stems as in Names, but for `transposed`, where gate_up and down are whole
/// names.
struct MoeNames {
  ExpertLayout layout = ExpertLayout::stacked;
  std::string_view router = {};
  std::string_view expert = {};                    ///< apart: before the expert's number
  std::string_view gate = {}, up = {}, down = {};  ///< apart: after it
  std::string_view gate_up = {};                   ///< transposed
  std::string_view shared_router = {}, shared_gate = {}, shared_up = {}, shared_down = {};
};

inline constexpr MoeNames kGgufMoeNames = {
    .layout = ExpertLayout::stacked,
    .router = ".ffn_gate_inp",
    .gate = ".ffn_gate_exps",
    .up = ".ffn_up_exps",
    .down = ".ffn_down_exps",
    .shared_router = ".ffn_gate_inp_shexp",
    .shared_gate = ".ffn_gate_shexp",
    .shared_up = ".ffn_up_shexp",
    .shared_down = ".ffn_down_shexp",
};

}  // namespace glia::models::decoder
