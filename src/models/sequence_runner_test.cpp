// What sequence_runner.h declares. Named as a test so that no library carries it.
#include "models/sequence_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ostream>

#include "formats/safetensors.h"

namespace glia::models::testing {
namespace {

template <typename T>
std::vector<T> values(const formats::SafetensorsFile& file, std::string_view name) {
  const auto view = file.find(name).value();
  std::vector<T> out(view.data.size() / sizeof(T));
  std::memcpy(out.data(), view.data.data(), view.data.size());
  return out;
}

}  // namespace

std::filesystem::path golden_folder(const std::string& family) {
  return std::filesystem::path(GLIA_SOURCE_DIR) / "tests/golden" / family;
}

std::vector<std::int32_t> Golden::inputs() const {
  std::vector<std::int32_t> out = prompt;
  out.insert(out.end(), greedy.begin(), greedy.end() - 1);
  return out;
}

Golden read_golden(const std::string& name, const std::string& family) {
  const auto file = formats::SafetensorsFile::open(golden_folder(family) / (name + ".expected.safetensors"));
  Golden g;
  g.prompt = values<std::int32_t>(file, "prompt");
  g.greedy = values<std::int32_t>(file, "greedy");
  g.logits = values<float>(file, "logits");
  if (file.find("fast.logits")) g.fast_logits = values<float>(file, "fast.logits");
  g.vocab = static_cast<std::int64_t>(file.find("logits").value().cols());
  return g;
}

std::vector<float> Sequence::step(std::span<const std::int32_t> tokens, std::span<const std::int32_t> wanted) {
  std::vector<std::int32_t> positions(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); i++) positions[i] = length_ + static_cast<std::int32_t>(i);
  const std::vector<std::int32_t> sequences(tokens.size(), 0);
  const std::span<const std::int32_t> table = pages_;
  std::vector<float> logits(wanted.size() * static_cast<std::size_t>(model_.info().vocab));
  model_.forward({tokens, {positions, sequences, {&table, 1}}, wanted}, cache_, logits);
  length_ += static_cast<std::int32_t>(tokens.size());
  return logits;
}

std::vector<float> Sequence::append(std::span<const std::int32_t> tokens) {
  std::vector<std::int32_t> wanted(tokens.size());
  for (std::size_t i = 0; i < wanted.size(); i++) wanted[i] = static_cast<std::int32_t>(i);
  return step(tokens, wanted);
}

std::vector<float> Sequence::append_last(std::span<const std::int32_t> tokens) {
  const std::int32_t last = static_cast<std::int32_t>(tokens.size()) - 1;
  return step(tokens, {&last, 1});
}

namespace {

/// Enough pages for `positions`, the last page first.
std::vector<std::int32_t> scattered_pages(std::size_t positions, std::int32_t page_tokens) {
  const auto n = static_cast<std::int32_t>(positions) / page_tokens + 1;
  std::vector<std::int32_t> pages;
  for (std::int32_t i = n - 1; i >= 0; i--) pages.push_back(i);
  return pages;
}

}  // namespace

std::vector<float> all_logits(LanguageModel& model, std::span<const std::int32_t> tokens, std::int32_t chunk,
                              std::int32_t page_tokens) {
  auto pages = scattered_pages(tokens.size(), page_tokens);
  const auto cache = model.create_kv_cache(static_cast<std::int32_t>(pages.size()), page_tokens);
  Sequence sequence(model, *cache, std::move(pages));
  std::vector<float> out;
  for (std::size_t at = 0; at < tokens.size();) {
    const auto count = std::min(static_cast<std::size_t>(chunk), tokens.size() - at);
    const auto logits = sequence.append(tokens.subspan(at, count));
    out.insert(out.end(), logits.begin(), logits.end());
    at += count;
  }
  return out;
}

std::vector<std::int32_t> greedy_tokens(LanguageModel& model, std::span<const std::int32_t> prompt,
                                        std::int32_t count) {
  constexpr std::int32_t kPageTokens = 16;
  auto pages = scattered_pages(prompt.size() + static_cast<std::size_t>(count), kPageTokens);
  const auto cache = model.create_kv_cache(static_cast<std::int32_t>(pages.size()), kPageTokens);
  Sequence sequence(model, *cache, std::move(pages));
  std::vector<std::int32_t> out = {argmax(sequence.append_last(prompt))};
  while (static_cast<std::int32_t>(out.size()) < count) {
    const std::int32_t last = out.back();
    out.push_back(argmax(sequence.append_last({&last, 1})));
  }
  return out;
}

std::int32_t argmax(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(d <= most)) most = d;  // NaN stays
  }
  return most;
}

double largest_magnitude(std::span<const float> a) {
  double most = 0;
  for (const float v : a) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

std::unique_ptr<kernels::Device> DeviceCase::make(std::int32_t threads) const {
  if (reference) return kernels::make_reference_device();
  return kernels::make_cpu_device({threads, math, isa});
}

void PrintTo(const DeviceCase& device, std::ostream* out) { *out << device.name; }

std::vector<DeviceCase> cpu_devices() {
  std::vector<DeviceCase> out;
  for (const auto isa : kernels::available_isas()) {
    out.push_back({std::string(isa) + "_exact", false, std::string(isa), kernels::MathMode::exact});
    out.push_back({std::string(isa) + "_fast", false, std::string(isa), kernels::MathMode::fast});
  }
  return out;
}

std::vector<DeviceCase> exact_devices() {
  std::vector<DeviceCase> out = {{"reference", true, "", kernels::MathMode::exact}};
  for (auto& device : cpu_devices()) {
    if (device.math == kernels::MathMode::exact) out.push_back(std::move(device));
  }
  return out;
}

}  // namespace glia::models::testing
