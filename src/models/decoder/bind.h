// From a description and a file to weights on a device.
// Errors: glia::Error(model_unavailable) naming the tensor that is missing, misshapen or left over.
// Thread rule: one thread.
#pragma once

#include <memory>
#include <vector>

#include "formats/weight_source.h"
#include "models/blocks/weight_binder.h"
#include "models/decoder/description.h"
#include "models/decoder/layer.h"

namespace glia::models::decoder {

/// What stands between the embedding and the head.
struct LayerStack {
  NormBlock final_norm;
  std::vector<std::vector<float>> inv_freq;  ///< of each of Config::ropes, [rope_dims / 2]
  std::vector<Layer> layers;

  /// One for each of Config::ropes; they borrow inv_freq.
  std::vector<kernels::Rope> ropes(const Config& config) const;
  std::size_t bytes() const;
};

struct Weights {
  std::unique_ptr<kernels::Matrix> embedding;  ///< [vocab, hidden]
  std::unique_ptr<kernels::Matrix> head;       ///< [vocab, hidden]; null when tied
  DeviceVector head_bias;                      ///< [vocab] or empty
  LayerStack stack;

  std::size_t bytes() const;
};

/// Checks the whole file before the first tensor is packed.
Weights bind(const Description& description, const formats::WeightSource& source, kernels::Device& device);
/// The stack alone, for whoever binds the rest in another way. Without a device the binder only checks.
LayerStack bind_stack(const Description& description, WeightBinder& binder);
/// The checks of bind() alone: packs nothing.
void check_weights(const Description& description, const formats::WeightSource& source);

}  // namespace glia::models::decoder
