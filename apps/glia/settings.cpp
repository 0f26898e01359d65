#include "settings.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "base/duration.h"
#include "catalog/catalog.h"
#include "hub/reference.h"

namespace glia::cli {
namespace {

namespace fs = std::filesystem;

fs::path xdg(const char* variable, const char* under_home) {
  const char* value = std::getenv(variable);
  if (value != nullptr && *value == '/') return value;
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr && *home != '\0' ? home : ".") / under_home;
}

std::string where(const fs::path& file, const toml::node& node) {
  return file.string() + ":" + std::to_string(node.source().begin.line);
}

template <class T>
T value_of(const fs::path& file, std::string_view key, const toml::node& node, const char* expected) {
  if (auto v = node.value_exact<T>()) return *v;
  throw UsageError(where(file, node) + ": " + std::string(key) + " must be " + expected);
}

void read_serve(const fs::path& file, const toml::table& table, Settings& s) {
  const auto text = [&](std::string_view key, const toml::node& n) {
    return value_of<std::string>(file, key, n, "a string");
  };
  const auto number = [&](std::string_view key, const toml::node& n) {
    return value_of<std::int64_t>(file, key, n, "a whole number");
  };
  for (const auto& [k, node] : table) {
    const std::string_view key = k.str();
    if (key == "host")
      s.host = text(key, node);
    else if (key == "port") {
      const auto port = number(key, node);
      if (port < 0 || port > 65535) throw UsageError(where(file, node) + ": port must be 0 to 65535");
      s.port = static_cast<std::uint16_t>(port);
    } else if (key == "profile")
      s.profile = text(key, node);
    else if (key == "plan")
      s.plan = text(key, node);
    else if (key == "data")
      s.data = text(key, node);
    else if (key == "models_dir")
      s.models_dir = text(key, node);
    else if (key == "math")
      s.math = text(key, node);
    else if (key == "kv")
      s.kv = text(key, node);
    else if (key == "activations")
      s.activations = text(key, node);
    else if (key == "log_level")
      s.log_level = text(key, node);
    else if (key == "deprecations")
      s.deprecations = text(key, node);
    else if (key == "vector_delay")
      s.vector_delay_ms = vector_delay_of(node.is_integer() ? std::to_string(number(key, node)) : text(key, node));
    else if (key == "vector_limits")
      s.vector_limits = value_of<bool>(file, key, node, "true or false");
    else if (key == "prefix_cache")
      s.prefix_cache = value_of<bool>(file, key, node, "true or false");
    else if (key == "speculation")
      s.speculation = value_of<bool>(file, key, node, "true or false");
    else if (key == "packed_cache")
      s.packed_cache = value_of<bool>(file, key, node, "true or false");
    else if (key == "rate_limits")
      s.rate_limits = value_of<bool>(file, key, node, "true or false");
    else if (key == "log_json")
      s.log_json = value_of<bool>(file, key, node, "true or false");
    else if (key == "threads")
      s.threads = static_cast<int>(std::clamp<std::int64_t>(number(key, node), -1, 4096));
    else if (key == "keep_alive")
      s.keep_alive_ms = keep_alive_of(node.is_integer() ? std::to_string(number(key, node)) : text(key, node));
    else if (key == "max_running")
      s.max_running = static_cast<int>(std::clamp<std::int64_t>(number(key, node), -1, 1 << 20));
    else if (key == "max_queued")
      s.max_queued = static_cast<int>(std::clamp<std::int64_t>(number(key, node), -1, 1 << 20));
    else if (key == "vector_memory_mib")
      s.vector_memory_mib = static_cast<std::uint64_t>(std::max<std::int64_t>(0, number(key, node)));
    else if (key == "memory_mib")
      s.memory_mib = static_cast<std::uint64_t>(std::max<std::int64_t>(0, number(key, node)));
    else
      throw UsageError(where(file, node) + ": there is no setting serve." + std::string(key));
  }
}

void read_models(const fs::path& file, const toml::table& table, Settings& s) {
  for (const auto& [id, node] : table) {
    const toml::table* entry = node.as_table();
    if (entry == nullptr)
      throw UsageError(where(file, node) + ": models.\"" + std::string(id.str()) + "\" must be a table with `path`");
    for (const auto& [key, value] : *entry) {
      if (key.str() != "path")
        throw UsageError(where(file, value) + ": a model has `path`, not `" + std::string(key.str()) + "`");
      fs::path path = value_of<std::string>(file, "path", value, "a string");
      const bool as_it_is = path.is_absolute() || hub::Reference::is_marked(path.native());
      s.models[std::string(id.str())] = as_it_is ? path : fs::absolute(file).parent_path() / path;
    }
  }
}

void read_file(const fs::path& file, Settings& s) {
  toml::table root;
  try {
    root = toml::parse_file(file.string());
  } catch (const toml::parse_error& e) {
    std::ostringstream line;
    line << e.source().begin.line;
    throw UsageError(file.string() + ":" + line.str() + ": " + std::string(e.description()));
  }
  for (const auto& [key, node] : root) {
    const toml::table* table = node.as_table();
    if (key.str() == "serve" && table != nullptr)
      read_serve(file, *table, s);
    else if (key.str() == "models" && table != nullptr)
      read_models(file, *table, s);
    else
      throw UsageError(where(file, node) + ": glia.toml has the tables [serve] and [models.\"ID\"], not `" +
                       std::string(key.str()) + "`");
  }
}

void one_of(const char* name, const std::string& value, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* a : allowed) {
    if (value == a) return;
    list += (list.empty() ? "" : ", ") + std::string(a);
  }
  throw UsageError(std::string(name) + " is one of " + list + "; not `" + value + "`");
}

}  // namespace

