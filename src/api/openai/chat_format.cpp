#include "api/openai/chat_format.h"

#include "http/sse.h"

namespace glia::api {
namespace {

class ChatFormat final : public TextFormat {
 public:
  ChatFormat(std::string_view request_id, std::int64_t created, bool include_usage)
      : id_("chatcmpl-" + std::string(request_id)), created_(created), include_usage_(include_usage) {}

  std::string whole(const tasks::RunInfo& info, const tasks::TextResult& result) override {
    info_ = info;
    json::object message{{"role", "assistant"}, {"content", result.text}, {"refusal", nullptr}};
    json::object choice{
        {"index", 0}, {"message", std::move(message)}, {"logprobs", nullptr}, {"finish_reason", result.finish_reason}};
    json::object body = head("chat.completion");
    body["choices"] = json::array{std::move(choice)};
    body["usage"] = openai_usage(result.usage);
    return json::serialize(body);
  }

  std::string first(const tasks::RunInfo& info) override {
    info_ = info;
    return chunk({{"role", "assistant"}, {"content", ""}}, nullptr);
  }

  std::string piece(std::string_view text) override { return chunk({{"content", text}}, nullptr); }

  std::string last(const tasks::TextResult& result) override {
    std::string out = chunk({}, json::value(result.finish_reason));
    if (include_usage_) {
      json::object body = head("chat.completion.chunk");
      body["choices"] = json::array{};
      body["usage"] = openai_usage(result.usage);
      out += http::sse_data(json::serialize(body));
    }
    return out + http::sse_data("[DONE]");
  }

 private:
  json::object head(std::string_view object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", info_.model},
            {"system_fingerprint", info_.weights}};
  }

  std::string chunk(json::object delta, json::value finish_reason) const {
    json::object body = head("chat.completion.chunk");
    body["choices"] = json::array{json::object{
        {"index", 0}, {"delta", std::move(delta)}, {"logprobs", nullptr}, {"finish_reason", std::move(finish_reason)}}};
    if (include_usage_) body["usage"] = nullptr;
    return http::sse_data(json::serialize(body));
  }

  const std::string id_;
  const std::int64_t created_;
  const bool include_usage_;
  tasks::RunInfo info_;
};

}  // namespace

json::object openai_usage(const tasks::TokenUsage& usage) {
  json::object out = usage_object(usage);
  out["prompt_tokens_details"] = json::object{{"cached_tokens", usage.cached_tokens}};
  return out;
}

std::unique_ptr<TextFormat> chat_format(std::string_view request_id, std::int64_t created, bool include_usage) {
  return std::make_unique<ChatFormat>(request_id, created, include_usage);
}

}  // namespace glia::api
