#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/clock.h"
#include "base/json.h"
#include "catalog/catalog.h"
#include "commands.h"
#include "engine/loader.h"
#include "engine/model_memory.h"
#include "house.h"
#include "ledger/ledger.h"
#include "model_named.h"
#include "server_call.h"
#include "tasks/weights.h"
#include "terminal.h"

namespace glia::cli {
namespace {

/// Four digits, without the zeros that say nothing: "31.59", "0.2281", "25,608".
std::string neurons_text(double neurons) {
  if (neurons >= 1000 && neurons == std::floor(neurons)) return human_count(static_cast<std::int64_t>(neurons));
  const double magnitude = neurons > 0 ? std::floor(std::log10(neurons)) : 0;
  std::string text = fixed(neurons, static_cast<int>(std::clamp(3 - magnitude, 0.0, 6.0)));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

/// As the service prints them.
std::string dollars_text(double neurons) {
  const double dollars = catalog::published_dollars(neurons);
  std::string text = fixed(dollars, 12);
  while (text.ends_with('0') && text.size() - text.find('.') > 3) text.pop_back();
  return "$" + text;
}

/// A label and its lines, aligned.
class Facts {
 public:
  void add(std::string label, std::string value) { lines_.emplace_back(std::move(label), std::move(value)); }
  std::string text() const {
    std::size_t widest = 0;
    for (const auto& [label, value] : lines_) widest = std::max(widest, columns(label));
    std::string out;
    for (const auto& [label, value] : lines_) {
      out += styled(STDOUT_FILENO, Style::dim, label) + std::string(widest - columns(label) + 2, ' ') + value + "\n";
    }
    return out;
  }

 private:
  std::vector<std::pair<std::string, std::string>> lines_;  ///< an empty label goes on with the one above
};

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

void add_price(Facts& facts, const catalog::ModelEntry& entry, const catalog::TypicalCost& typical) {
  if (entry.prices.empty()) {
    facts.add("price", "none published, 0 neurons");
    return;
  }
  bool first = true;
  for (const auto& p : entry.prices) {
    facts.add(first ? "price" : "",
              neurons_text(p.neurons) + " neurons " + p.unit.words + " (" + dollars_text(p.neurons) + ")");
    first = false;
  }
  std::string cost =
      neurons_text(typical.neurons) + " neurons (" + dollars_text(typical.neurons) + "): " + typical.words;
  const double in_a_day = std::floor(ledger::kFreeNeuronsPerDay / typical.neurons);
  cost += "; " + human_count(static_cast<std::int64_t>(in_a_day)) + " of them in a free day";
  facts.add("typical call", cost);
}

std::string answered_by(const catalog::ModelEntry& entry, const tasks::ResolvedWeights& weights,
                        const std::string& profile) {
  if (!entry.served()) {
    return "nothing here yet: the task " + entry.kind + " is not built in this version";
  }
  if (weights.name.empty()) return "nothing here: " + weights.advice;
  std::string out = weights.name;
  if (weights.stand_in) out += " ~, standing in under profile " + profile;
  if (!weights.package.empty()) out += " (" + weights.file + " of " + weights.package + ")";
  if (!weights.available) out += "; " + styled(STDOUT_FILENO, Style::red, "missing") + ": " + weights.advice;
  return out;
}

/// What the weights need in memory, from their headers; nothing where they are not there or not readable.
std::optional<engine::ModelMemory> memory_of(const Settings& settings, const tasks::ResolvedWeights& weights) {
  if (!weights.available) return std::nullopt;
  const engine::EngineOptions options = engine_options(settings);
  try {
    return engine::plan_memory(
        engine::make_disk_loader({.threads = 1, .math = options.math, .kv = options.kv_type})->estimate(weights.path),
        options);
  } catch (const Error&) {
    return std::nullopt;  // a run says what is wrong with them
  }
}

std::string memory_text(const engine::ModelMemory& m) {
  return human_bytes(m.least()) + " to " + human_bytes(m.most()) + ": weights " + human_bytes(m.weights) + ", KV " +
         human_bytes(m.kv_least) + " to " + human_bytes(m.kv_most) + ", tokenizer and scratch " +
         human_bytes(m.text + m.scratch);
}

std::string retires(const catalog::ModelEntry& entry, const Settings& settings, bool retired) {
  if (retired) return entry.deprecated + ": refused here (deprecations is " + settings.deprecations + ")";
  return entry.deprecated + " at the service; answers here, with a note";
}

json::object as_object(const catalog::ModelEntry& entry, const tasks::ResolvedWeights& weights,
                       const catalog::TypicalCost& typical, bool retired,
                       const std::optional<engine::ModelMemory>& memory, bool loaded) {
  const auto number_or_null = [](std::int32_t n) { return n > 0 ? json::value(n) : json::value(nullptr); };
  const auto text_or_null = [](const std::string& s) { return s.empty() ? json::value(nullptr) : json::value(s); };
  json::array price;
  for (const auto& p : entry.prices) {
    price.push_back(json::object{
        {"unit", p.unit.words}, {"neurons", p.neurons}, {"dollars", catalog::published_dollars(p.neurons)}});
  }
  return {{"id", entry.id},
          {"aliases", json::value_from(entry.aliases)},
          {"task", entry.task},
          {"kind", entry.kind},
          {"served", entry.served()},
          {"description", entry.description},
          {"context_window", number_or_null(entry.context_window)},
          {"dimensions", number_or_null(entry.dimensions)},
          {"capabilities", json::value_from(entry.capabilities)},
          {"price", std::move(price)},
          {"typical_call",
           json::object{{"words", typical.words}, {"neurons", typical.neurons}, {"dollars", typical.dollars}}},
          {"weights", json::object{{"name", text_or_null(weights.name)},
                                   {"stand_in", weights.stand_in},
                                   {"available", weights.available},
                                   {"file", text_or_null(weights.file)},
                                   {"package", text_or_null(weights.package)},
                                   {"full", text_or_null(entry.full_weights)}}},
          {"memory", memory ? json::value(json::object{{"least_bytes", memory->least()},
                                                       {"most_bytes", memory->most()},
                                                       {"weight_bytes", memory->weights},
                                                       {"kv_bytes", memory->kv_most},
                                                       {"scratch_bytes", memory->text + memory->scratch}})
                            : json::value(nullptr)},
          {"in_memory", loaded},
          {"deprecated", text_or_null(entry.deprecated)},
          {"retired", retired}};
}

}  // namespace

int show(const Settings& settings, const std::string& model, bool as_json) {
  const auto catalog = catalog::Catalog::load();
  const auto& entry = model_named(catalog, model);
  const tasks::Weights weights(catalog, weights_options(settings));
  const auto resolved = weights.resolve(entry);
  const auto typical = catalog.typical_cost(entry);
  const bool retired = tasks::is_retired(entry, retired_by(settings), SystemClock());
  const auto memory = memory_of(settings, resolved);
  const auto now = in_memory(settings, entry.id);
  if (as_json) {
    std::cout << json::serialize(as_object(entry, resolved, typical, retired, memory, now.has_value())) << "\n";
    return 0;
  }
  Facts facts;
  facts.add("task", entry.kind);
  if (entry.context_window > 0) facts.add("context", human_count(entry.context_window) + " tokens");
  if (entry.dimensions > 0) facts.add("dimensions", human_count(entry.dimensions));
  if (!entry.capabilities.empty()) facts.add("capabilities", joined(entry.capabilities));
  add_price(facts, entry, typical);
  facts.add("answered by", answered_by(entry, resolved, weights.profile()));
  if (memory) facts.add("memory", memory_text(*memory));
  if (now) facts.add("in memory", "now; goes: " + until(*now));
  if (!entry.full_weights.empty()) facts.add("the model", entry.full_weights + " on Hugging Face");
  if (!entry.deprecated.empty()) facts.add("retires", retires(entry, settings, retired));
  std::cout << styled(STDOUT_FILENO, Style::bold, entry.id) << "\n";
  if (!entry.aliases.empty()) std::cout << "also known as " << joined(entry.aliases) << "\n";
  std::cout << entry.description << "\n\n" << facts.text();
  return 0;
}

}  // namespace glia::cli
