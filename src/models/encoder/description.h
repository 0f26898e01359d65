// What a family's reader makes of a folder: what the model is, how its trunk is bound, what its classifier is called.
// Thread rule: values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "models/blocks/weight_binder.h"
#include "models/encoder/trunk.h"

namespace glia::models::encoder {

/// A first product over the first token's state, an activation, a second product: the logits. Stems of their weights
/// and biases; an empty `dense`: the state itself.
struct Classifier {
  std::string dense;
  std::string out;
  bool tanh = true;  ///< between the two; else relu
  std::vector<std::string> labels;
  bool exclusive = true;
};

/// One matrix product or table of a model, as memory estimates see it.
struct Description {
  std::string architecture;  ///< "bert"
  std::int32_t vocab = 0;
  std::int32_t context = 0;
  std::int32_t types = 1;
  std::int32_t layers = 0;
  std::int32_t hidden = 0;
  std::size_t row_bytes = 0;        ///< at most: activations of one row, and the device's copies of them
  std::vector<std::string> tables;  ///< tensors that are looked up, not multiplied
  Classifier classifier;            ///< no labels: none
  kernels::Rounding rounding = kernels::Rounding::none;  ///< of its float matrices
  /// Takes the trunk's tensors. Without a device the binder only checks, and null may come back.
  std::function<std::unique_ptr<Trunk>(WeightBinder& binder, kernels::Device* device)> bind;
  /// Tensors that may stand in the file and are rightly not used, and beginnings of such names.
  std::vector<std::string> unused = {};
  std::vector<std::string> unused_prefixes = {};
};

}  // namespace glia::models::encoder
