#include "api/models_search.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace glia::api {
namespace {

constexpr int kDefaultPerPage = 50;
constexpr int kMaxPerPage = 1000;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

int number(std::string_view name, std::string_view text, int most) {
  int value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < 1 || value > most) {
    throw Error(ErrorCode::invalid_input,
                std::string(name) + ": a whole number from 1 to " + std::to_string(most) + " is expected");
  }
  return value;
}

bool boolean(std::string_view name, std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  throw Error(ErrorCode::invalid_input, std::string(name) + ": true or false is expected");
}

struct Filter {
  std::string search, task, author;
  std::optional<int> source;
  bool hide_experimental = false;
  int page = 1;
  int per_page = kDefaultPerPage;
};

int source_of(std::string_view id) { return id.starts_with("@hf/") ? 2 : 1; }

Filter read_filter(const std::vector<std::pair<std::string, std::string>>& query, std::vector<std::string>& notes) {
  Filter f;
  for (const auto& [name, value] : query) {
    if (name == "search") {
      f.search = lower(value);
    } else if (name == "task") {
      f.task = lower(value);
    } else if (name == "author") {
      f.author = lower(value);
    } else if (name == "source") {
      f.source = number(name, value, 2);
    } else if (name == "hide_experimental") {
      f.hide_experimental = boolean(name, value);
    } else if (name == "page") {
      f.page = number(name, value, 1'000'000);
    } else if (name == "per_page") {
      f.per_page = number(name, value, kMaxPerPage);
    } else {
      notes.push_back("unknown parameter: " + name);
    }
  }
  return f;
}

bool matches(const Filter& f, const catalog::ModelEntry& m) {
  if (!f.search.empty() && lower(m.id).find(f.search) == std::string::npos &&
      lower(m.description).find(f.search) == std::string::npos) {
    return false;
  }
  if (!f.task.empty() && lower(m.task) != f.task) return false;
  if (!f.author.empty() && lower(author_of(m.id)) != f.author) return false;
  if (f.source && *f.source != source_of(m.id)) return false;
  return !f.hide_experimental || !m.has_capability("beta");
}

json::object task_object(const catalog::Catalog& catalog, const catalog::ModelEntry& m) {
  const auto& tasks = catalog.tasks();
  const auto task = std::find_if(tasks.begin(), tasks.end(), [&m](const auto& t) { return t.name == m.task; });
  return {{"id", task->id}, {"name", task->name}, {"description", task->description}};
}

/// As the service has them: values are strings, but the price.
json::array properties(const catalog::Catalog& catalog, const catalog::ModelEntry& m) {
  json::array out;
  const auto add = [&out](std::string_view id, json::value value) {
    out.push_back(json::object{{"property_id", id}, {"value", std::move(value)}});
  };
  for (const auto& capability : m.capabilities) {
    if (catalog.is_published(capability)) add(capability, "true");
  }
  const auto window = json::value(std::to_string(m.context_window));
  if (m.context_window > 0) add("context_window", window);
  if (m.context_window > 0 && m.dimensions > 0) add("max_input_tokens", window);
  if (m.dimensions > 0) add("output_dimensions", json::value(std::to_string(m.dimensions)));
  if (!m.deprecated.empty()) add("planned_deprecation_date", json::value(m.deprecated));
  if (!m.prices.empty()) {
    json::array price;
    for (const auto& p : m.prices) {
      price.push_back(
          json::object{{"unit", p.unit.words}, {"price", catalog::published_dollars(p.neurons)}, {"currency", "USD"}});
    }
    add("price", std::move(price));
  }
  return out;
}

json::object describe(const catalog::Catalog& catalog, const catalog::ModelEntry& m) {
  return {{"id", m.uuid},
          {"source", source_of(m.id)},
          {"name", m.id},
          {"description", m.description},
          {"task", task_object(catalog, m)},
          {"tags", json::array{}},
          {"properties", properties(catalog, m)}};
}

}  // namespace

std::string_view author_of(std::string_view id) {
  const auto first = id.find('/');
  if (first == std::string_view::npos) return {};
  const auto second = id.find('/', first + 1);
  return second == std::string_view::npos ? std::string_view{} : id.substr(first + 1, second - first - 1);
}

ModelPage search_models(const catalog::Catalog& catalog,
                        const std::vector<std::pair<std::string, std::string>>& query) {
  ModelPage page;
  const Filter filter = read_filter(query, page.notes);
  const auto per_page = static_cast<std::size_t>(filter.per_page);
  const std::size_t first = static_cast<std::size_t>(filter.page - 1) * per_page;
  std::size_t total = 0;
  for (const auto& model : catalog.models()) {
    if (!matches(filter, model)) continue;
    if (total >= first && total < first + per_page) page.models.push_back(describe(catalog, model));
    total++;
  }
  page.info = {{"count", page.models.size()},
               {"page", filter.page},
               {"per_page", filter.per_page},
               {"total_count", total},
               {"total_pages", (total + per_page - 1) / per_page}};
  return page;
}

}  // namespace glia::api
