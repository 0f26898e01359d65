#include "base/error.h"
#include "formats/quote_name.h"
#include "models/language_model.h"
#include "models/llama/llama.h"

namespace glia::models {
namespace {

enum class Family { llama };

Family family_of(const formats::GgufFile& file) {
  const auto architecture = file.string("general.architecture");
  if (architecture == "llama") return Family::llama;
  throw Error(ErrorCode::model_unavailable,
              "general.architecture " + formats::quote_name(architecture) + " is not supported (llama is)");
}

Family family_of(const formats::HfFolder& folder) {
  const auto* list = folder.config().if_contains("architectures");
  const auto* names = list == nullptr ? nullptr : list->if_array();
  if (names == nullptr || names->size() != 1 || !names->front().is_string()) {
    throw Error(ErrorCode::model_unavailable, "config.json's \"architectures\" is not a list of one name");
  }
  const std::string_view architecture = names->front().get_string();
  if (architecture == "LlamaForCausalLM") return Family::llama;
  throw Error(ErrorCode::model_unavailable,
              "architecture " + formats::quote_name(architecture) + " is not supported (LlamaForCausalLM is)");
}

template <typename Source>
std::unique_ptr<LanguageModel> load(const Source& source, kernels::Device& device) {
  switch (family_of(source)) {
    case Family::llama:
      return llama::load(source, device);
  }
  throw Error(ErrorCode::internal);
}

template <typename Source>
MemoryEstimate estimate(const Source& source, kernels::MathMode math) {
  switch (family_of(source)) {
    case Family::llama:
      return llama::estimate(source, math);
  }
  throw Error(ErrorCode::internal);
}

}  // namespace

std::unique_ptr<LanguageModel> load_language_model(const formats::GgufFile& file, kernels::Device& device) {
  return load(file, device);
}

std::unique_ptr<LanguageModel> load_language_model(const formats::HfFolder& folder, kernels::Device& device) {
  return load(folder, device);
}

MemoryEstimate estimate_memory(const formats::GgufFile& file, kernels::MathMode math) { return estimate(file, math); }

MemoryEstimate estimate_memory(const formats::HfFolder& folder, kernels::MathMode math) {
  return estimate(folder, math);
}

}  // namespace glia::models
