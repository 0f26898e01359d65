#include <string>
#include <utility>

#include "formats/quote_name.h"
#include "models/bert/bert.h"
#include "models/bert/trunk.h"
#include "models/decoder/hf_common.h"
#include "models/decoder/hf_fields.h"
#include "models/decoder/limits.h"
#include "models/encoder/labels.h"

namespace glia::models::bert {
namespace {

using decoder::HfFields;
using decoder::kMostContext;
using decoder::kMostHeads;
using decoder::kMostLayers;
using decoder::kMostVocab;
using decoder::kMostWidth;
using decoder::refuse;
using formats::quote_name;

constexpr Names kBertNames = {
    .prefix = "bert.",
    .words = "embeddings.word_embeddings",
    .types = "embeddings.token_type_embeddings",
    .positions = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
    .layer_prefix = "encoder.layer.",
    .q = ".attention.self.query",
    .k = ".attention.self.key",
    .v = ".attention.self.value",
    .out = ".attention.output.dense",
    .attention_norm = ".attention.output.LayerNorm",
    .up = ".intermediate.dense",
    .down = ".output.dense",
    .output_norm = ".output.LayerNorm",
};

constexpr Names kDistilNames = {
    .prefix = "distilbert.",
    .words = "embeddings.word_embeddings",
    .types = "",
    .positions = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
    .layer_prefix = "transformer.layer.",
    .q = ".attention.q_lin",
    .k = ".attention.k_lin",
    .v = ".attention.v_lin",
    .out = ".attention.out_lin",
    .attention_norm = ".sa_layer_norm",
    .up = ".ffn.lin1",
    .down = ".ffn.lin2",
    .output_norm = ".output_layer_norm",
};

constexpr Names roberta_names() {
  Names names = kBertNames;
  names.prefix = "roberta.";
  return names;
}
constexpr Names kRobertaNames = roberta_names();

std::string architecture_of(const formats::HfFolder& folder) {
  return std::string(folder.config().at("architectures").as_array().at(0).as_string());
}

bool classifies(const formats::HfFolder& folder) {
  return architecture_of(folder).ends_with("ForSequenceClassification");
}

/// What would compute something else.
void refuse_variants(const HfFields& f) {
  const auto positions = f.string_or("position_embedding_type", "absolute");
  if (positions != "absolute") {
    refuse(HfFields::field("position_embedding_type") + " " + quote_name(positions) + " is not supported");
  }
  for (const char* key : {"is_decoder", "add_cross_attention"}) {
    if (f.boolean_or(key, false)) refuse(HfFields::field(key) + " is true, which is not supported");
  }
  const auto* pruned = f.find("pruned_heads");
  if (pruned != nullptr && !(pruned->is_object() && pruned->get_object().empty())) {
    refuse(HfFields::field("pruned_heads") + " is set, which is not supported");
  }
}

void check(const Config& c) {
  if (c.hidden % c.heads != 0) {
    refuse(std::to_string(c.hidden) + " values cannot be shared by " + std::to_string(c.heads) + " attention heads");
  }
  if (c.padding + 1 >= c.positions) {
    refuse("the padding token " + std::to_string(c.padding) + " leaves no position of " + std::to_string(c.positions));
  }
  decoder::number_within(static_cast<double>(c.norm_eps), 1e-15, 1.0, "the norm's epsilon");
}

encoder::Description describe(const formats::HfFolder& folder, std::string_view architecture, const Config& c,
                              const Names& names) {
  check(c);
  const std::string with(names.prefix);
  const std::string prefix = folder.find(with + std::string(names.words) + ".weight") ? with : "";
  encoder::Description d;
  d.architecture = architecture;
  d.rounding = kernels::Rounding::allowed;
  d.vocab = c.vocab;
  d.context = c.positions - (c.padding + 1);
  d.types = std::max(c.types, 1);
  d.layers = c.layers;
  d.hidden = c.hidden;
  d.row_bytes = row_bytes(c);
  for (const std::string_view stem : {names.words, names.types, names.positions}) {
    if (!stem.empty()) d.tables.push_back(prefix + std::string(stem) + ".weight");
  }
  d.bind = [c, names, prefix](WeightBinder& binder, kernels::Device* device) {
    return bind_trunk(c, names, prefix, binder, device);
  };
  // A buffer that old files hold; the pooler is BERT's own classifier's and nobody else's; heads for training.
  d.unused = {prefix + "embeddings.position_ids", prefix + "embeddings.token_type_ids"};
  d.unused_prefixes = {prefix + "pooler.", "cls.", "lm_head.", "vocab_transform.", "vocab_layer_norm.",
                       "vocab_projector."};
  return d;
}

/// Encoders were trained with relu too, which no decoder family here was.
kernels::Gate activation(const HfFields& f, std::string_view key) {
  if (f.string_or(key, "gelu") == "relu") return kernels::Gate::relu;
  return decoder::read_activation(f, key, "gelu");
}

Config read_shared(const HfFields& f, std::int32_t types) {
  refuse_variants(f);
  Config c;
  c.vocab = f.dimension_at("vocab_size", kMostVocab);
  c.positions = f.dimension_or("max_position_embeddings", kMostContext, 512);
  c.types = f.dimension_or("type_vocab_size", kMostVocab, types);
  c.layers = f.dimension_at("num_hidden_layers", kMostLayers);
  c.hidden = f.dimension_at("hidden_size", kMostWidth);
  c.heads = f.dimension_at("num_attention_heads", kMostHeads);
  c.ff = f.dimension_at("intermediate_size", kMostWidth);
  c.activation = activation(f, "hidden_act");
  c.norm_eps = static_cast<float>(f.number_or("layer_norm_eps", 1e-12));
  return c;
}

encoder::Description describe_roberta_like(const formats::HfFolder& folder, std::string_view type) {
  const HfFields f(folder.config());
  f.check_model_type({type});
  Config c = read_shared(f, 2);
  c.padding = static_cast<std::int32_t>(f.count_or("pad_token_id", kMostVocab, 1));
  encoder::Description d = describe(folder, type, c, kRobertaNames);
  if (classifies(folder)) {
    d.classifier = encoder::read_labels(f);
    d.classifier.dense = "classifier.dense";
    d.classifier.out = "classifier.out_proj";
  }
  f.check_all_read();
  return d;
}

}  // namespace

encoder::Description describe_bert(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"bert"});
  encoder::Description d = describe(folder, "bert", read_shared(f, 2), kBertNames);
  if (classifies(folder)) {
    d.classifier = encoder::read_labels(f);
    d.classifier.dense = "bert.pooler.dense";
    d.classifier.out = "classifier";
    d.unused_prefixes = {};
  }
  f.check_all_read();
  return d;
}

encoder::Description describe_roberta(const formats::HfFolder& folder) {
  return describe_roberta_like(folder, "roberta");
}

encoder::Description describe_xlm_roberta(const formats::HfFolder& folder) {
  return describe_roberta_like(folder, "xlm-roberta");
}

encoder::Description describe_distilbert(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"distilbert"});
  refuse_variants(f);
  Config c;
  c.vocab = f.dimension_at("vocab_size", kMostVocab);
  c.positions = f.dimension_or("max_position_embeddings", kMostContext, 512);
  c.layers = f.dimension_at("n_layers", kMostLayers);
  c.hidden = f.dimension_at("dim", kMostWidth);
  c.heads = f.dimension_at("n_heads", kMostHeads);
  c.ff = f.dimension_at("hidden_dim", kMostWidth);
  c.activation = activation(f, "activation");
  c.norm_eps = 1e-12F;
  encoder::Description d = describe(folder, "distilbert", c, kDistilNames);
  if (classifies(folder)) {
    d.classifier = encoder::read_labels(f);
    d.classifier.dense = "pre_classifier";
    d.classifier.out = "classifier";
    d.classifier.tanh = false;
  }
  f.check_all_read();
  return d;
}

}  // namespace glia::models::bert
