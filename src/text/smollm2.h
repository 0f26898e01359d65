// Where tests find the real weights. A test that needs them fails when they are missing; scripts/bootstrap fetches
// them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace glia::text {

inline std::filesystem::path smollm2_path() {
  const auto env = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  std::filesystem::path folder = env("GLIA_MODELS");
  if (folder.empty()) {
    const std::filesystem::path data = env("XDG_DATA_HOME");
    folder = (data.empty() ? env("HOME") / ".local" / "share" : data) / "glia" / "models";
  }
  const std::filesystem::path file = folder / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(file)) {
    throw std::runtime_error("SmolLM2-135M-Instruct.Q4_1.gguf is missing; scripts/bootstrap fetches it");
  }
  return file;
}

}  // namespace glia::text
