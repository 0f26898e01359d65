// One call to a running glia serve, for the verbs that look at it or tell it something.
// Errors: std::runtime_error with a sentence that says what to do; glia::Error for what the server answered.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "settings.h"

namespace glia::cli {

/// "http://127.0.0.1:7843" of the settings.
std::string server_url(const Settings& settings);

/// GET.
json::value ask_server(const Settings& settings, const std::string& path);
/// GET; nothing where no glia serve answers.
std::optional<json::value> ask_server_if_any(const Settings& settings, const std::string& path);
/// POST, waits as long as it takes.
json::value tell_server(const Settings& settings, const std::string& path, const json::object& body);

}  // namespace glia::cli
