#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/quote_name.h"
#include "models/bert/bert.h"
#include "models/encoder/decoder_trunk.h"
#include "models/encoder/encoder.h"
#include "models/encoder_model.h"
#include "models/gemma/gemma.h"
#include "models/qwen/qwen.h"

namespace glia::models {
namespace {

/// The layers of a decoder's family.
template <decoder::Description (*describe)(const formats::HfFolder&)>
encoder::Description of_decoder(const formats::HfFolder& folder) {
  return encoder::of_decoder(describe(folder), folder);
}

struct GgufFamily {
  std::string_view architecture;
  decoder::Description (*describe)(const formats::GgufFile&);
  bool also_generates;  ///< then only a pooling tells that it encodes
  bool dense;           ///< dense layers follow
};

constexpr std::array kGgufFamilies = {
    GgufFamily{"qwen3", qwen::describe_qwen3, true, false},
    GgufFamily{"gemma-embedding", gemma::describe_gemma3_encoder, false, true},
};

struct Family {
  std::string_view architecture;
  encoder::Description (*describe)(const formats::HfFolder&);
  bool also_generates = false;  ///< then only modules.json tells that it encodes
};

constexpr std::array kFamilies = {
    Family{"BertModel", bert::describe_bert},
    Family{"BertForMaskedLM", bert::describe_bert},
    Family{"BertForPreTraining", bert::describe_bert},
    Family{"BertForSequenceClassification", bert::describe_bert},
    Family{"RobertaModel", bert::describe_roberta},
    Family{"RobertaForMaskedLM", bert::describe_roberta},
    Family{"RobertaForSequenceClassification", bert::describe_roberta},
    Family{"XLMRobertaModel", bert::describe_xlm_roberta},
    Family{"XLMRobertaForMaskedLM", bert::describe_xlm_roberta},
    Family{"XLMRobertaForSequenceClassification", bert::describe_xlm_roberta},
    Family{"DistilBertModel", bert::describe_distilbert},
    Family{"DistilBertForMaskedLM", bert::describe_distilbert},
    Family{"DistilBertForSequenceClassification", bert::describe_distilbert},
    Family{"Qwen3Model", of_decoder<qwen::describe_qwen3>},
    Family{"Qwen3ForCausalLM", of_decoder<qwen::describe_qwen3>, true},
    Family{"Gemma3TextModel", of_decoder<gemma::describe_gemma3_encoder>},
};

/// Empty where the file does not name exactly one.
std::string_view architecture_of(const formats::HfFolder& folder) {
  const auto* list = folder.config().if_contains("architectures");
  const auto* names = list == nullptr ? nullptr : list->if_array();
  if (names == nullptr || names->size() != 1 || !names->front().is_string()) return {};
  return names->front().get_string();
}

const Family* family_of(const formats::HfFolder& folder) {
  const std::string_view architecture = architecture_of(folder);
  const auto* const found =
      std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& f) { return f.architecture == architecture; });
  return found == kFamilies.end() ? nullptr : found;
}

const GgufFamily* family_of(const formats::GgufFile& file) {
  const std::string_view architecture = file.string("general.architecture");
  const auto* const found = std::find_if(kGgufFamilies.begin(), kGgufFamilies.end(),
                                         [&](const GgufFamily& f) { return f.architecture == architecture; });
  return found == kGgufFamilies.end() ? nullptr : found;
}

template <typename Families>
[[noreturn]] void refuse(std::string_view architecture, const Families& families) {
  std::string known;
  for (const auto& f : families) known += (known.empty() ? "" : ", ") + std::string(f.architecture);
  throw Error(ErrorCode::model_unavailable, "architecture " + formats::quote_name(architecture) +
                                                " does not encode texts here (supported: " + known + ")");
}

encoder::Description describe(const formats::HfFolder& folder) {
  if (const Family* family = family_of(folder)) return family->describe(folder);
  if (architecture_of(folder).empty()) {
    throw Error(ErrorCode::model_unavailable, "config.json's \"architectures\" is not a list of one name");
  }
  refuse(architecture_of(folder), kFamilies);
}

const GgufFamily& known_family_of(const formats::GgufFile& file) {
  const GgufFamily* family = family_of(file);
  if (family == nullptr) refuse(file.string("general.architecture"), kGgufFamilies);
  return *family;
}

}  // namespace

bool encodes(const formats::HfFolder& folder) {
  const Family* family = family_of(folder);
  return (family != nullptr && !family->also_generates) || encoder::has_modules(folder);
}

std::unique_ptr<EncoderModel> load_encoder(const formats::HfFolder& folder, kernels::Device& device) {
  const encoder::Description description = describe(folder);
  return encoder::load(description, encoder::read_modules(folder, description.hidden), folder, device);
}

MemoryEstimate estimate_encoder_memory(const formats::HfFolder& folder, kernels::FloatWeights floats) {
  const encoder::Description description = describe(folder);
  return encoder::estimate(description, encoder::read_modules(folder, description.hidden), folder, floats);
}

bool encodes(const formats::GgufFile& file) {
  const GgufFamily* family = family_of(file);
  return (family != nullptr && !family->also_generates) || encoder::has_modules(file);
}

std::unique_ptr<EncoderModel> load_encoder(const formats::GgufFile& file, kernels::Device& device) {
  const GgufFamily& family = known_family_of(file);
  const encoder::Description description = encoder::of_decoder(family.describe(file), file);
  return encoder::load(description, encoder::read_modules(file, description.hidden, family.dense), file, device);
}

MemoryEstimate estimate_encoder_memory(const formats::GgufFile& file) {
  const GgufFamily& family = known_family_of(file);
  const encoder::Description description = encoder::of_decoder(family.describe(file), file);
  return encoder::estimate(description, encoder::read_modules(file, description.hidden, family.dense), file);
}

}  // namespace glia::models
