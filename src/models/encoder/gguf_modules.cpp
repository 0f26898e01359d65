#include <string>

#include "models/decoder/limits.h"
#include "models/encoder/modules.h"

namespace glia::models::encoder {
namespace {

using decoder::refuse;
using kernels::Pooling;

std::string key_of(const formats::GgufFile& file, const std::string& name) {
  return std::string(file.string("general.architecture")) + "." + name;
}

/// Source: llama.cpp's enum llama_pooling_type.
Pooling read_pooling(const formats::GgufFile& file) {
  const std::string key = key_of(file, "pooling_type");
  switch (const std::uint64_t type = file.uint(key)) {
    case 1:
      return Pooling::mean;
    case 2:
      return Pooling::first;
    case 3:
      return Pooling::last;
    default:
      refuse("metadata key \"" + key + "\" is " + std::to_string(type) + ", which is not supported");
  }
}

}  // namespace

bool has_modules(const formats::GgufFile& file) {
  const auto pooling = file.find_uint(key_of(file, "pooling_type"));
  return pooling && *pooling != 0;
}

Modules read_modules(const formats::GgufFile& file, std::int32_t hidden, bool dense) {
  Modules out;
  out.pooling = read_pooling(file);
  out.normalise = true;
  if (!dense) return out;
  for (const std::string stem : {"dense_2", "dense_3"}) {
    const auto size = [&](const std::string& name) {
      const std::string key = key_of(file, name);
      return decoder::dimension(file.uint(key), decoder::kMostWidth, key);
    };
    DenseModule module{.file = {}, .stem = stem, .in = hidden, .out = 0, .bias = false, .tanh = false};
    module.out = size(stem + "_feat_out");
    if (size(stem + "_feat_in") != hidden) {
      refuse(key_of(file, stem + "_feat_in") + " is not the " + std::to_string(hidden) + " values before it");
    }
    hidden = module.out;
    out.dense.push_back(std::move(module));
  }
  return out;
}

}  // namespace glia::models::encoder
