// What a person calls weights of the hub: a repository, and which of its files at which revision.
// Thread rule: values. Errors: parse() throws glia::Error(invalid_input) with what is wrong.
// Source: the hub's rules for repository names; Ollama's and llama.cpp's way to name a quantisation after a colon.
#pragma once

#include <string>
#include <string_view>

namespace glia::hub {

struct Reference {
  std::string repo;       ///< "bartowski/Llama-3.2-1B-Instruct-GGUF"
  std::string file = {};  ///< "Q4_K_M" or "Llama-3.2-1B-Instruct-Q4_K_M.gguf"; empty: the safetensors, or the one GGUF
  std::string revision = {};  ///< branch, tag or commit; empty: none was given, which means "main"

  std::string_view revision_or_main() const { return revision.empty() ? std::string_view("main") : revision; }

  /// "owner/name", "owner/name:Q4_K_M", "owner/name:file.gguf", each with "@revision" after it and "hf:" or
  /// "https://huggingface.co/" before it.
  static Reference parse(std::string_view text);
  /// Whether a setting means the hub: it begins with "hf:".
  static bool is_marked(std::string_view text) { return text.starts_with("hf:"); }
  /// The shortest text that parses to the same, without "hf:".
  std::string text() const;
  bool operator==(const Reference&) const = default;
};

/// Whether a text may name a repository: "owner/name", or a "name" alone as the oldest have.
bool is_repo_name(std::string_view text);

/// Whether a text is a full commit id: 40 hexadecimal digits, lower case.
bool is_commit(std::string_view text);

/// Whether `name` may be a path inside a repository: relative, no empty, "." or ".." part, no backslash, no control
/// byte, at most 1,024 bytes in parts of at most 255.
bool is_safe_path(std::string_view name);

}  // namespace glia::hub
