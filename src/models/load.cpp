#include <array>

#include "base/error.h"
#include "formats/quote_name.h"
#include "models/decoder/decoder.h"
#include "models/falcon/falcon.h"
#include "models/gemma/gemma.h"
#include "models/gpt_oss/gpt_oss.h"
#include "models/language_model.h"
#include "models/llama/llama.h"
#include "models/mixtral/mixtral.h"
#include "models/phi/phi.h"
#include "models/qwen/qwen.h"
#include "models/qwen_moe/qwen_moe.h"

namespace glia::models {
namespace {

/// The reader of one family's files.
template <typename Source>
struct Family {
  std::string_view architecture;
  decoder::Description (*describe)(const Source&);
};

constexpr std::array kGgufFamilies = {
    Family<formats::GgufFile>{"llama", llama::describe},
    Family<formats::GgufFile>{"mistral3", llama::describe},
    Family<formats::GgufFile>{"qwen2", qwen::describe_qwen2},
    Family<formats::GgufFile>{"qwen3", qwen::describe_qwen3},
    Family<formats::GgufFile>{"qwen2moe", qwen_moe::describe_qwen2},
    Family<formats::GgufFile>{"qwen3moe", qwen_moe::describe_qwen3},
    Family<formats::GgufFile>{"gpt-oss", gpt_oss::describe},
    Family<formats::GgufFile>{"gemma", gemma::describe_gemma},
    Family<formats::GgufFile>{"gemma2", gemma::describe_gemma2},
    Family<formats::GgufFile>{"gemma3", gemma::describe_gemma3},
    Family<formats::GgufFile>{"phi2", phi::describe_phi2},
    Family<formats::GgufFile>{"phi3", phi::describe_phi3},
    Family<formats::GgufFile>{"falcon", falcon::describe},
};
constexpr std::array kHfFamilies = {
    Family<formats::HfFolder>{"LlamaForCausalLM", llama::describe},
    Family<formats::HfFolder>{"MistralForCausalLM", llama::describe_mistral},
    Family<formats::HfFolder>{"Mistral3ForConditionalGeneration", llama::describe_mistral3},
    Family<formats::HfFolder>{"Qwen2ForCausalLM", qwen::describe_qwen2},
    Family<formats::HfFolder>{"Qwen3ForCausalLM", qwen::describe_qwen3},
    Family<formats::HfFolder>{"MixtralForCausalLM", mixtral::describe},
    Family<formats::HfFolder>{"Qwen2MoeForCausalLM", qwen_moe::describe_qwen2},
    Family<formats::HfFolder>{"Qwen3MoeForCausalLM", qwen_moe::describe_qwen3},
    Family<formats::HfFolder>{"GptOssForCausalLM", gpt_oss::describe},
    Family<formats::HfFolder>{"GemmaForCausalLM", gemma::describe_gemma},
    Family<formats::HfFolder>{"Gemma2ForCausalLM", gemma::describe_gemma2},
    Family<formats::HfFolder>{"Gemma3ForCausalLM", gemma::describe_gemma3},
    Family<formats::HfFolder>{"Gemma3ForConditionalGeneration", gemma::describe_gemma3_with_vision},
    Family<formats::HfFolder>{"PhiForCausalLM", phi::describe_phi2},
    Family<formats::HfFolder>{"Phi3ForCausalLM", phi::describe_phi3},
    Family<formats::HfFolder>{"FalconForCausalLM", falcon::describe},
};

template <typename Families, typename Source>
decoder::Description describe(const Families& families, std::string_view field, std::string_view architecture,
                              const Source& source) {
  std::string known;
  for (const auto& family : families) {
    if (family.architecture == architecture) return family.describe(source);
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  }
  throw Error(ErrorCode::model_unavailable, std::string(field) + " " + formats::quote_name(architecture) +
                                                " is not supported (supported: " + known + ")");
}

decoder::Description describe(const formats::GgufFile& file) {
  return describe(kGgufFamilies, "general.architecture", file.string("general.architecture"), file);
}

decoder::Description describe(const formats::HfFolder& folder) {
  const auto* list = folder.config().if_contains("architectures");
  const auto* names = list == nullptr ? nullptr : list->if_array();
  if (names == nullptr || names->size() != 1 || !names->front().is_string()) {
    throw Error(ErrorCode::model_unavailable, "config.json's \"architectures\" is not a list of one name");
  }
  return describe(kHfFamilies, "architecture", std::string_view(names->front().get_string()), folder);
}

}  // namespace

std::unique_ptr<LanguageModel> load_language_model(const formats::GgufFile& file, kernels::Device& device) {
  return decoder::load(describe(file), file, device);
}

std::unique_ptr<LanguageModel> load_language_model(const formats::HfFolder& folder, kernels::Device& device) {
  return decoder::load(describe(folder), folder, device);
}

MemoryEstimate estimate_memory(const formats::GgufFile& file, kernels::MathMode math, kernels::KvType kv) {
  return decoder::estimate(describe(file), file, math, kv);
}

MemoryEstimate estimate_memory(const formats::HfFolder& folder, kernels::MathMode math, kernels::KvType kv) {
  return decoder::estimate(describe(folder), folder, math, kv);
}

}  // namespace glia::models
