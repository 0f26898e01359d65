#include <unistd.h>

#include <chrono>
#include <future>
#include <iostream>

#include "base/duration.h"
#include "base/json.h"
#include "catalog/catalog.h"
#include "commands.h"
#include "model_named.h"
#include "server_call.h"
#include "terminal.h"

namespace glia::cli {
namespace {

using namespace std::chrono_literals;

/// Says once a moment how long it takes, on a terminal; the line goes when it is over.
json::value wait_for(std::future<json::value> answer, const std::string& id) {
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const auto start = std::chrono::steady_clock::now();
  if (!terminal) return answer.get();
  bool shown = false;
  while (answer.wait_for(shown ? 100ms : 300ms) != std::future_status::ready) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    std::cerr << "\r" << styled(STDERR_FILENO, Style::dim, "loading " + id + " … " + fixed(spent.count(), 1) + " s")
              << std::flush;
    shown = true;
  }
  if (shown) std::cerr << "\r\033[K" << std::flush;
  return answer.get();
}

std::string bytes(const json::value& answer, const char* key) {
  return human_bytes(answer.at(key).to_number<std::uint64_t>());
}

}  // namespace

int load(const Settings& settings, const std::string& model, const std::string& keep_alive, bool as_json) {
  const auto catalog = catalog::Catalog::load();
  const std::string id = model_named(catalog, model).id;
  json::object body{{"model", id}};
  if (!keep_alive.empty()) {
    keep_alive_of(keep_alive);
    body["keep_alive"] = keep_alive;
  }
  const json::value answer =
      wait_for(std::async(std::launch::async, [&] { return tell_server(settings, "/glia/v1/load", body); }), id);
  if (as_json) {
    std::cout << json::serialize(answer) << "\n";
    return 0;
  }
  const std::string name(answer.at("name").as_string());
  if (answer.at("already").as_bool()) {
    std::cout << name << " is in memory: ";
  } else {
    std::cout << name << " loaded in " << fixed(answer.at("load_ms").to_number<double>() / 1000, 2) << " s: ";
  }
  std::cout << bytes(answer, "bytes") << " (weights " << bytes(answer, "weight_bytes") << ", KV "
            << bytes(answer, "kv_bytes") << ", other " << bytes(answer, "scratch_bytes") << "), ";
  if (answer.at("expires_in_ms").is_null()) {
    std::cout << "stays\n";
  } else {
    std::cout << "goes after " << duration_text(answer.at("expires_in_ms").to_number<std::int64_t>()) << " idle\n";
  }
  return 0;
}

int stop(const Settings& settings, const std::string& model, bool as_json) {
  const auto catalog = catalog::Catalog::load();
  const json::value answer = tell_server(settings, "/glia/v1/stop", {{"model", model_named(catalog, model).id}});
  if (as_json) {
    std::cout << json::serialize(answer) << "\n";
    return 0;
  }
  const std::string name(answer.at("name").as_string());
  const auto& result = answer.at("result").as_string();
  if (result == "stopped") {
    std::cout << name << " left memory.\n";
  } else if (result == "when_idle") {
    std::cout << name << " leaves memory when what it is working on has ended; a call before that keeps it.\n";
  } else {
    std::cout << name << " is not in memory.\n";
  }
  return 0;
}

}  // namespace glia::cli
