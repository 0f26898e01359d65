// Where tests find the real weights. A test that needs them fails when they are missing; scripts/bootstrap fetches
// them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace glia::text {

/// A file or folder of the local model store. Errors: throws std::runtime_error where it is not there.
inline std::filesystem::path stored_weights(const std::string& name) {
  const auto env = [](const char* key) -> std::filesystem::path {
    const char* value = std::getenv(key);
    return value == nullptr ? "" : value;
  };
  std::filesystem::path folder = env("GLIA_MODELS");
  if (folder.empty()) {
    const std::filesystem::path data = env("XDG_DATA_HOME");
    folder = (data.empty() ? env("HOME") / ".local" / "share" : data) / "glia" / "models";
  }
  const std::filesystem::path path = folder / name;
  if (!std::filesystem::exists(path)) throw std::runtime_error(name + " is missing; scripts/bootstrap fetches it");
  return path;
}

inline std::filesystem::path smollm2_path() { return stored_weights("SmolLM2-135M-Instruct.Q4_1.gguf"); }
inline std::filesystem::path minilm_path() { return stored_weights("all-MiniLM-L6-v2"); }

}  // namespace glia::text
