// What config.json says of a classifier's classes.
#pragma once

#include "models/decoder/hf_fields.h"
#include "models/encoder/description.h"

namespace glia::models::encoder {

/// Labels in order of their logits (id2label, or as many LABEL_i as num_labels says, two by default), and whether one
/// of them is right (problem_type). Errors: glia::Error(model_unavailable) naming the field.
Classifier read_labels(const decoder::HfFields& fields);

}  // namespace glia::models::encoder
