// What the families' config.json have in common, read into a decoder's configuration.
// Source: transformers' configuration classes and modeling_rope_utils.
// Errors: glia::Error(model_unavailable) naming the field. Thread rule: pure functions.
#pragma once

#include <vector>

#include "formats/safetensors.h"
#include "models/decoder/description.h"
#include "models/decoder/hf_fields.h"

namespace glia::models::decoder {

/// What the configuration class of a family takes for absent fields.
struct HfDefaults {
  bool tied = false;
  std::int32_t head_dim = 0;  ///< 0: hidden_size / num_attention_heads
  std::int32_t context = 2048;
  std::string_view ff_field = "intermediate_size";
  std::int32_t ff_per_hidden = 0;  ///< times hidden_size where that is absent; 0: it must be there
  bool needs_kv_heads = false;     ///< num_key_value_heads has a default of its own, which no file leaves to it
};

/// Vocabulary, widths, heads, layers, context, tied head; all layers alike, halves of a head apart. No rotary table.
Config read_common(const HfFields& fields, const HfDefaults& defaults);

/// The activation that `key` names, with `fallback` for an absent one.
kernels::Gate read_activation(const HfFields& fields, std::string_view key, std::string_view fallback);

/// Gives each layer its window: `layer_types` says which slide, or where it is absent `slides`, one entry a layer.
/// `window`: positions that a sliding layer sees, 0 where none may slide.
void read_windows(const HfFields& fields, Config& config, std::int32_t window, const std::vector<bool>& slides);
/// `sliding_window`: null is 0, absent is `fallback`.
std::int32_t read_window(const HfFields& fields, std::int32_t fallback);

/// A rotary table from an object like rope_parameters (since transformers 5) or rope_scaling (before). `outer` holds
/// the fields that some files keep beside it.
RopeSpec read_rope(const HfFields& rope, double theta, const HfFields& outer, const Config& config);
/// The one table that all layers share. Errors: also when it turns only a part of a head.
void read_ropes(const HfFields& fields, Config& config, double default_theta);
/// The same, where a table may turn a part of a head: `partial_default` of it unless the file says otherwise.
void read_partial_ropes(const HfFields& fields, Config& config, double default_theta, double partial_default);

/// For a model that also sees: its text side lies under a prefix, and what sees is left alone. `outer` is the whole
/// config.json.
void read_text_side(const formats::HfFolder& folder, const HfFields& outer, Description& description);

}  // namespace glia::models::decoder
