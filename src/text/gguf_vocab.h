// A GGUF file's vocabulary as rust/text takes it. Internal to this room.
// Errors: the constructor throws glia::Error(model_unavailable) naming the key that is missing, has another type or a
// value out of range. Ownership: borrows texts from the file, which must outlive it.
#pragma once

#include <glia_text_rs.h>

#include <cstdint>
#include <string>
#include <vector>

#include "formats/gguf.h"

namespace glia::text {

class GgufVocab {
 public:
  explicit GgufVocab(const formats::GgufFile& file);
  GgufVocab(const GgufVocab&) = delete;
  GgufVocab& operator=(const GgufVocab&) = delete;

  const GliaGgufVocab& view() const { return view_; }

 private:
  std::vector<GliaBytes> tokens_;
  std::vector<GliaBytes> merges_;
  std::vector<double> scores_;
  std::vector<std::int32_t> types_;
  std::string charsmap_;
  GliaGgufVocab view_{};
};

}  // namespace glia::text
