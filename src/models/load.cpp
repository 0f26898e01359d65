#include "base/error.h"
#include "formats/quote_name.h"
#include "models/language_model.h"
#include "models/llama/llama.h"

namespace glia::models {

std::unique_ptr<LanguageModel> load_language_model(const formats::GgufFile& file, kernels::Device& device) {
  const auto architecture = file.string("general.architecture");
  if (architecture == "llama") return llama::load(file, device);
  throw Error(ErrorCode::model_unavailable,
              "general.architecture " + formats::quote_name(architecture) + " is not supported (llama is)");
}

std::unique_ptr<LanguageModel> load_language_model(const formats::HfFolder& folder, kernels::Device& device) {
  const auto* list = folder.config().if_contains("architectures");
  const auto* names = list == nullptr ? nullptr : list->if_array();
  if (names == nullptr || names->size() != 1 || !names->front().is_string()) {
    throw Error(ErrorCode::model_unavailable, "config.json's \"architectures\" is not a list of one name");
  }
  const std::string_view architecture = names->front().get_string();
  if (architecture == "LlamaForCausalLM") return llama::load(folder, device);
  throw Error(ErrorCode::model_unavailable,
              "architecture " + formats::quote_name(architecture) + " is not supported (LlamaForCausalLM is)");
}

}  // namespace glia::models
