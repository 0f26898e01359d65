#include "models/decoder/hf_common.h"

#include <array>

#include "formats/quote_name.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {

Config read_common(const HfFields& f, const HfDefaults& defaults) {
  Config c;
  c.rope_layout = kernels::RopeLayout::halves;
  c.vocab = f.dimension_at("vocab_size", kMostVocab);
  c.hidden = f.dimension_at("hidden_size", kMostWidth);
  c.layers.resize(static_cast<std::size_t>(f.dimension_at("num_hidden_layers", kMostLayers)));
  c.heads = f.dimension_at("num_attention_heads", kMostHeads);
  if (defaults.needs_kv_heads && !f.contains("num_key_value_heads")) {
    refuse(HfFields::field("num_key_value_heads") + " is missing");
  }
  c.kv_heads = f.dimension_or("num_key_value_heads", kMostHeads, c.heads);
  if (defaults.ff_per_hidden != 0 && !f.has(defaults.ff_field)) {
    c.ff = dimension(static_cast<std::uint64_t>(c.hidden) * static_cast<std::uint64_t>(defaults.ff_per_hidden),
                     kMostWidth, "the feed-forward's width");
  } else {
    c.ff = f.dimension_at(defaults.ff_field, kMostWidth);
  }
  c.context = f.dimension_or("max_position_embeddings", kMostContext, defaults.context);
  c.tied = f.boolean_or("tie_word_embeddings", defaults.tied);
  if (f.has("head_dim") || (defaults.head_dim != 0 && !f.contains("head_dim"))) {
    c.head_dim = f.dimension_or("head_dim", kMostHeadDim, defaults.head_dim);
  } else {
    if (c.hidden % c.heads != 0) {
      refuse("config.json's hidden_size " + std::to_string(c.hidden) + " is not a multiple of num_attention_heads " +
             std::to_string(c.heads));
    }
    c.head_dim = dimension(static_cast<std::uint64_t>(c.hidden / c.heads), kMostHeadDim, "the head dimension");
  }
  c.rope_dims = c.head_dim;
  return c;
}

kernels::Gate read_activation(const HfFields& f, std::string_view key, std::string_view fallback) {
  struct Name {
    std::string_view name;
    kernels::Gate gate;
  };
  constexpr std::array kNames = {
      Name{"silu", kernels::Gate::silu},
      Name{"swish", kernels::Gate::silu},
      Name{"gelu", kernels::Gate::gelu},
      Name{"gelu_new", kernels::Gate::gelu_tanh},
      Name{"gelu_pytorch_tanh", kernels::Gate::gelu_tanh},
  };
  const auto name = f.string_or(key, fallback);
  for (const auto& known : kNames) {
    if (known.name == name) return known.gate;
  }
  refuse("config.json's " + std::string(key) + " " + formats::quote_name(name) + " is not supported");
}

void read_windows(const HfFields& f, Config& c, std::int32_t window, const std::vector<bool>& slides) {
  const auto* types = f.find("layer_types");
  const auto* list = types == nullptr ? nullptr : types->if_array();
  if (types != nullptr && (list == nullptr || list->size() != c.layers.size())) {
    refuse(HfFields::field("layer_types") + " is not a list with one entry a layer");
  }
  for (std::size_t i = 0; i < c.layers.size(); i++) {
    bool sliding = slides[i];
    if (list != nullptr) {
      const auto* name = (*list)[i].if_string();
      if (name == nullptr || (*name != "full_attention" && *name != "sliding_attention")) {
        refuse(HfFields::field("layer_types") + " asks for a kind of attention that is not supported");
      }
      sliding = *name == "sliding_attention";
    }
    if (sliding && window == 0) {
      refuse(HfFields::field("layer_types") + " has a sliding layer, but there is no sliding_window");
    }
    c.layers[i].window = sliding ? window : 0;
  }
}

std::int32_t read_window(const HfFields& f, std::int32_t fallback) {
  return f.dimension_or("sliding_window", kMostContext, f.contains("sliding_window") ? 0 : fallback);
}

void read_text_side(const formats::HfFolder& folder, const HfFields& outer, Description& d) {
  if (folder.find("language_model.model.embed_tokens.weight")) {
    d.names.embedding = "language_model.model.embed_tokens";
    d.names.final_norm = "language_model.model.norm";
    d.names.head = "language_model.lm_head";
    d.names.layer_prefix = "language_model.model.layers.";
    d.unused_prefixes = {"vision_tower.", "multi_modal_projector."};
  } else {  // as transformers 5 names them in memory
    d.names.embedding = "model.language_model.embed_tokens";
    d.names.final_norm = "model.language_model.norm";
    d.names.head = "lm_head";
    d.names.layer_prefix = "model.language_model.layers.";
    d.unused_prefixes = {"model.vision_tower.", "model.multi_modal_projector."};
  }
  // The two levels' classes have defaults that differ; where neither is told, the weights tell.
  const bool head = folder.find(std::string(d.names.head) + ".weight").has_value();
  d.config.tied = outer.boolean_or("tie_word_embeddings", d.config.tied || !head);
  outer.check_all_read();
}

}  // namespace glia::models::decoder
