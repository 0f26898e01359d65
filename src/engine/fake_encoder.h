// For tests: encoders whose values are a function of the text's tokens alone, so that whatever is put together wrongly
// shows. Texts that share tokens have vectors that are near each other.
//   Encoder      what the engine steps (models::EncoderModel); a text with kNoLogits gives a NaN
//   TextEncoder  what callers of the engine see, without an engine: answers at once on the caller's thread, or as the
//                test says
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/fake_model.h"
#include "engine/text_encoder.h"
#include "models/encoder_model.h"

namespace glia::engine::fake {

constexpr std::int32_t kHidden = 8;
constexpr std::int32_t kLabels = 3;

/// The state of a token: from -1 to 1, by token and type, whatever stands around it.
inline float state_value(std::int32_t token, std::int32_t type, std::int32_t column) {
  const auto key = static_cast<std::uint64_t>(token) * 2 + static_cast<std::uint64_t>(type);
  return static_cast<float>(random_unit(key, static_cast<std::uint64_t>(column)) * 2.0 - 1.0);
}

inline void make_unit(std::span<float> row) {
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
  if (squares == 0) return;
  for (float& x : row) x = static_cast<float>(static_cast<double>(x) / std::sqrt(squares));
}

/// What an encoder gives for one text, written to text.out.
inline void encode_text(const models::EncoderText& text, std::int32_t hidden, std::int32_t labels) {
  const auto value = [&](std::size_t i, std::int32_t c) {
    return state_value(text.tokens[i], text.types.empty() ? 0 : text.types[i], c);
  };
  if (text.output == models::EncoderOutput::states) {
    for (std::size_t i = 0; i < text.tokens.size(); ++i) {
      const auto row = text.out.subspan(i * static_cast<std::size_t>(hidden), static_cast<std::size_t>(hidden));
      for (std::int32_t c = 0; c < hidden; ++c) row[static_cast<std::size_t>(c)] = value(i, c);
      if (text.normalise) make_unit(row);
    }
    return;
  }
  const std::int32_t columns = text.output == models::EncoderOutput::logits ? labels : hidden;
  for (std::int32_t c = 0; c < columns; ++c) {
    float sum = 0;
    for (std::size_t i = 0; i < text.tokens.size(); ++i) sum += value(i, c);
    const float mean = sum / static_cast<float>(text.tokens.size());
    const bool first = text.output == models::EncoderOutput::vector && text.pooling == kernels::Pooling::first;
    text.out[static_cast<std::size_t>(c)] = first ? value(0, c) : mean;
  }
  if (text.output == models::EncoderOutput::vector && text.normalise) make_unit(text.out);
}

class Encoder final : public models::EncoderModel {
 public:
  Encoder(std::shared_ptr<Control> control, std::int32_t context, std::size_t weight_bytes)
      : control_(std::move(control)) {
    info_.architecture = "fake";
    info_.vocab = kVocab;
    info_.context = context;
    info_.types = 2;
    info_.hidden = info_.width = kHidden;
    info_.normalises = true;
    info_.labels = {"no", "perhaps", "yes"};
    info_.weight_bytes = weight_bytes;
  }
  const models::EncoderInfo& info() const override { return info_; }
  void forward(std::span<const models::EncoderText> texts) override {
    if (control_->on_forward) control_->on_forward(true);
    control_->enter();
    std::int32_t rows = 0;
    for (const models::EncoderText& text : texts) {
      rows += static_cast<std::int32_t>(text.tokens.size());
      encode_text(text, kHidden, kLabels);
      if (std::find(text.tokens.begin(), text.tokens.end(), kNoLogits) != text.tokens.end()) text.out.back() = NAN;
    }
    control_->most_rows = std::max(control_->most_rows.load(), rows);
    if (control_->on_forward) control_->on_forward(false);
  }

 private:
  std::shared_ptr<Control> control_;
  models::EncoderInfo info_;
};

class TextEncoder final : public engine::TextEncoder {
 public:
  class Handle final : public Generation {
   public:
    void cancel() override { cancelled = true; }
    std::atomic<bool> cancelled{false};
  };

  explicit TextEncoder(text::Tokenizer tokenizer, TextEncoderInfo info = {.context = 512,
                                                                          .advised_tokens = 512,
                                                                          .hidden = kHidden,
                                                                          .width = kHidden,
                                                                          .pooling = Pooling::mean,
                                                                          .normalises = true,
                                                                          .labels = {"no", "perhaps", "yes"}})
      : tokenizer_(std::move(tokenizer)), info_(std::move(info)) {}

  const std::string& name() const override { return name_; }
  std::size_t bytes() const override { return 1; }
  const TextEncoderInfo& info() const override { return info_; }
  const text::Tokenizer& tokenizer() const override { return tokenizer_; }

  std::shared_ptr<Generation> encode(EncodeRequest request, std::shared_ptr<EncodeSink> sink) override {
    if (refuse) throw Error(*refuse);
    for (const EncodeText& text : request.texts) {
      if (text.tokens.size() > static_cast<std::size_t>(info_.context)) throw Error(ErrorCode::context_too_long);
    }
    auto handle = std::make_shared<Handle>();
    if (on_encode) {
      on_encode(std::move(request), std::move(sink), handle);
    } else {
      sink->done(answer(request));
    }
    return handle;
  }

  EncodeResult answer(const EncodeRequest& request) const {
    EncodeResult result;
    const bool states = request.output == EncodeOutput::states;
    const bool embeds = request.output == EncodeOutput::embedding;
    result.width = states ? info_.hidden : embeds ? info_.width : static_cast<std::int32_t>(info_.labels.size());
    for (const EncodeText& text : request.texts) {
      result.rows.push_back(states ? static_cast<std::int32_t>(text.tokens.size()) : 1);
      const std::size_t first = result.values.size();
      result.values.resize(first + static_cast<std::size_t>(result.rows.back() * result.width));
      const auto out = std::span(result.values).subspan(first);
      encode_text({.tokens = text.tokens,
                   .types = text.types,
                   .output = states   ? models::EncoderOutput::states
                             : embeds ? models::EncoderOutput::vector
                                      : models::EncoderOutput::logits,
                   .pooling = request.pooling.value_or(info_.pooling),
                   .normalise = request.normalise.value_or(embeds && info_.normalises),
                   .out = out},
                  info_.hidden, result.width);
      if (request.output == EncodeOutput::probabilities) soften(out);
      result.tokens += static_cast<std::int64_t>(text.tokens.size());
    }
    result.timing = {0, 2'000'000, 5'000'000};
    return result;
  }

  std::optional<Error> refuse;  ///< what encode() throws
  /// Instead of an answer at once.
  std::function<void(EncodeRequest, std::shared_ptr<EncodeSink>, std::shared_ptr<Handle>)> on_encode;

 private:
  static void soften(std::span<float> row) {
    float total = 0;
    for (float& x : row) total += x = std::exp(x);
    for (float& x : row) x = row.size() == 1 ? x / (1 + x) : x / total;
  }

  std::string name_ = "fake-encoder";
  text::Tokenizer tokenizer_;
  TextEncoderInfo info_;
};

}  // namespace glia::engine::fake
