// The engine's face for models that read texts and write none: embeddings, token states, scores of pairs, classes.
//
// Texts of all requests share batches, laid end to end without padding: a step takes the next texts of every account in
// turn, so a request of a hundred texts does not hold up one of a single text.
// Determinism: what a text gives depends on that text and on what is asked of it, never on what else runs, to the bit.
// Thread rule: as engine.h. Sinks are called on the engine's thread, must not block and must not call back into the
// engine except Generation::cancel().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace glia::engine {

using Pooling = kernels::Pooling;

enum class EncodeOutput {
  embedding,      ///< a row [info().width] per text
  states,         ///< a row [info().hidden] per token, special ones included
  logits,         ///< a row [labels] per text
  probabilities,  ///< the same, each between 0 and 1: softmax over labels of which one is right, else sigmoids
};

struct EncodeText {
  std::vector<std::int32_t> tokens;  ///< with special tokens (text::Tokenizer::encode_text, encode_pair)
  std::vector<std::int32_t> types;   ///< per token which text of a pair it is of; empty: all 0. Ignored where the model
                                     ///< has no types (XLM-RoBERTa).
};

struct EncodeRequest {
  std::vector<EncodeText> texts;  ///< at least one
  EncodeOutput output = EncodeOutput::embedding;
  std::optional<Pooling> pooling = {};  ///< of embeddings; none: the model's own
  std::optional<bool> normalise = {};   ///< rows of length 1; none: embeddings as the model's folder says, states not
  std::string account;                  ///< fairness
};

struct EncodeResult {
  bool cancelled = false;          ///< then there are no values
  std::vector<float> values;       ///< [rows of all texts, width], in the request's order
  std::int32_t width = 0;          ///< values of a row
  std::vector<std::int32_t> rows;  ///< [texts]: 1, or the text's tokens for states
  std::int64_t tokens = 0;         ///< that went through the model
  Timing timing;                   ///< first_token_ns: submit to the first text's result
};

/// Receives one request's result: exactly one of done() and failed() is called, once; by then the engine holds neither
/// its texts nor the model for it.
class EncodeSink {
 public:
  virtual ~EncodeSink() = default;
  virtual void done(EncodeResult result) = 0;
  virtual void failed(const Error& error) = 0;
};

struct TextEncoderInfo {
  std::int32_t context = 0;         ///< tokens of one text, special ones included
  std::int32_t advised_tokens = 0;  ///< that the model's folder wants texts cut to; at most context
  std::int32_t hidden = 0;          ///< values of a token's state
  std::int32_t width = 0;           ///< values of an embedding
  Pooling pooling = Pooling::mean;  ///< the model's own
  bool normalises = false;          ///< likewise
  std::vector<std::string> labels;  ///< of the classifier; empty: there is none, and neither logits nor probabilities
};

/// An encoder in memory with its tokenizer. Stays usable while anybody holds it.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual const std::string& name() const = 0;  ///< e.g. "all-MiniLM-L6-v2"
  virtual std::size_t bytes() const = 0;        ///< weights
  virtual const TextEncoderInfo& info() const = 0;
  virtual const text::Tokenizer& tokenizer() const = 0;
  /// The handle's cancel() takes effect within one step; the sink then gets done() with `cancelled`. Dropping the
  /// handle does not cancel.
  /// Errors, thrown before anything runs: context_too_long with the numbers, invalid_input for no texts, an empty one,
  /// a foreign token id or type, types of another size, a classifier's output where there is none; out_of_capacity
  /// (with retry_after_s) when the queue is full, aborted when the engine is gone.
  /// Errors that reach failed(): aborted when the engine goes away, internal when the model breaks
  /// or gives this request values that are not finite.
  virtual std::shared_ptr<Generation> encode(EncodeRequest request, std::shared_ptr<EncodeSink> sink) = 0;
};

}  // namespace glia::engine
