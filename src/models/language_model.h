// A decoder-only language model: tokens in, logits out. What differs between families stays behind this.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "kernels/device.h"

namespace glia::models {

struct LanguageModelInfo {
  std::string architecture;  ///< "llama"
  std::int32_t vocab = 0;
  std::int32_t context = 0;  ///< positions the weights were trained for
  std::int32_t layers = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::size_t weight_bytes = 0;  ///< resident in packed form
};

/// One step: rows of several sequences, prefill and decode mixed (kernels::Rows says where each row stands).
struct Batch {
  std::span<const std::int32_t> tokens;      ///< [n]
  kernels::Rows rows;                        ///< [n]
  std::span<const std::int32_t> logit_rows;  ///< rows whose logits are wanted, ascending
};

/// Thread rule: one forward at a time. Errors: forward throws nothing that input can cause (token ids must be checked
/// by the caller against info().vocab, positions against info().context).
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  virtual const LanguageModelInfo& info() const = 0;
  virtual std::unique_ptr<kernels::KvCache> create_kv_cache(std::int32_t pages, std::int32_t page_tokens) = 0;
  /// Writes keys and values of every row and the logits of the wanted ones. logits: [logit_rows.size(), vocab], host.
  virtual void forward(const Batch& batch, kernels::KvCache& cache, std::span<float> logits) = 0;
};

/// What a model will need in memory, from its headers alone: nothing is packed.
struct MemoryEstimate {
  std::size_t weight_bytes = 0;        ///< packed weights; the loaded model's info().weight_bytes is near it
  std::size_t kv_bytes_per_token = 0;  ///< keys and values of one position in every layer, as the CPU device keeps
                                       ///< them in pages of a multiple of 16 positions
  std::int32_t context = 0;            ///< positions the weights were trained for
  std::int32_t vocab = 0;              ///< of the logits; 0: there are none
  std::int32_t least_rows = 1;         ///< that a step must take: of an encoder, which splits no text, its context
  std::size_t row_bytes = 0;           ///< at most: activations of one row of a batch, and the device's copies of them
  std::size_t mapped_bytes = 0;        ///< of the file, in memory at once while its tensors are packed one by one
};
/// Errors: as load_language_model.
MemoryEstimate estimate_memory(const formats::GgufFile& file, kernels::MathMode math,
                               kernels::KvType kv = kernels::kDefaultKvType);
MemoryEstimate estimate_memory(const formats::HfFolder& folder, kernels::MathMode math,
                               kernels::KvType kv = kernels::kDefaultKvType);

/// Binds the weights of a GGUF (general.architecture decides the family). The file may be closed afterwards.
/// Errors: glia::Error(model_unavailable) naming the missing or misshapen tensor or key.
std::unique_ptr<LanguageModel> load_language_model(const formats::GgufFile& file, kernels::Device& device);
/// Binds a Hugging Face folder (config.json and safetensors).
std::unique_ptr<LanguageModel> load_language_model(const formats::HfFolder& folder, kernels::Device& device);

}  // namespace glia::models