std::int64_t keep_alive_of(const std::string& text) {
  if (text == "-1") return -1;
  if (const auto ms = parse_duration_ms(text)) return *ms;
  throw UsageError("keep-alive is a time like 30m, 0 for as soon as it is idle, or -1 for good; not `" + text + "`");
}

std::int64_t vector_delay_of(const std::string& text) {
  constexpr std::int64_t kMostMs = std::int64_t{24} * 3600 * 1000;
  if (const auto ms = parse_duration_ms(text); ms && *ms <= kMostMs) return *ms;
  throw UsageError("vector-delay is a time like 500ms, up to a day, or 0; not `" + text + "`");
}

fs::path xdg_data_home() { return xdg("XDG_DATA_HOME", ".local/share"); }
fs::path xdg_config_home() { return xdg("XDG_CONFIG_HOME", ".config"); }
fs::path xdg_cache_home() { return xdg("XDG_CACHE_HOME", ".cache"); }
fs::path packed_cache_folder() { return xdg_cache_home() / "glia/packed"; }

Settings settle_settings(const GivenSettings& given) {
  Settings s;
  s.data = xdg_data_home() / "glia";
  s.models_dir = xdg_data_home() / "glia/models";
  if (given.config) {
    if (!fs::exists(*given.config)) throw UsageError("there is no file " + *given.config);
    read_file(*given.config, s);
  } else {
    for (const fs::path& candidate : {fs::path("glia.toml"), xdg_config_home() / "glia/glia.toml"}) {
      if (fs::exists(candidate)) {
        read_file(candidate, s);
        break;
      }
    }
  }
  const auto put = [](auto& target, const auto& value) {
    if (value) target = *value;
  };
  put(s.host, given.host);
  put(s.profile, given.profile);
  put(s.plan, given.plan);
  put(s.deprecations, given.deprecations);
  put(s.data, given.data);
  put(s.models_dir, given.models_dir);
  put(s.math, given.math);
  put(s.kv, given.kv);
  put(s.activations, given.activations);
  put(s.log_level, given.log_level);
  put(s.threads, given.threads);
  put(s.memory_mib, given.memory_mib);
  put(s.vector_memory_mib, given.vector_memory_mib);
  put(s.max_running, given.max_running);
  put(s.max_queued, given.max_queued);
  if (given.keep_alive) s.keep_alive_ms = keep_alive_of(*given.keep_alive);
  s.in_memory = given.in_memory;
  if (given.vector_delay) {
    s.vector_delay_ms = vector_delay_of(*given.vector_delay);
  } else if (s.in_memory) {
    s.vector_delay_ms = 0;  // a test wants to see what it has written
  }
  s.vector_limits = s.vector_limits && !given.no_vector_limits;
  if (given.port) s.port = static_cast<std::uint16_t>(*given.port);
  s.prefix_cache = s.prefix_cache && !given.no_prefix_cache;
  s.speculation = s.speculation && !given.no_speculation;
  s.packed_cache = s.packed_cache && !given.no_packed_cache;
  s.rate_limits = s.rate_limits || given.rate_limits;
  s.log_json = s.log_json || given.log_json;
  for (const auto& pair : given.models) {
    const auto eq = pair.find('=');
    if (eq == std::string::npos || eq == 0 || eq + 1 == pair.size()) {
      throw UsageError("--model wants ID=PATH, for example --model @cf/meta/llama-3.1-8b-instruct=llama.gguf; not `" +
                       pair + "`");
    }
    s.models[pair.substr(0, eq)] = pair.substr(eq + 1);
  }
  one_of("profile", s.profile, {"tiny", "full"});
  one_of("plan", s.plan, {"paid", "free"});
  if (s.deprecations != "off" && s.deprecations != "now" && !catalog::is_day(s.deprecations)) {
    throw UsageError("deprecations is off, now or a day like 2026-12-01; not `" + s.deprecations + "`");
  }
  one_of("math", s.math, {"fast", "exact"});
  one_of("kv", s.kv, {"f16", "bf16", "int16", "int8"});
  one_of("activations", s.activations, {"int16", "int8"});
  one_of("log level", s.log_level, {"debug", "info", "warn", "error"});
  if (s.max_running < 1 || s.max_running > 4096) throw UsageError("max-running is 1 to 4096");
  if (s.max_queued < 0 || s.max_queued > 65536) throw UsageError("max-queued is 0 to 65536");
  if (s.threads < 0) throw UsageError("threads must not be negative");
  return s;
}

}  // namespace glia::cli
