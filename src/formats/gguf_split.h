// The parts of a split GGUF as one file. Internal to the room; gguf.h is its face.
// Source: llama.cpp's gguf-split: names PREFIX-%05d-of-%05d.gguf, keys split.no (from 0), split.count and
// split.tensors.count.
// Errors: throws glia::Error(model_unavailable) naming the part and what is wrong.
#pragma once

#include <filesystem>
#include <vector>

#include "base/mapped_file.h"
#include "formats/gguf_parse.h"

namespace glia::formats {

/// Maps `path` and, where it is the first part of a split, the other parts beside it; `files` then holds the mappings
/// that the contents borrow from.
GgufContents open_gguf_parts(const std::filesystem::path& path, std::vector<MappedFile>& files);

}  // namespace glia::formats
