#include "text/gguf_vocab.h"

#include <limits>
#include <string>

#include "base/error.h"
#include "text/rust.h"

namespace glia::text {
namespace {

std::vector<GliaBytes> texts(const formats::GgufFile& file, std::string_view key) {
  std::vector<GliaBytes> out;
  if (!file.has(key)) return out;
  const std::vector<std::string_view>& strings = file.strings(key);
  out.reserve(strings.size());
  for (const std::string_view text : strings) out.push_back(rust::bytes(text));
  return out;
}

std::int64_t id(const formats::GgufFile& file, std::string_view key) {
  const auto value = file.find_uint(key);
  if (!value) return -1;
  // 0xFFFFFFFF is how converters write "there is none".
  if (*value == std::numeric_limits<std::uint32_t>::max()) return -1;
  if (*value > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::model_unavailable, std::string(key) + " is out of range");
  }
  return static_cast<std::int64_t>(*value);
}

std::int32_t flag(const formats::GgufFile& file, std::string_view key) {
  const auto value = file.find_boolean(key);
  return value ? std::int32_t{*value} : -1;
}

}  // namespace

GgufVocab::GgufVocab(const formats::GgufFile& file)
    : tokens_(texts(file, "tokenizer.ggml.tokens")), merges_(texts(file, "tokenizer.ggml.merges")) {
  if (file.has("tokenizer.ggml.scores")) scores_ = file.numbers("tokenizer.ggml.scores");
  if (file.has("tokenizer.ggml.token_type")) {
    for (const double type : file.numbers("tokenizer.ggml.token_type")) {
      // The specification knows 1 to 6; anything else is read as "normal" by nobody.
      if (!(type >= 0 && type <= 255))
        throw Error(ErrorCode::model_unavailable, "tokenizer.ggml.token_type is out of range");
      types_.push_back(static_cast<std::int32_t>(type));
    }
  }
  if (file.has("tokenizer.ggml.precompiled_charsmap")) {
    for (const double byte : file.numbers("tokenizer.ggml.precompiled_charsmap")) {
      // An array of signed or of unsigned bytes.
      if (!(byte >= -128 && byte <= 255)) {
        throw Error(ErrorCode::model_unavailable, "tokenizer.ggml.precompiled_charsmap is out of range");
      }
      charsmap_.push_back(static_cast<char>(static_cast<int>(byte)));
    }
  }
  view_.model = rust::bytes(file.string("tokenizer.ggml.model"));
  view_.pre = rust::bytes(file.find_string("tokenizer.ggml.pre").value_or(std::string_view{}));
  view_.tokens = tokens_.data();
  view_.token_count = tokens_.size();
  view_.merges = merges_.data();
  view_.merge_count = merges_.size();
  view_.scores = scores_.data();
  view_.score_count = scores_.size();
  view_.types = types_.data();
  view_.type_count = types_.size();
  view_.bos = id(file, "tokenizer.ggml.bos_token_id");
  view_.eos = id(file, "tokenizer.ggml.eos_token_id");
  view_.eot = id(file, "tokenizer.ggml.eot_token_id");
  view_.eom = id(file, "tokenizer.ggml.eom_token_id");
  view_.unk = id(file, "tokenizer.ggml.unknown_token_id");
  view_.add_bos = flag(file, "tokenizer.ggml.add_bos_token");
  view_.add_eos = flag(file, "tokenizer.ggml.add_eos_token");
  view_.add_space_prefix = flag(file, "tokenizer.ggml.add_space_prefix");
  view_.cls = id(file, "tokenizer.ggml.cls_token_id");
  view_.sep = id(file, "tokenizer.ggml.seperator_token_id");  // as the format spells it
  view_.lowercase = flag(file, "tokenizer.ggml.normalizer.lowercase");
  view_.strip_accents = flag(file, "tokenizer.ggml.normalizer.strip_accents");
  view_.charsmap = rust::bytes(charsmap_);
}

}  // namespace glia::text
