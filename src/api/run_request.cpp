#include "api/run_request.h"

#include <algorithm>
#include <array>

#include "base/log.h"

namespace glia::api {
namespace {

constexpr std::size_t kParsedAtOnce = 64 << 10;  ///< bytes; some 0.2 ms of parsing

/// Options that change nothing about the answer of a run here.
constexpr std::array<std::string_view, 5> kWithoutEffect = {"tags", "returnRawResponse", "websocket", "prefix",
                                                            "sessionOptions"};

/// A parsed value takes some 50 bytes, a million of them 50 MB, whatever the body's own size: `[[],[],…` is three bytes
/// each. No real input has a fraction of this.
constexpr std::size_t kMostValues = 200'000;

/// An upper bound on the values of a JSON text: one, and one more for each separator and each thing opened.
std::size_t most_values(std::string_view text) {
  std::size_t count = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else {
      in_string = c == '"';
      count += c == ',' || c == '[' || c == '{' || c == ':' ? 1 : 0;
    }
  }
  return count;
}

bool flag(const json::value& value, std::string_view name) {
  if (value.is_bool()) return value.get_bool();
  if (value.is_null()) return false;
  throw Error(ErrorCode::invalid_input, "options." + std::string(name) + ": true or false is expected");
}

void answer_errors(const std::shared_ptr<Reply>& reply, const std::function<void()>& job) {
  try {
    job();
  } catch (const Error& error) {
    reply->error(error);
  } catch (const std::exception&) {
    log::error("a request failed inside", {{"id", reply->id()}});
    reply->error(Error(ErrorCode::internal));
  }
}

}  // namespace

void need_method(const http::Request& request, const std::shared_ptr<Reply>& reply, std::string_view method) {
  if (request.method == method || (method == "GET" && request.method == "HEAD")) return;
  reply->add_header("allow", method == "GET" ? "GET, HEAD" : std::string(method));
  throw Error(ErrorCode::method_not_allowed, request.method + " is not possible here, " + std::string(method) + " is");
}

void accept_content_forms(json::object& inputs) {
  auto* messages = inputs.if_contains("messages");
  if (messages == nullptr || !messages->is_array()) return;
  for (auto& message : messages->get_array()) {
    auto* object = message.if_object();
    auto* content = object == nullptr ? nullptr : object->if_contains("content");
    if (content != nullptr && content->is_object()) *content = json::array{std::move(*content)};
  }
}

void read_options(const json::value& options, tasks::RunRequest& request, std::vector<std::string>& notes) {
  if (options.is_null()) return;
  if (!options.is_object()) throw Error(ErrorCode::invalid_input, "options: an object is expected");
  for (const auto& [key, value] : options.get_object()) {
    const std::string_view name = key;
    if (name == "rejectIfBusy") {
      request.reject_if_busy = flag(value, name);
    } else if (name == "queueRequest") {
      if (flag(value, name)) throw Error(ErrorCode::not_served, "batch requests (queueRequest)");
    } else if (name == "gateway") {
      if (!value.is_null()) notes.push_back("options.gateway: AI Gateway is not served yet, the model ran directly");
    } else if (std::find(kWithoutEffect.begin(), kWithoutEffect.end(), name) == kWithoutEffect.end()) {
      notes.push_back("unknown option ignored: " + std::string(name));
    }
  }
}

json::object parse_object(std::string_view body) {
  if (body.empty()) throw Error(ErrorCode::incomplete_request, "the body is missing");
  if (most_values(body) > kMostValues) {
    throw Error(ErrorCode::request_too_large, "the body holds more than " + std::to_string(kMostValues) + " values");
  }
  json::value value = parse_json(body);
  if (!value.is_object()) throw Error(ErrorCode::invalid_input, "the body must be a JSON object");
  return std::move(value.get_object());
}

bool is_binary(std::string_view content_type) {
  for (const std::string_view prefix : {"audio/", "image/", "video/", "multipart/", "application/octet-stream"}) {
    if (content_type.starts_with(prefix)) return true;
  }
  return false;
}

void refuse_binary(const Context& context, std::string_view model, std::string_view content_type) {
  if (context.catalog().find(model) == nullptr) throw Error(ErrorCode::no_such_model, printable(model));
  throw Error(ErrorCode::not_served,
              "a body of type " + printable(content_type, 60) + "; the models served here take JSON");
}

void run_on(tasks::WorkQueue& queue, const std::shared_ptr<Reply>& reply, std::function<void()> job) {
  if (!queue.post([reply, job = std::move(job)] { answer_errors(reply, job); })) {
    reply->error(Error(ErrorCode::out_of_capacity));
  }
}

void run_on_worker(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                   std::function<void()> job) {
  run_on(context->work, reply, std::move(job));
}

void run_job(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, std::size_t body_bytes,
             std::function<void()> job) {
  if (body_bytes <= kParsedAtOnce) return answer_errors(reply, job);
  run_on_worker(context, reply, std::move(job));
}

}  // namespace glia::api
