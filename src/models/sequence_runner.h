// For this room's tests: golden files, devices to test on, and sequences driven through a model in any chunking.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "models/language_model.h"

namespace glia::models::testing {

/// tests/golden/<family> of the source tree.
std::filesystem::path golden_folder(const std::string& family = "llama");

struct Golden {
  std::vector<std::int32_t> prompt;  ///< [p]
  std::vector<std::int32_t> greedy;  ///< [g]
  std::vector<float> logits;         ///< [p + g - 1, vocab], row i follows token i of prompt + greedy
  std::vector<float> fast_logits;    ///< the same with the fast path's roundings; empty where nobody computed them
  std::int64_t vocab = 0;

  /// prompt + greedy without the last token: what stands before each row of logits.
  std::vector<std::int32_t> inputs() const;
};
Golden read_golden(const std::string& name, const std::string& family = "llama");

/// One sequence in a KV cache of its own pages. Drives forward() directly, as the engine's scheduler does.
class Sequence {
 public:
  /// `pages`: the cache pages that belong to this sequence, in order of position.
  Sequence(LanguageModel& model, kernels::KvCache& cache, std::vector<std::int32_t> pages)
      : model_(model), cache_(cache), pages_(std::move(pages)) {}

  /// Appends the tokens in one step. Returns the logits behind each of them, [tokens.size(), vocab].
  std::vector<float> append(std::span<const std::int32_t> tokens);
  /// The same, logits of the last token only.
  std::vector<float> append_last(std::span<const std::int32_t> tokens);
  std::int32_t length() const { return length_; }

 private:
  std::vector<float> step(std::span<const std::int32_t> tokens, std::span<const std::int32_t> wanted);

  LanguageModel& model_;
  kernels::KvCache& cache_;
  std::vector<std::int32_t> pages_;
  std::int32_t length_ = 0;
};

/// Logits behind every token of `tokens`, fed in steps of at most `chunk` tokens, pages of `page_tokens` positions in
/// scattered order.
std::vector<float> all_logits(LanguageModel& model, std::span<const std::int32_t> tokens, std::int32_t chunk,
                              std::int32_t page_tokens = 7);
/// `count` tokens after `prompt`, each the best of its logits.
std::vector<std::int32_t> greedy_tokens(LanguageModel& model, std::span<const std::int32_t> prompt, std::int32_t count);

std::int32_t argmax(std::span<const float> logits);
double largest_difference(std::span<const float> a, std::span<const float> b);
double largest_magnitude(std::span<const float> a);

/// A device under test; `name` fits a gtest parameter.
struct DeviceCase {
  std::string name;
  bool reference = false;
  std::string isa;
  kernels::MathMode math = kernels::MathMode::exact;

  std::unique_ptr<kernels::Device> make(std::int32_t threads = 2) const;
};
void PrintTo(const DeviceCase& device, std::ostream* out);
/// The reference, and the CPU device in every instruction set that this machine can run, exact.
std::vector<DeviceCase> exact_devices();
/// The CPU device in every instruction set and both modes.
std::vector<DeviceCase> cpu_devices();

}  // namespace glia::models::testing
