#include <unistd.h>

#include <iostream>
#include <set>

#include "base/json.h"
#include "catalog/catalog.h"
#include "commands.h"
#include "house.h"
#include "hub/environment.h"
#include "hub/store.h"
#include "server_call.h"
#include "tasks/weights.h"
#include "terminal.h"

namespace glia::cli {
namespace {

std::string price_text(const catalog::ModelEntry& entry) {
  if (!entry.served()) return "";
  if (!entry.price) return "no price";
  return human_count(static_cast<std::int64_t>(entry.price->input)) + " / " +
         human_count(static_cast<std::int64_t>(entry.price->output));
}

json::object as_object(const catalog::ModelEntry& entry, const tasks::ResolvedWeights& weights) {
  json::object o{{"id", entry.id},          {"task", entry.task},           {"context_window", entry.context_window},
                 {"weights", weights.name}, {"stand_in", weights.stand_in}, {"available", weights.available},
                 {"file", weights.file},    {"package", weights.package},   {"price", nullptr}};
  if (entry.price)
    o["price"] = {{"input_neurons_per_m", entry.price->input}, {"output_neurons_per_m", entry.price->output}};
  return o;
}

/// What `glia pull` or another tool of the hub brought.
void print_pulled() {
  Table table({"PULLED FROM THE HUB", "REVISION", "SIZE"}, {2});
  for (const auto& snapshot : hub::Store(hub::Environment::read().cache).snapshots()) {
    std::string revision = snapshot.commit.substr(0, 12);
    for (const auto& ref : snapshot.refs) revision += " " + ref;
    table.add({snapshot.repo, revision, human_bytes(snapshot.bytes)});
  }
  if (!table.empty()) std::cout << "\n" << table.text();
}

}  // namespace

int list(const Settings& settings, bool as_json) {
  const auto catalog = catalog::Catalog::load();
  const tasks::Weights weights(catalog, weights_options(settings));
  json::array all;
  Table table({"ID", "TASK", "CONTEXT", "NEURONS/M IN / OUT", "ANSWERED BY"}, {2, 3});
  std::set<std::string> advice;
  const auto in_memory = names_in_memory(settings);
  bool stand_in = false;
  for (const auto& entry : catalog.models()) {
    const auto w = weights.resolve(entry);
    all.push_back(as_object(entry, w));
    std::string by = w.name.empty() ? styled(STDOUT_FILENO, Style::dim, "nothing here yet") : w.name;
    if (!w.name.empty() && !w.available) {
      by += styled(STDOUT_FILENO, Style::red, " (missing)");
      advice.insert(w.advice);
    } else if (w.stand_in) {
      by += " ~";
      stand_in = true;
    }
    table.add({entry.id, entry.task, entry.context_window > 0 ? human_count(entry.context_window) : "",
               price_text(entry), by});
  }
  if (as_json) {
    std::cout << json::serialize(all) << "\n";
    return 0;
  }
  std::cout << table.text();
  if (stand_in) {
    std::cout << "\n~ a small model standing in for the id's own weights (profile " << weights.profile()
              << "). Your own: glia serve --model ID=PATH\n";
  }
  for (const auto& a : advice) std::cout << a << "\n";
  for (const auto& name : in_memory) std::cout << name << " is in memory (glia ps)\n";
  print_pulled();
  return 0;
}

}  // namespace glia::cli
