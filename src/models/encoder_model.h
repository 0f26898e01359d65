// An encoder: the tokens of whole texts in, their states, vectors or scores out. What differs between families, and how
// a folder wants states pooled, stays behind this.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "kernels/device.h"
#include "models/language_model.h"

namespace glia::models {

struct EncoderInfo {
  std::string architecture;  ///< "bert"
  std::int32_t vocab = 0;
  std::int32_t context = 0;         ///< tokens of one text, special ones included
  std::int32_t advised_tokens = 0;  ///< that the folder wants texts cut to; at most context
  std::int32_t types = 1;           ///< segments that tell two texts of a pair apart; 1: there is nothing to tell
  std::int32_t layers = 0;
  std::int32_t hidden = 0;                            ///< values of a token's state
  std::int32_t width = 0;                             ///< values of a text's vector
  kernels::Pooling pooling = kernels::Pooling::mean;  ///< that the weights are meant for
  bool normalises = false;                            ///< vectors are meant to have length 1
  std::vector<std::string> labels;                    ///< of the classifier, one per logit; empty: there is none
  bool exclusive = true;                              ///< of several labels one is right: softmax, not sigmoids
  std::size_t weight_bytes = 0;                       ///< resident in packed form
};

enum class EncoderOutput {
  states,  ///< [tokens, hidden]: the last layer's
  vector,  ///< [width]: the states pooled, through the dense layers that the folder may have
  logits,  ///< [labels]: the classifier's
};

/// One text of a batch. Batches are ragged: texts lie one after another and nothing is ever padded.
struct EncoderText {
  std::span<const std::int32_t> tokens;  ///< [n], 1 to info().context, as the tokenizer gives them with special tokens
  std::span<const std::int32_t> types;   ///< [n], below info().types; or empty: all 0
  EncoderOutput output = EncoderOutput::vector;
  kernels::Pooling pooling = kernels::Pooling::mean;  ///< of `vector`
  bool normalise = false;                             ///< rows of `states` and `vector` get length 1 (0 stays 0)
  std::span<float> out;                               ///< host; as large as `output` says
};

/// What one text gives does not depend on the others of its batch, to the bit.
/// Thread rule: one forward at a time. Errors: forward throws nothing that input can cause (the caller checks ids,
/// types and lengths against info()).
class EncoderModel {
 public:
  virtual ~EncoderModel() = default;
  virtual const EncoderInfo& info() const = 0;
  virtual void forward(std::span<const EncoderText> texts) = 0;
};

/// Whether the folder is an encoder's: of a family that only encodes, or of sentence-transformers (modules.json).
bool encodes(const formats::HfFolder& folder);
/// Binds a Hugging Face folder, which may be dropped afterwards. BERT's float weights may be rounded
/// (kernels::Rounding).
/// Errors: glia::Error(model_unavailable) naming the missing, misshapen or unsupported tensor, field or module.
std::unique_ptr<EncoderModel> load_encoder(const formats::HfFolder& folder, kernels::Device& device);
/// From the headers alone; `floats`: what the device makes of float weights. Errors: as load_encoder.
MemoryEstimate estimate_encoder_memory(const formats::HfFolder& folder,
                                       kernels::FloatWeights floats = kernels::FloatWeights::kept);

/// The same of GGUF files: an encoder's says how its states are pooled.
bool encodes(const formats::GgufFile& file);
std::unique_ptr<EncoderModel> load_encoder(const formats::GgufFile& file, kernels::Device& device);
MemoryEstimate estimate_encoder_memory(const formats::GgufFile& file);

}  // namespace glia::models
