// One call to a running glia serve, for the verbs that look at it or tell it something.
// Errors: std::runtime_error with a sentence that says what to do; glia::Error for what the server answered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "settings.h"

namespace glia::cli {

/// "http://127.0.0.1:7843" of the settings.
std::string server_url(const Settings& settings);

/// GET.
json::value ask_server(const Settings& settings, const std::string& path);
/// GET; nothing where no glia serve answers.
std::optional<json::value> ask_server_if_any(const Settings& settings, const std::string& path);
/// The entry of /glia/v1/status of the model in memory that answers for the id; nothing where there is none, or no
/// glia serve.
std::optional<json::object> in_memory(const Settings& settings, const std::string& id);
/// Names of the models in memory.
std::vector<std::string> names_in_memory(const Settings& settings);
/// When an entry of the status goes if nobody asks for it: "in use", "stays", "in 29 min".
std::string until(const json::object& model);
/// POST, waits as long as it takes.
json::value tell_server(const Settings& settings, const std::string& path, const json::object& body);

}  // namespace glia::cli
