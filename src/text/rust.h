// The C face of rust/text as C++ uses it: owned results and thrown errors. Internal to this room.
#pragma once

#include <glia_text_rs.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace glia::text {

class Tokenizer;

/// The tokenizer behind a Tokenizer, for what else is done in Rust.
const GliaTokenizer* rust_handle(const Tokenizer& tokenizer);

}  // namespace glia::text

namespace glia::text::rust {

inline GliaBytes bytes(std::string_view text) { return {text.data(), text.size()}; }

/// Copies a text and gives it back to Rust.
inline std::string take(GliaText text) {
  const std::unique_ptr<GliaText, void (*)(GliaText*)> owner(&text, [](GliaText* t) { glia_text_free(*t); });
  return std::string(text.data, text.size);
}

/// The same for ids.
inline std::vector<std::int32_t> take(GliaIds ids) {
  const std::unique_ptr<GliaIds, void (*)(GliaIds*)> owner(&ids, [](GliaIds* i) { glia_ids_free(*i); });
  return std::vector<std::int32_t>(ids.data, ids.data + ids.size);
}

/// Throws the error of a call that did not return kGliaTextOk.
[[noreturn]] inline void raise(std::int32_t code, GliaText error) {
  const std::string detail = take(error);
  switch (code) {
    case kGliaTextUnusable:
      throw Error(ErrorCode::model_unavailable, detail);
    case kGliaTextInput:
    case kGliaTextBudget:
      throw Error(ErrorCode::invalid_input, detail);
    default:
      throw Error(ErrorCode::internal);
  }
}

/// Calls `function(args…, &out, &error)` and returns what it wrote.
template <typename Out, typename Function, typename... Args>
Out call(Function function, Args... args) {
  Out out{};
  GliaText error{};
  const std::int32_t code = function(args..., &out, &error);
  if (code != kGliaTextOk) raise(code, error);
  return out;
}

struct Free {
  void operator()(GliaTokenizer* tokenizer) const { glia_tokenizer_free(tokenizer); }
  void operator()(GliaStream* stream) const { glia_stream_free(stream); }
  void operator()(GliaTemplate* chat_template) const { glia_template_free(chat_template); }
};

template <typename T>
using Owned = std::unique_ptr<T, Free>;

}  // namespace glia::text::rust
