#include <unistd.h>

#include <iostream>

#include "base/json.h"
#include "commands.h"
#include "server_call.h"
#include "terminal.h"

namespace glia::cli {
namespace {

std::int64_t number(const json::value& model, const char* key) { return model.at(key).to_number<std::int64_t>(); }

std::string bytes(const json::value& model, const char* key) {
  return human_bytes(static_cast<std::uint64_t>(number(model, key)));
}

/// The id that it answers for, or how many; `--json` has them all.
std::string ids(const json::value& model) {
  const json::array& all = model.at("ids").as_array();
  if (all.size() == 1) return std::string(all.front().as_string());
  return all.empty() ? "-" : std::to_string(all.size()) + " ids";
}

std::string speed(const json::value& model) {
  const double per_second = model.at("tokens_per_s").to_number<double>();
  return per_second > 0 ? fixed(per_second, 1) : "-";
}

}  // namespace

int ps(const Settings& settings, bool as_json) {
  const json::value status = ask_server(settings, "/glia/v1/status");
  if (as_json) {
    std::cout << json::serialize(status) << "\n";
    return 0;
  }
  // PAGES: of KV memory, by what runs + kept for prompts that begin alike / in all. HITS: the share of prompts' tokens
  // that those had.
  Table table({"MODEL", "ANSWERS FOR", "WEIGHTS", "KV", "OTHER", "RUN", "WAIT", "TOK/S", "PAGES", "HITS", "GOES"},
              {2, 3, 4, 5, 6, 7, 8, 9});
  for (const auto& m : status.at("models").as_array()) {
    const std::int64_t cached = number(m, "cached_tokens");
    const std::int64_t asked = cached + number(m, "prompt_tokens");
    table.add({std::string(m.at("name").as_string()), ids(m), bytes(m, "weight_bytes"), bytes(m, "kv_bytes"),
               bytes(m, "scratch_bytes"), human_count(number(m, "running")), human_count(number(m, "queued")), speed(m),
               human_count(number(m, "kv_pages_used")) + "+" + human_count(number(m, "kv_pages_cached")) + "/" +
                   human_count(number(m, "kv_pages")),
               asked > 0 ? std::to_string(100 * cached / asked) + " %" : "-", until(m.as_object())});
  }
  if (table.empty()) {
    std::cout << "No model in memory; the first call of one loads it, or `glia load ID`.\n";
  } else {
    std::cout << table.text();
  }
  const json::value& memory = status.at("memory");
  std::cout << styled(STDOUT_FILENO, Style::dim,
                      bytes(memory, "used") + " of " + bytes(memory, "budget") + " for models are taken")
            << "\n";
  return 0;
}

}  // namespace glia::cli
