// What a sentence-transformers folder says becomes of token states: modules.json names a transformer, a pooling, dense
// layers and whether vectors get length 1. A folder without modules.json is pooled by its mean, as
// sentence-transformers itself does. A GGUF file of an encoder names its pooling and holds its dense layers.
// Source: sentence-transformers' SentenceTransformer, Pooling, Dense and Normalize; llama.cpp's pooling types.
// Errors: glia::Error(model_unavailable) naming the file and field; a module of any other kind is refused by name.
// Thread rule: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "kernels/device.h"

namespace glia::models::encoder {

struct DenseModule {
  std::filesystem::path file;   ///< a safetensors file of its own; empty: the model's
  std::string stem = "linear";  ///< of its tensors
  std::int32_t in = 0;
  std::int32_t out = 0;
  bool bias = true;
  bool tanh = true;  ///< behind it; else nothing
};

struct Modules {
  kernels::Pooling pooling = kernels::Pooling::mean;
  std::vector<DenseModule> dense;
  bool normalise = false;
  std::int32_t advised_tokens = 0;  ///< that texts are cut to (sentence_bert_config.json); 0: it does not say
};

/// Whether the folder is one of sentence-transformers.
bool has_modules(const formats::HfFolder& folder);
/// Whether the file says how states are pooled, which only those of encoders do.
bool has_modules(const formats::GgufFile& file);
/// `hidden`: values of a state.
Modules read_modules(const formats::HfFolder& folder, std::int32_t hidden);
/// Vectors get length 1, as llama.cpp makes them. `dense`: the file must hold dense layers, dense_2 and dense_3.
Modules read_modules(const formats::GgufFile& file, std::int32_t hidden, bool dense);

}  // namespace glia::models::encoder
