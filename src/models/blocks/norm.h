// The norm before or behind a block.
// Ownership: owns its weights. Thread rule: one forward at a time.
#pragma once

#include "kernels/device.h"
#include "models/blocks/weight_binder.h"

namespace glia::models {

/// rms: x / rms(x) * weight. layer: (x - mean) / deviation * weight + bias.
enum class NormKind { rms, layer };

struct NormBlock {
  NormKind kind = NormKind::rms;
  float eps = 0;
  DeviceVector weight;  ///< [hidden]
  DeviceVector bias;    ///< [hidden] for layer, empty for rms

  /// What a matmul can do on its way; only for rms.
  kernels::Norm fused() const { return {weight.data(), eps}; }
  /// out = norm(x); out may be x.
  void forward(kernels::Device& device, kernels::Tensor out, kernels::Tensor x) const {
    if (kind == NormKind::rms) {
      device.rms_norm(out, x, fused());
    } else {
      device.layer_norm(out, x, weight.data(), bias.data(), eps);
    }
  }
  std::size_t bytes() const { return weight.bytes() + bias.bytes(); }
};

}  // namespace glia::models
