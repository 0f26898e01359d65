#include "api/openai/responses_format.h"

#include "api/envelope.h"
#include "http/sse.h"

namespace glia::api {
namespace {

class ResponsesFormat final : public TextFormat {
 public:
  ResponsesFormat(std::string_view request_id, std::int64_t created, json::object settings, bool envelope)
      : id_("resp_" + std::string(request_id)),
        item_id_("msg_" + std::string(request_id)),
        created_(created),
        settings_(std::move(settings)),
        envelope_(envelope) {}

  std::string whole(const tasks::RunInfo& info, const tasks::TextResult& result) override {
    info_ = info;
    json::object body = finished(result, result.text);
    return json::serialize(envelope_ ? api::envelope(std::move(body), info.messages) : std::move(body));
  }

  std::string first(const tasks::RunInfo& info) override {
    info_ = info;
    std::string out = event("response.created", {{"response", response("in_progress", {}, "")}});
    out += event("response.in_progress", {{"response", response("in_progress", {}, "")}});
    out += event("response.output_item.added", {{"output_index", 0}, {"item", item("in_progress", {})}});
    return out += event("response.content_part.added", in_item({{"part", part("")}}));
  }

  std::string piece(std::string_view text) override {
    text_ += text;
    return event("response.output_text.delta", in_item({{"delta", text}, {"logprobs", json::array{}}}));
  }

  std::string last(const tasks::TextResult& result) override {
    json::object whole = finished(result, text_);
    const json::value item = whole.at("output").at(0);
    const char* const name = cut(result) ? "response.incomplete" : "response.completed";
    std::string out = event("response.output_text.done", in_item({{"text", text_}, {"logprobs", json::array{}}}));
    out += event("response.content_part.done", in_item({{"part", part(text_)}}));
    out += event("response.output_item.done", {{"output_index", 0}, {"item", item}});
    out += event(name, {{"response", std::move(whole)}});
    return out += http::sse_data("[DONE]");
  }

 private:
  static bool cut(const tasks::TextResult& result) { return result.finish_reason == "length"; }

  static json::object part(std::string_view text) {
    return {{"type", "output_text"}, {"text", text}, {"annotations", json::array{}}, {"logprobs", json::array{}}};
  }

  json::object item(std::string_view status, json::array content) const {
    return {{"id", item_id_},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", std::move(content)}};
  }

  json::object response(std::string_view status, json::array output, std::string_view text) const {
    json::object body{{"id", id_},
                      {"object", "response"},
                      {"created_at", created_},
                      {"status", status},
                      {"error", nullptr},
                      {"incomplete_details", nullptr},
                      {"model", info_.model},
                      {"output", std::move(output)},
                      {"output_text", text},
                      {"parallel_tool_calls", true},
                      {"previous_response_id", nullptr},
                      {"tool_choice", "auto"},
                      {"tools", json::array{}},
                      {"text", json::object{{"format", json::object{{"type", "text"}}}}},
                      {"truncation", "disabled"},
                      {"usage", nullptr}};
    for (const auto& [name, value] : settings_) body[name] = value;
    return body;
  }

  json::object finished(const tasks::TextResult& result, std::string_view text) const {
    const std::string_view status = cut(result) ? "incomplete" : "completed";
    json::object body = response(status, json::array{item(status, json::array{part(text)})}, text);
    if (cut(result)) body["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    const auto& usage = result.usage;
    body["usage"] = json::object{{"input_tokens", usage.prompt_tokens},
                                 {"input_tokens_details", json::object{{"cached_tokens", usage.cached_tokens}}},
                                 {"output_tokens", usage.completion_tokens},
                                 {"output_tokens_details", json::object{{"reasoning_tokens", 0}}},
                                 {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
    return body;
  }

  json::object in_item(json::object fields) const {
    fields["item_id"] = item_id_;
    fields["output_index"] = 0;
    fields["content_index"] = 0;
    return fields;
  }

  std::string event(std::string_view type, json::object fields) {
    fields["type"] = type;
    fields["sequence_number"] = sequence_++;
    return http::sse_event(type, json::serialize(fields));
  }

  const std::string id_;
  const std::string item_id_;
  const std::int64_t created_;
  const json::object settings_;
  const bool envelope_;
  tasks::RunInfo info_;
  std::string text_;
  std::int64_t sequence_ = 0;
};

}  // namespace

std::unique_ptr<TextFormat> responses_format(std::string_view request_id, std::int64_t created, json::object settings,
                                             bool envelope) {
  return std::make_unique<ResponsesFormat>(request_id, created, std::move(settings), envelope);
}

}  // namespace glia::api
