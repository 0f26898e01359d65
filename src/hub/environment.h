// The variables that all Hugging Face tools share, read once.
// HF_HOME, HF_HUB_CACHE (HUGGINGFACE_HUB_CACHE), XDG_CACHE_HOME; HF_ENDPOINT; HF_TOKEN (HUGGING_FACE_HUB_TOKEN),
// HF_TOKEN_PATH, HF_HUB_DISABLE_IMPLICIT_TOKEN; HF_HUB_OFFLINE (TRANSFORMERS_OFFLINE).
// Thread rule: values. Errors: glia::Error(invalid_input) for an endpoint that is no http or https address.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace glia::hub {

struct Environment {
  std::filesystem::path cache;  ///< "~/.cache/huggingface/hub"
  std::string endpoint;         ///< "https://huggingface.co", without a slash at its end
  std::string token;            ///< empty: none. Never in a log line or an error
  bool offline = false;         ///< nothing may be fetched

  /// `get`: the value of a variable, none when it is unset.
  static Environment from(const std::function<std::optional<std::string>(const char*)>& get);
  /// Of this process.
  static Environment read();
};

}  // namespace glia::hub
