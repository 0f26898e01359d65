#include "text/tokenizer.h"

#include <utility>

#include "text/gguf_vocab.h"
#include "text/rust.h"

namespace glia::text {

struct Tokenizer::Impl {
  explicit Impl(GliaTokenizer* tokenizer) : handle(tokenizer) {
    vocab_size = glia_tokenizer_vocab_size(tokenizer);
    end_tokens = rust::take(rust::call<GliaIds>(glia_tokenizer_end_tokens, handle.get()));
    GliaText bos_text{};
    GliaText eos_text{};
    GliaText error{};
    const std::int32_t code = glia_tokenizer_bos_eos(tokenizer, &bos_text, &eos_text, &error);
    if (code != kGliaTextOk) rust::raise(code, error);
    bos = rust::take(bos_text);
    eos = rust::take(eos_text);
  }

  rust::Owned<GliaTokenizer> handle;
  std::int32_t vocab_size = 0;
  std::vector<std::int32_t> end_tokens;
  std::string bos;
  std::string eos;
};

namespace {

Encoding encode_whole(const GliaTokenizer* tokenizer, std::string_view text, const GliaBytes* pair, std::size_t most) {
  auto encoded = rust::call<GliaEncoded>(glia_tokenizer_encode_whole, tokenizer, rust::bytes(text), pair, most);
  Encoding out;
  out.dropped = static_cast<std::int64_t>(encoded.dropped);
  out.ids = rust::take(encoded.ids);
  out.types = rust::take(encoded.types);
  return out;
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view tokenizer_config_json) {
  auto* handle = rust::call<GliaTokenizer*>(glia_tokenizer_from_json, rust::bytes(tokenizer_json),
                                            rust::bytes(tokenizer_config_json));
  return Tokenizer(std::make_unique<Impl>(handle));
}

Tokenizer Tokenizer::from_gguf(const formats::GgufFile& file) {
  const GgufVocab vocab(file);
  auto* handle = rust::call<GliaTokenizer*>(glia_tokenizer_from_gguf, &vocab.view());
  return Tokenizer(std::make_unique<Impl>(handle));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special) const {
  return rust::take(
      rust::call<GliaIds>(glia_tokenizer_encode, impl_->handle.get(), rust::bytes(text), std::int32_t{add_special}));
}

std::vector<std::int32_t> Tokenizer::encode_prompt(std::string_view text) const {
  return rust::take(rust::call<GliaIds>(glia_tokenizer_encode_prompt, impl_->handle.get(), rust::bytes(text)));
}

Encoding Tokenizer::encode_text(std::string_view text, std::size_t most) const {
  return encode_whole(impl_->handle.get(), text, nullptr, most);
}

Encoding Tokenizer::encode_pair(std::string_view text, std::string_view pair, std::size_t most) const {
  const GliaBytes second = rust::bytes(pair);
  return encode_whole(impl_->handle.get(), text, &second, most);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  return rust::take(rust::call<GliaText>(glia_tokenizer_decode, impl_->handle.get(), ids.data(), ids.size(),
                                         std::int32_t{skip_special}));
}

std::int32_t Tokenizer::vocab_size() const { return impl_->vocab_size; }
const std::vector<std::int32_t>& Tokenizer::end_tokens() const { return impl_->end_tokens; }
const std::string& Tokenizer::bos_text() const { return impl_->bos; }
const std::string& Tokenizer::eos_text() const { return impl_->eos; }

std::optional<std::int32_t> Tokenizer::token_id(std::string_view token) const {
  const std::int32_t id = glia_tokenizer_token_id(impl_->handle.get(), rust::bytes(token));
  if (id < 0) return std::nullopt;
  return id;
}

std::string Tokenizer::token_text(std::int32_t id) const {
  return rust::take(rust::call<GliaText>(glia_tokenizer_token_text, impl_->handle.get(), id));
}

const GliaTokenizer* rust_handle(const Tokenizer& tokenizer) { return tokenizer.impl().handle.get(); }

struct StreamDecoder::Impl {
  rust::Owned<GliaStream> handle;
};

// The tokenizer's handle is reached through its Impl, which only this file knows.
StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : impl_(std::make_unique<Impl>(Impl{rust::Owned<GliaStream>(
          rust::call<GliaStream*>(glia_stream_new, rust_handle(tokenizer), std::int32_t{skip_special}))})) {}
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::push(std::int32_t id) {
  return rust::take(rust::call<GliaText>(glia_stream_push, impl_->handle.get(), id));
}

std::string StreamDecoder::finish() {
  return rust::take(rust::call<GliaText>(glia_stream_finish, impl_->handle.get()));
}

}  // namespace glia::text
