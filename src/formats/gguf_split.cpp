#include "formats/gguf_split.h"

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "formats/quote_name.h"

namespace glia::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostParts = 4096;

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::model_unavailable, what); }

std::string suffix(std::uint64_t number, std::uint64_t count) {
  char text[48];
  std::snprintf(text, sizeof(text), "-%05u-of-%05u.gguf", static_cast<unsigned>(number), static_cast<unsigned>(count));
  return text;
}

/// split.no and its like: any integer type, as writers differ; nothing when the key is missing.
std::optional<std::uint64_t> number(const GgufContents& part, std::string_view key) {
  const auto it = part.metadata.find(key);
  if (it == part.metadata.end()) return std::nullopt;
  if (const auto* u = std::get_if<std::uint64_t>(&it->second)) return *u;
  const auto* i = std::get_if<std::int64_t>(&it->second);
  if (i == nullptr || *i < 0) refuse("metadata key " + quote_name(key) + " is not a count");
  return static_cast<std::uint64_t>(*i);
}

GgufContents open_one(const fs::path& path, std::vector<MappedFile>& files) {
  files.emplace_back(path);
  return parse_gguf(files.back().bytes());
}

void merge(GgufContents& all, GgufContents part, std::uint64_t index, std::uint64_t count) {
  if (number(part, "split.no") != index || number(part, "split.count") != count) {
    refuse("it is not part " + std::to_string(index + 1) + " of " + std::to_string(count));
  }
  for (auto& [name, view] : part.tensors) {
    if (!all.tensors.emplace(name, std::move(view)).second) {
      refuse("tensor " + quote_name(name) + " is in another part too");
    }
  }
}

}  // namespace

GgufContents open_gguf_parts(const fs::path& path, std::vector<MappedFile>& files) {
  fs::path now = path;
  try {
    GgufContents all = open_one(path, files);
    const std::uint64_t count = number(all, "split.count").value_or(1);
    if (count <= 1) return all;
    if (count > kMostParts) refuse("it claims " + std::to_string(count) + " parts");
    if (number(all, "split.no") != 0) refuse("it is not the first part of its model: open that one");
    const std::string name = path.filename().string();
    const std::string end = suffix(1, count);
    if (!name.ends_with(end)) refuse("the first of " + std::to_string(count) + " parts must be named ..." + end);
    const std::string prefix = name.substr(0, name.size() - end.size());
    for (std::uint64_t i = 1; i < count; i++) {
      now = path.parent_path() / (prefix + suffix(i + 1, count));
      merge(all, open_one(now, files), i, count);
    }
    now = path;
    const auto tensors = number(all, "split.tensors.count");
    if (tensors && *tensors != all.tensors.size()) {
      refuse("split.tensors.count is " + std::to_string(*tensors) + ", the parts hold " +
             std::to_string(all.tensors.size()));
    }
    return all;
  } catch (const Error& e) {
    const std::string name = now.filename().string();
    // What the mapping says has the name already.
    throw Error(e.code(), e.detail().find(name) != std::string::npos ? e.detail() : name + ": " + e.detail());
  }
}

}  // namespace glia::formats
