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
    canonical[entry->id] = path;
  }
  options_.overrides = std::move(canonical);
}

ResolvedWeights Weights::resolve(const catalog::ModelEntry& entry) const {
  ResolvedWeights w;
  if (const auto own = options_.overrides.find(entry.id); own != options_.overrides.end()) {
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
  const auto* const tiny = options_.profile == "tiny" ? catalog_.weights(entry.tiny_weights) : nullptr;
  if (tiny == nullptr) {
    w.advice = "no weights are configured for " + entry.id + "; give your own with --model " + entry.id +
               "=FILE, or use --profile tiny";
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
