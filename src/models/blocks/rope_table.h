// Rotary embedding's angles: inverse frequencies from theta, and the ways published models stretch them.
// Source: RoFormer (Su et al. 2021); transformers' modeling_rope_utils and YaRN (Peng et al. 2023) for the scalings.
// Thread rule: values and pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace glia::models {

enum class RopeScaling { none, linear, llama3, yarn };

struct RopeParameters {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  float attention_factor = 1.0F;  ///< multiplies cos and sin
  // llama3: wavelengths shorter than original_context / high_freq_factor stay, longer than original_context /
  // low_freq_factor are divided by `factor`, between the two blends.
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  // yarn: dimensions that turn more than beta_fast times within original_context stay, fewer than beta_slow times are
  // divided by `factor`, between the two blends along the dimension's index; `truncate` widens that range to whole
  // ones.
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;
  double original_context = 8192.0;  ///< llama3 and yarn
};

/// What yarn multiplies cos and sin with: 0.1 weight ln(factor) + 1.
double yarn_attention_factor(double factor, double weight = 1.0);
/// inv_freq[i] = theta^(-2i / dims), scaled; each then divided by divisors[i] where given (GGUF's rope_freqs).
/// [dims / 2], radians per position.
std::vector<float> inverse_frequencies(const RopeParameters& rope, std::int32_t dims,
                                       std::span<const float> divisors = {});

}  // namespace glia::models
