#include "api/native_format.h"

#include "api/encoding_format.h"
#include "api/envelope.h"
#include "http/sse.h"

namespace glia::api {
namespace {

class NativeFormat final : public TextFormat {
 public:
  explicit NativeFormat(bool envelope) : envelope_(envelope) {}

  std::string whole(const tasks::RunInfo& info, const tasks::TextResult& result) override {
    json::object body{{"response", result.text}, {"usage", usage_object(result.usage)}};
    return json::serialize(envelope_ ? api::envelope(std::move(body), info.messages) : std::move(body));
  }

  std::string piece(std::string_view text) override {
    return http::sse_data(json::serialize(json::object{{"response", text}}));
  }

  std::string encoded(const tasks::RunInfo& info, const tasks::EncodingResult& result) override {
    return native_encoding(info, result, envelope_);
  }

  std::string last(const tasks::TextResult& result) override {
    return http::sse_data(json::serialize(json::object{{"response", ""}, {"usage", usage_object(result.usage)}})) +
           http::sse_data("[DONE]");
  }

 private:
  const bool envelope_;
};

}  // namespace

std::unique_ptr<TextFormat> native_format(bool envelope) { return std::make_unique<NativeFormat>(envelope); }

}  // namespace glia::api
