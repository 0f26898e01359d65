#include "api/openai/completion_format.h"

#include "api/openai/chat_format.h"
#include "http/sse.h"

namespace glia::api {
namespace {

class CompletionFormat final : public TextFormat {
 public:
  CompletionFormat(std::string_view request_id, std::int64_t created, bool include_usage, std::string echo)
      : id_("cmpl-" + std::string(request_id)),
        created_(created),
        include_usage_(include_usage),
        echo_(std::move(echo)) {}

  std::string whole(const tasks::RunInfo& info, const tasks::TextResult& result) override {
    info_ = info;
    json::object body = head(choices(echo_ + result.text, json::value(result.finish_reason)));
    body["usage"] = openai_usage(result.usage);
    return json::serialize(body);
  }

  std::string first(const tasks::RunInfo& info) override {
    info_ = info;
    return echo_.empty() ? std::string() : chunk(echo_, nullptr);
  }

  std::string piece(std::string_view text) override { return chunk(text, nullptr); }

  std::string last(const tasks::TextResult& result) override {
    std::string out = chunk("", json::value(result.finish_reason));
    if (include_usage_) {
      json::object body = head({});
      body["usage"] = openai_usage(result.usage);
      out += http::sse_data(json::serialize(body));
    }
    return out + http::sse_data("[DONE]");
  }

 private:
  static json::array choices(std::string_view text, json::value finish_reason) {
    return {
        json::object{{"text", text}, {"index", 0}, {"logprobs", nullptr}, {"finish_reason", std::move(finish_reason)}}};
  }

  json::object head(json::array choices) const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", info_.model},
            {"system_fingerprint", info_.weights},
            {"choices", std::move(choices)}};
  }

  std::string chunk(std::string_view text, json::value finish_reason) const {
    json::object body = head(choices(text, std::move(finish_reason)));
    if (include_usage_) body["usage"] = nullptr;
    return http::sse_data(json::serialize(body));
  }

  const std::string id_;
  const std::int64_t created_;
  const bool include_usage_;
  const std::string echo_;
  tasks::RunInfo info_;
};

}  // namespace

std::unique_ptr<TextFormat> completion_format(std::string_view request_id, std::int64_t created, bool include_usage,
                                              std::string echo) {
  return std::make_unique<CompletionFormat>(request_id, created, include_usage, std::move(echo));
}

}  // namespace glia::api
