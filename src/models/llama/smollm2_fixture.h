// SmolLM2-135M-Instruct in Q4_1 for tests: the real weights, and real text with what transformers made of it
// (tests/golden/make_smollm2.py).
// Errors: throws std::runtime_error when the weights are missing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/sequence_runner.h"

namespace glia::models::testing {

inline std::filesystem::path smollm2_path() {
  namespace fs = std::filesystem;
  constexpr auto kName = "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (const char* models = std::getenv("GLIA_MODELS")) return fs::path(models) / kName;
  if (const char* data = std::getenv("XDG_DATA_HOME")) return fs::path(data) / "glia/models" / kName;
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "" : home) / ".local/share/glia/models" / kName;
}

inline formats::GgufFile open_smollm2() {
  const auto path = smollm2_path();
  if (!std::filesystem::exists(path))
    throw std::runtime_error("no weights at " + path.string() + ": run scripts/bootstrap, or set GLIA_MODELS");
  return formats::GgufFile::open(path);
}

class Smollm2Expected {
 public:
  Smollm2Expected()
      : file_(formats::SafetensorsFile::open(golden_folder().parent_path() / "smollm2/expected.safetensors")) {}

  template <typename T>
  std::vector<T> get(const std::string& name) const {
    const auto view = file_.find(name).value();
    std::vector<T> out(view.data.size() / sizeof(T));
    std::memcpy(out.data(), view.data.data(), view.data.size());
    return out;
  }

 private:
  formats::SafetensorsFile file_;
};

/// log-sum-exp of one row of logits.
inline double log_partition(std::span<const float> logits) {
  double most = -INFINITY;
  for (const float v : logits) most = std::max(most, static_cast<double>(v));
  double sum = 0;
  for (const float v : logits) sum += std::exp(static_cast<double>(v) - most);
  return most + std::log(sum);
}

}  // namespace glia::models::testing
