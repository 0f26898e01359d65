#include "tasks/weights.h"

#include <system_error>
#include <utility>

#include "base/error.h"

namespace glia::tasks {
namespace {

bool is_there(const std::filesystem::path& path) {
  std::error_code ec;
  return std::filesystem::exists(path, ec);
}

/// "SmolLM2-135M-Instruct.Q4_1.gguf" and a folder "SmolLM2-135M-Instruct/" by the names people gave them.
std::string name_of(const std::filesystem::path& path) {
  const auto& last = path.has_filename() ? path : path.parent_path();
  return last.extension() == ".gguf" ? last.stem().string() : last.filename().string();
}

constexpr std::string_view kHub = "hf:";

/// "Llama-3.2-1B-Instruct" of "meta-llama/Llama-3.2-1B-Instruct:Q4_K_M@main"
std::string name_of_reference(std::string_view reference) {
  const auto repo = reference.substr(0, reference.find_first_of(":@"));
  return std::string(repo.substr(repo.rfind('/') + 1));
}

}  // namespace

Weights::Weights(const catalog::Catalog& catalog, WeightsOptions options)
    : catalog_(catalog), options_(std::move(options)) {
  if (options_.profile != "tiny" && options_.profile != "full") {
    throw Error(ErrorCode::invalid_input, "profile: must be \"tiny\" or \"full\"");
  }
  decltype(options_.overrides) canonical;
  for (const auto& [id, path] : options_.overrides) {
    const auto* const entry = catalog_.find(id);
    if (entry == nullptr) {
      throw Error(ErrorCode::invalid_input,
                  id + " is not in the catalogue; the nearest is " + catalog_.nearest(id, 1).at(0));
    }
    if (const std::string text = path.string(); text.starts_with(kHub) && options_.hub) {
      options_.hub(text.substr(kHub.size()));  // one that names no repository is said now
    }
    canonical[entry->id] = path;
  }
  options_.overrides = std::move(canonical);
}

ResolvedWeights Weights::from_hub(const std::string& reference, const std::string& pulled_as) const {
  ResolvedWeights w;
  const HubWeights found = options_.hub ? options_.hub(reference) : HubWeights{.missing = "no snapshot"};
  w.name = name_of_reference(reference);
  w.path = found.path;
  w.available = found.available;
  w.package = reference.substr(0, reference.find_first_of(":@"));
  if (!found.commit.empty()) w.package += " at " + found.commit.substr(0, 12);
  w.file = found.path.extension() == ".gguf" ? found.path.filename().string() : "safetensors";
  if (!w.available) w.advice = reference + " is not here (" + found.missing + "): glia pull " + pulled_as;
  return w;
}

ResolvedWeights Weights::resolve(const catalog::ModelEntry& entry) const {
  ResolvedWeights w;
  if (const auto own = options_.overrides.find(entry.id); own != options_.overrides.end()) {
    if (const std::string text = own->second.string(); text.starts_with(kHub)) {
      return from_hub(text.substr(kHub.size()), text.substr(kHub.size()));
    }
    w.path = own->second;
    w.name = name_of(w.path);
    w.file = (w.path.has_filename() ? w.path : w.path.parent_path()).filename().string();
    w.available = is_there(w.path);
    if (!w.available) w.advice = "the configured file " + w.file + " does not exist";
    return w;
  }
  if (!entry.served()) {
    w.advice = "the task of " + entry.id + " (" + entry.task + ") is not built in this version";
    return w;
  }
  if (options_.profile == "full" && !entry.full_weights.empty()) return from_hub(entry.full_weights, entry.id);
  const auto* const tiny = options_.profile == "tiny" ? catalog_.weights(entry.tiny_weights) : nullptr;
  if (tiny == nullptr) {
    w.advice = "no weights are configured for " + entry.id + "; give your own with --model " + entry.id + "=FILE";
    if (options_.profile != "tiny" && catalog_.weights(entry.tiny_weights) != nullptr) {
      w.advice += ", or use --profile tiny";
    }
    return w;
  }
  w.name = tiny->name;
  w.file = tiny->file;
  w.package = tiny->package;
  w.path = options_.models_dir / tiny->file;
  w.stand_in = true;
  w.available = is_there(w.path);
  if (!w.available) {
    w.advice = tiny->file + " is missing (package " + tiny->package +
               "); run scripts/fetch-weights in a checkout, else glia-dev --fetch-weights";
  }
  return w;
}

}  // namespace glia::tasks
