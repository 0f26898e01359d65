#include "hub/choice.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/file_name.h"

namespace glia::hub {
namespace {

/// Of several quantisations, the one that is taken when none was named.
constexpr std::array<std::string_view, 8> kPreferred = {"Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1",
                                                        "Q5_K_M", "Q6_K",   "Q8_0", "MXFP4"};

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool has_suffix(std::string_view name, std::string_view suffix) {
  return name.size() > suffix.size() && ascii_upper(name.substr(name.size() - suffix.size())) == ascii_upper(suffix);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// "x-00002-of-00003.gguf" → "x-#-of-00003.gguf": the parts of one file have one such name.
std::string split_name(const std::string& name) {
  constexpr std::string_view kPart = "-00000-OF-00000.GGUF";
  if (name.size() < kPart.size()) return name;
  const std::size_t at = name.size() - kPart.size();
  return reads_as(ascii_upper(std::string_view(name).substr(at)), kPart)
             ? name.substr(0, at) + "-#" + name.substr(at + 6)
             : name;
}

/// Without what says which part of a split file it is: "-2-of-3", where split_name may have been.
std::string_view without_part(std::string_view stem) {
  constexpr std::string_view kOf = "-OF-";
  const auto back_over = [stem](std::size_t end, auto fits) {
    while (end > 0 && fits(stem[end - 1])) --end;
    return end;
  };
  const std::size_t count = back_over(stem.size(), is_digit);
  if (count == stem.size() || count < kOf.size() || ascii_upper(stem.substr(count - kOf.size(), kOf.size())) != kOf)
    return stem;
  const std::size_t number_end = count - kOf.size();
  const std::size_t number = back_over(number_end, [](char c) { return is_digit(c) || c == '#'; });
  return number < number_end && number > 0 && stem[number - 1] == '-' ? stem.substr(0, number - 1) : stem;
}

/// Each GGUF of a model with its parts in order; projectors of vision models, importance matrices and drafts are none.
std::map<std::string, std::vector<std::string>> gguf_files(const std::vector<std::string>& names) {
  std::map<std::string, std::vector<std::string>> out;
  for (const auto& name : names) {
    if (!has_suffix(name, ".gguf") || ascii_upper(base_name(name)).starts_with("MMPROJ")) continue;
    if (ascii_upper(base_name(name)).find("IMATRIX") != std::string::npos) continue;
    out[split_name(name)].push_back(name);
  }
  for (auto& [whole, parts] : out) std::sort(parts.begin(), parts.end());
  return out;
}

std::string list_of(const std::map<std::string, std::vector<std::string>>& files) {
  std::string out;
  for (const auto& [name, parts] : files) {
    const std::string quantisation = quantisation_of(name);
    out += (out.empty() ? "" : ", ") + (quantisation.empty() ? parts.front() : quantisation);
  }
  return out;
}

/// What stands behind an embedding model's transformer, in folders of its own: "1_Pooling", "2_Dense".
bool is_module(std::string_view name) {
  for (const std::string_view file : {"_Pooling/config.json", "_Dense/config.json", "_Dense/model.safetensors"}) {
    if (has_suffix(name, file) && std::all_of(name.begin(), name.end() - std::ssize(file), is_digit)) return true;
  }
  return false;
}

/// What belongs to a model beside its weights: settings, tokenizer, templates, licence.
bool is_companion(const std::string& name) {
  static constexpr std::array<std::string_view, 4> kNames = {"LICENSE", "LICENSE.TXT", "LICENSE.MD", "NOTICE"};
  if (name.find('/') != std::string::npos) return is_module(name);
  if (has_suffix(name, ".safetensors.index.json")) return false;
  if (has_suffix(name, ".json") || has_suffix(name, ".jinja")) return true;
  if (name == "vocab.txt" || name == "merges.txt" || name == "tokenizer.model") return true;
  return std::find(kNames.begin(), kNames.end(), ascii_upper(name)) != kNames.end();
}

constexpr std::string_view kWhole = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

bool is_shard(std::string_view name) { return reads_as(name, "model-00000-of-00000.safetensors"); }

Choice folder_of(const std::vector<std::string>& names) {
  const bool whole = std::find(names.begin(), names.end(), kWhole) != names.end();
  Choice choice;
  for (const auto& name : names) {
    const bool weights = whole ? name == kWhole : name == kIndex || is_shard(name);
    if (weights || is_companion(name)) choice.files.push_back(name);
  }
  return choice;
}

Choice gguf_of(const std::vector<std::string>& parts, const std::vector<std::string>& names) {
  Choice choice;
  choice.gguf = parts.front();
  for (const auto& name : names) {
    if (std::find(parts.begin(), parts.end(), name) != parts.end()) choice.files.push_back(name);
  }
  return choice;
}

}  // namespace

std::string quantisation_of(std::string_view file) {
  constexpr std::string_view kEnding = ".gguf";
  if (!has_suffix(file, kEnding)) return {};
  const std::string_view stem = without_part(file.substr(0, file.size() - kEnding.size()));
  const std::size_t start = quantisation_start(stem);
  return start == std::string_view::npos ? std::string() : ascii_upper(stem.substr(start));
}

Choice choose_files(const std::vector<std::string>& names, std::string_view wanted) {
  const auto files = gguf_files(names);
  if (!wanted.empty()) {
    for (const auto& [whole, parts] : files) {
      if (std::find(parts.begin(), parts.end(), wanted) != parts.end()) return gguf_of(parts, names);
    }
    for (const auto& [whole, parts] : files) {
      if (quantisation_of(whole) == ascii_upper(wanted)) return gguf_of(parts, names);
    }
    throw Error(ErrorCode::model_unavailable, "there is no GGUF " + std::string(wanted) + "; there " +
                                                  (files.empty() ? "is none" : "are " + list_of(files)));
  }
  const bool sharded =
      std::find(names.begin(), names.end(), kIndex) != names.end() && std::any_of(names.begin(), names.end(), is_shard);
  if (sharded || std::find(names.begin(), names.end(), kWhole) != names.end()) return folder_of(names);
  if (files.size() == 1) return gguf_of(files.begin()->second, names);
  for (const auto preferred : kPreferred) {
    for (const auto& [whole, parts] : files) {
      if (quantisation_of(whole) == preferred) return gguf_of(parts, names);
    }
  }
  if (!files.empty()) {
    throw Error(ErrorCode::model_unavailable, "say which GGUF after a colon: there are " + list_of(files));
  }
  throw Error(ErrorCode::model_unavailable, "there are no weights as safetensors or GGUF");
}

}  // namespace glia::hub
