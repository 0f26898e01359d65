#include <iostream>
#include <stdexcept>

#include "base/json.h"
#include "commands.h"
#include "http/client.h"
#include "terminal.h"

namespace glia::cli {
namespace {

std::string ask(const Settings& settings, const std::string& path) {
  const bool v6 = settings.host.find(':') != std::string::npos;
  const std::string base =
      "http://" + (v6 ? "[" + settings.host + "]" : settings.host) + ":" + std::to_string(settings.port);
  try {
    const auto answer = http::get(base + path);
    if (answer.status != 200) {
      throw std::runtime_error("what answers at " + base + " is not glia serve (HTTP " + std::to_string(answer.status) +
                               ")");
    }
    return answer.body;
  } catch (const http::Unreachable&) {
    throw std::runtime_error("nothing answers at " + base +
                             "; start it with `glia serve`, or name its --host and --port");
  }
}

}  // namespace

int ps(const Settings& settings, bool as_json) {
  const std::string body = ask(settings, "/glia/v1/status");
  if (as_json) {
    std::cout << body << "\n";
    return 0;
  }
  const json::value status = parse_json(body);
  Table table({"MODEL", "MEMORY", "RUNNING", "QUEUED", "KV PAGES", "TOKENS IN", "TOKENS OUT"}, {1, 2, 3, 4, 5, 6});
  for (const auto& m : status.at("models").as_array()) {
    const auto number = [&](const char* key) { return m.at(key).to_number<std::int64_t>(); };
    table.add({std::string(m.at("name").as_string()), human_bytes(static_cast<std::uint64_t>(number("bytes"))),
               human_count(number("running")), human_count(number("queued")),
               human_count(number("kv_pages_used")) + "/" + human_count(number("kv_pages")),
               human_count(number("prompt_tokens")), human_count(number("generated_tokens"))});
  }
  if (table.empty()) {
    std::cout << "No model in memory; the first call of one loads it.\n";
  } else {
    std::cout << table.text();
  }
  return 0;
}

}  // namespace glia::cli
