#include "models/encoder/labels.h"

#include <string>

#include "formats/quote_name.h"
#include "models/decoder/limits.h"

namespace glia::models::encoder {
namespace {

constexpr std::uint64_t kMostLabels = 1U << 16;

}  // namespace

Classifier read_labels(const decoder::HfFields& f) {
  Classifier out;
  if (f.has("id2label")) {
    const json::object& names = f.object_at("id2label");
    if (names.empty() || names.size() > kMostLabels) decoder::refuse(f.field("id2label") + " has no usable size");
    for (std::size_t i = 0; i < names.size(); i++) {
      const auto* name = names.if_contains(std::to_string(i));
      if (name == nullptr) decoder::refuse(f.field("id2label") + " has no label " + std::to_string(i));
      out.labels.push_back(name->is_string() ? std::string(name->get_string()) : json::serialize(*name));
    }
  } else {
    const std::int32_t count = f.dimension_or("num_labels", kMostLabels, 2);
    for (std::int32_t i = 0; i < count; i++) out.labels.push_back("LABEL_" + std::to_string(i));
  }
  const auto type = f.string_or("problem_type", "");
  if (type != "" && type != "single_label_classification" && type != "multi_label_classification" &&
      type != "regression") {
    decoder::refuse(f.field("problem_type") + " " + formats::quote_name(type) + " is not supported");
  }
  out.exclusive = type != "multi_label_classification";
  return out;
}

}  // namespace glia::models::encoder
