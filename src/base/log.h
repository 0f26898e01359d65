// Log lines on stderr: text on a terminal, JSON lines by option. Never a prompt, an answer, a vector or a token in one.
// Thread rule: safe from any thread. Errors: none.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace glia::log {

enum class Level { debug, info, warn, error };
using Field = std::pair<std::string_view, std::string>;

/// Once, by the application before it starts threads. `json`: one JSON object a line.
void configure(Level least, bool json);

/// One event: a short sentence and its fields, e.g. info("model loaded", {{"model", id}, {"ms", "41"}}).
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});
inline void debug(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::debug, m, f); }
inline void info(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::info, m, f); }
inline void warn(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::warn, m, f); }
inline void error(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::error, m, f); }

}  // namespace glia::log
