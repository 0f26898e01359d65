#include "server_call.h"

#include <limits>
#include <stdexcept>

#include "base/duration.h"
#include "http/client.h"

namespace glia::cli {
namespace {

/// What the server says went wrong, {"error": {"code", "message"}}; nothing where that is not glia's way.
std::optional<std::string> complaint(const http::ClientResponse& answer) {
  try {
    const json::value body = parse_json(answer.body);
    return std::string(body.at("error").at("message").as_string());
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

json::value call(const Settings& settings, const char* method, const std::string& path, const std::string& body) {
  const std::string base = server_url(settings);
  http::ClientOptions options;
  options.idle_timeout_ms = std::numeric_limits<int>::max();
  http::ClientResponse answer;
  try {
    answer = http::request(method, base + path, {{"content-type", "application/json"}}, body, {}, options);
  } catch (const http::Unreachable& e) {
    if (e.why == http::Unreachable::Why::cut_off) throw std::runtime_error("glia serve ended before it answered");
    throw std::runtime_error("nothing answers at " + base +
                             "; start it with `glia serve`, or name its --host and --port");
  }
  if (answer.status == 200) return parse_json(answer.body);
  if (const auto said = complaint(answer)) {
    const auto after = answer.header("retry-after");
    throw std::runtime_error(*said + (after ? "; try again in " + std::string(*after) + " s" : ""));
  }
  throw std::runtime_error("what answers at " + base + " is not glia serve (HTTP " + std::to_string(answer.status) +
                           ")");
}

}  // namespace

std::string server_url(const Settings& settings) {
  const bool v6 = settings.host.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + settings.host + "]" : settings.host) + ":" + std::to_string(settings.port);
}

json::value ask_server(const Settings& settings, const std::string& path) { return call(settings, "GET", path, {}); }

std::optional<json::value> ask_server_if_any(const Settings& settings, const std::string& path) {
  try {
    return ask_server(settings, path);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::optional<json::object> in_memory(const Settings& settings, const std::string& id) {
  const auto status = ask_server_if_any(settings, "/glia/v1/status");
  if (!status) return std::nullopt;
  for (const json::value& model : status->at("models").as_array()) {
    for (const json::value& answered : model.at("ids").as_array()) {
      if (answered == json::value(id)) return model.as_object();
    }
  }
  return std::nullopt;
}

std::vector<std::string> names_in_memory(const Settings& settings) {
  std::vector<std::string> names;
  if (const auto status = ask_server_if_any(settings, "/glia/v1/status")) {
    for (const json::value& model : status->at("models").as_array()) names.emplace_back(model.at("name").as_string());
  }
  return names;
}

std::string until(const json::object& model) {
  if (model.at("loading").as_bool()) return "loading";
  if (model.at("stopping").as_bool()) return "when idle (stopped)";
  if (model.at("idle_ms").is_null()) return "in use";
  if (model.at("expires_in_ms").is_null()) return "stays";
  return "in " + duration_text(model.at("expires_in_ms").to_number<std::int64_t>());
}

json::value tell_server(const Settings& settings, const std::string& path, const json::object& body) {
  return call(settings, "POST", path, json::serialize(body));
}

}  // namespace glia::cli
