// Text to token ids and back, by Hugging Face's tokenizers (rust/text behind a C ABI).
// Errors: constructors throw glia::Error(model_unavailable) for a vocabulary that cannot be used; encode throws
// glia::Error(invalid_input) for text that is not valid UTF-8.
// Thread rule: const access from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"

namespace glia::text {

/// Stands in a rendered prompt between the characters of a special token that is meant as text: U+FDD0, a noncharacter.
inline constexpr std::string_view kLiteralMark = "\xEF\xB7\x90";

/// A text, or a pair of them, as an encoder reads it.
struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> types;  ///< per token which text of the pair it is of, as the post-processor says: 0 or 1
  std::int64_t dropped = 0;         ///< tokens that there was no room for
};

class Tokenizer {
 public:
  /// The content of a tokenizer.json, and of its tokenizer_config.json where there is one (special tokens).
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json = {});
  /// Built from a GGUF's own vocabulary (tokenizer.ggml.*): gpt2-style byte-level BPE and llama-style SentencePiece.
  static Tokenizer from_gguf(const formats::GgufFile& file);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// `add_special`: BOS/EOS as the tokenizer's post-processor adds them. Special tokens written in `text` are always
  /// recognised (a rendered chat template needs it).
  std::vector<std::int32_t> encode(std::string_view text, bool add_special) const;
  /// A prompt as ChatTemplate::render makes it with `literal_for`: special tokens that the template writes are
  /// recognised, those that messages spell stay text. Of any other prompt the same as encode(text, false).
  std::vector<std::int32_t> encode_prompt(std::string_view text) const;
  /// A text with the special tokens that the tokenizer's post-processor adds, in at most `most` tokens: what is too
  /// much is dropped from the text's end. Errors: invalid_input also where `most` has no room beside special tokens.
  Encoding encode_text(std::string_view text, std::size_t most) const;
  /// A pair likewise (what a cross-encoder scores); tokens are dropped from whichever text is longer.
  Encoding encode_pair(std::string_view text, std::string_view pair, std::size_t most) const;
  /// All at once. Bytes that do not form UTF-8 become U+FFFD.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special) const;

  std::int32_t vocab_size() const;
  /// Tokens after which generation ends (eos, and end-of-turn tokens of chat models).
  const std::vector<std::int32_t>& end_tokens() const;
  std::optional<std::int32_t> token_id(std::string_view token) const;
  /// The token's own text, e.g. "<|im_end|>"; empty for an id outside the vocabulary.
  std::string token_text(std::int32_t id) const;
  /// Texts of bos and eos for chat templates; empty when there is none.
  const std::string& bos_text() const;
  const std::string& eos_text() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }  ///< for StreamDecoder

 private:
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Turns ids into text piece by piece; never gives out half a character, and the pieces joined equal
/// Tokenizer::decode of all ids. Thread rule: one thread at a time. The tokenizer must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true);
  StreamDecoder(StreamDecoder&&) noexcept;
  ~StreamDecoder();
  /// Text that became certain with this token; may be empty.
  std::string push(std::int32_t id);
  /// What is left at the end (an unfinished character as U+FFFD).
  std::string finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::text
