#include "hub/choice.h"

#include <algorithm>
#include <array>
#include <map>
#include <regex>

#include "base/error.h"

namespace glia::hub {
namespace {

/// Of several quantisations, the one that is taken when none was named.
constexpr std::array<std::string_view, 8> kPreferred = {"Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1",
                                                        "Q5_K_M", "Q6_K",   "Q8_0", "MXFP4"};

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  return out;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool has_suffix(std::string_view name, std::string_view suffix) {
  return name.size() > suffix.size() && upper(name.substr(name.size() - suffix.size())) == upper(suffix);
}

/// "x-00002-of-00003.gguf" → "x-#-of-00003.gguf": the parts of one file have one such name.
std::string split_name(const std::string& name) {
  static const std::regex part(R"(-[0-9]{5}(-of-[0-9]{5}\.gguf)$)", std::regex::icase);
  return std::regex_replace(name, part, "-#$1");
}

/// Each GGUF of a model with its parts in order; projectors of vision models, importance matrices and drafts are none.
std::map<std::string, std::vector<std::string>> gguf_files(const std::vector<std::string>& names) {
  std::map<std::string, std::vector<std::string>> out;
  for (const auto& name : names) {
    if (!has_suffix(name, ".gguf") || upper(base_name(name)).starts_with("MMPROJ")) continue;
    if (upper(base_name(name)).find("IMATRIX") != std::string::npos) continue;
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

/// What belongs to a model beside its weights: settings, tokenizer, templates, licence. In the top folder, or the
/// settings of an embedding model's layers.
bool is_companion(const std::string& name) {
  static constexpr std::array<std::string_view, 4> kNames = {"LICENSE", "LICENSE.TXT", "LICENSE.MD", "NOTICE"};
  if (name.find('/') != std::string::npos) return has_suffix(name, "_Pooling/config.json");
  if (has_suffix(name, ".safetensors.index.json")) return false;
  if (has_suffix(name, ".json") || has_suffix(name, ".jinja")) return true;
  if (name == "vocab.txt" || name == "merges.txt" || name == "tokenizer.model") return true;
  return std::find(kNames.begin(), kNames.end(), upper(name)) != kNames.end();
}

constexpr std::string_view kWhole = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

bool is_shard(const std::string& name) {
  static const std::regex shard(R"(model-[0-9]{5}-of-[0-9]{5}\.safetensors)");
  return std::regex_match(name, shard);
}

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
  static const std::regex pattern(
      R"((?:^|[-._/])((?:UD-)?(?:I?Q[0-9]+(?:_[0-9A-Z]+)*|TQ[0-9]_[0-9]|MXFP4(?:_MOE)?|BF16|FP?16|FP?32))(?:-[0-9#]+-of-[0-9]+)?\.gguf$)",
      std::regex::icase);
  std::match_results<std::string_view::const_iterator> match;
  if (!std::regex_search(file.begin(), file.end(), match, pattern)) return {};
  return upper(match[1].str());
}

Choice choose_files(const std::vector<std::string>& names, std::string_view wanted) {
  const auto files = gguf_files(names);
  if (!wanted.empty()) {
    for (const auto& [whole, parts] : files) {
      if (std::find(parts.begin(), parts.end(), wanted) != parts.end()) return gguf_of(parts, names);
    }
    for (const auto& [whole, parts] : files) {
      if (quantisation_of(whole) == upper(wanted)) return gguf_of(parts, names);
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
