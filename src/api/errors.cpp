#include "api/errors.h"

#include "http/sse.h"

namespace glia::api {
namespace {

/// OpenAI's own type and code for an error; its SDKs choose their exception by status.
struct OpenAiKind {
  int status;
  std::string_view type;
  std::string_view code;  ///< empty: null
};

OpenAiKind openai_kind(const Error& error) {
  const int status = http_status(error.code());
  switch (error.code()) {
    case ErrorCode::no_such_model:
    case ErrorCode::invalid_model_id:
      return {404, "invalid_request_error", "model_not_found"};
    case ErrorCode::context_too_long:
      return {400, "invalid_request_error", "context_length_exceeded"};
    case ErrorCode::quota_exceeded:
      return {429, "insufficient_quota", "insufficient_quota"};
    case ErrorCode::rate_limited:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case ErrorCode::out_of_capacity:
      return {429, "server_error", "capacity_exceeded"};
    case ErrorCode::authentication:
      return {401, "authentication_error", "invalid_api_key"};
    case ErrorCode::not_served:
      return {501, "server_error", "not_served"};
    default:
      break;
  }
  if (status == 403) return {status, "permission_error", {}};
  if (status >= 500) return {status, "server_error", error_name(error.code())};
  return {status, "invalid_request_error", {}};
}

json::value string_or_null(std::string_view text) { return text.empty() ? json::value(nullptr) : json::value(text); }

/// "messages[0].role: …" → "messages[0].role"; empty when the detail does not begin with a field.
std::string_view field_of(const Error& error) {
  if (error.code() != ErrorCode::invalid_input) return {};
  const std::string_view detail = error.detail();
  const auto colon = detail.find(": ");
  const std::string_view field = detail.substr(0, colon);
  if (colon == std::string_view::npos || field.find(' ') != std::string_view::npos) return {};
  return field;
}

json::object body_of(Dialect dialect, const Error& error, std::string_view param) {
  const int code = cloudflare_code(error.code());
  const std::string& text = error.message();
  switch (dialect) {
    case Dialect::binding:
      return {{"internalCode", code}, {"message", "AiError: " + text}, {"name", "AiError"}, {"description", text}};
    case Dialect::vectorize:
      return {{"code", code}, {"error", text}};
    case Dialect::binding_other:
    case Dialect::rest: {
      json::array errors{json::object{{"code", code}, {"message", text}}};
      // The service says both of a path that it does not know.
      if (error.code() == ErrorCode::no_route && dialect == Dialect::rest) {
        errors.push_back(json::object{{"code", 7000}, {"message", "No route for that URI"}});
      }
      return {{"result", nullptr}, {"success", false}, {"errors", std::move(errors)}, {"messages", json::array{}}};
    }
    case Dialect::openai: {
      const OpenAiKind kind = openai_kind(error);
      const std::string_view field = param.empty() ? field_of(error) : param;
      return {{"error", json::object{{"message", text},
                                     {"type", kind.type},
                                     {"param", string_or_null(field)},
                                     {"code", string_or_null(kind.code)}}}};
    }
    case Dialect::admin:
      break;
  }
  return {{"error", json::object{{"code", code}, {"message", text}}}};
}

}  // namespace

std::string_view dialect_name(Dialect dialect) {
  switch (dialect) {
    case Dialect::binding:
    case Dialect::binding_other:
      return "binding";
    case Dialect::vectorize:
      return "vectorize";
    case Dialect::rest:
      return "rest";
    case Dialect::openai:
      return "openai";
    case Dialect::admin:
      break;
  }
  return "admin";
}

ErrorAnswer error_answer(Dialect dialect, const Error& error, std::string_view param) {
  ErrorAnswer answer;
  answer.status = dialect == Dialect::openai ? openai_kind(error).status : http_status(error.code());
  answer.body = json::serialize(body_of(dialect, error, param));
  answer.retry_after_s = error.retry_after_s;
  if (answer.retry_after_s == 0 && (answer.status == 429 || answer.status == 503)) answer.retry_after_s = 1;
  return answer;
}

std::string error_event(Dialect dialect, const Error& error) {
  const std::string body = json::serialize(body_of(dialect, error, {}));
  // OpenAI's SDKs look for `error` in the data; EventSource and our own readers for the event's name.
  return dialect == Dialect::openai ? http::sse_data(body) : http::sse_event("error", body);
}

}  // namespace glia::api
