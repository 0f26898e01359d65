#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "base/json.h"

namespace glia::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    default:
      return spdlog::level::err;
  }
}

struct State {
  std::shared_ptr<spdlog::logger> logger;
  bool json = false;

  State() {
    logger = std::make_shared<spdlog::logger>("glia", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    logger->set_pattern("%H:%M:%S.%e %^%-5l%$ %v");
    logger->set_level(spdlog::level::info);
  }
};

State& state() {
  static State s;
  return s;
}

}  // namespace

void configure(Level least, bool json) {
  auto& s = state();
  s.json = json;
  s.logger->set_level(to_spdlog(least));
  if (json) s.logger->set_pattern("%v");
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  auto& s = state();
  const auto lvl = to_spdlog(level);
  if (!s.logger->should_log(lvl)) return;
  if (s.json) {
    boost::json::object o;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    o["ts"] = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) / 1000.0;
    o["level"] = spdlog::level::to_string_view(lvl).data();
    o["msg"] = message;
    for (const auto& [k, v] : fields) o[k] = v;
    s.logger->log(lvl, boost::json::serialize(o));
    return;
  }
  std::string line(message);
  for (const auto& [k, v] : fields) {
    line += "  ";
    line += k;
    line += '=';
    line += v;
  }
  s.logger->log(lvl, line);
}

}  // namespace glia::log
