#include "source_scan.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "base/json.h"

namespace glia::rooms {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Table read_table(const std::filesystem::path& rooms_json) {
  const json::value rooms = parse_json(read_text(rooms_json));
  Table table;
  std::set<std::string> open;
  std::function<const std::set<std::string>&(const std::string&)> closure =
      [&](const std::string& room) -> const std::set<std::string>& {
    if (const auto known = table.find(room); known != table.end()) return known->second;
    if (!open.insert(room).second) throw std::runtime_error("rooms.json has a cycle through " + room);
    const json::value* direct = rooms.as_object().if_contains(room);
    if (direct == nullptr) throw std::runtime_error("rooms.json names no room " + room);
    std::set<std::string> all{room};
    for (const auto& name : direct->as_array()) all.merge(std::set(closure(std::string(name.as_string()))));
    open.erase(room);
    return table[room] = std::move(all);
  };
  for (const auto& room : rooms.as_object()) closure(std::string(room.key()));
  return table;
}

std::string without_comments_and_strings(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  const auto keep_newlines = [&](std::string_view skipped) {
    for (const char c : skipped) out += c == '\n' ? '\n' : ' ';
  };
  for (std::size_t i = 0; i < s.size();) {
    std::size_t end = i;
    if (s.substr(i, 2) == "//") {
      end = std::min(s.find('\n', i), s.size());
    } else if (s.substr(i, 2) == "/*") {
      end = std::min(s.find("*/", i + 2), s.size() - 2) + 2;
    } else if (s.substr(i, 2) == "R\"") {
      const std::size_t paren = s.find('(', i);
      const std::string close = ")" + std::string(s.substr(i + 2, paren - i - 2)) + "\"";
      end = std::min(s.find(close, paren), s.size() - close.size()) + close.size();
    } else if (s[i] == '"' || (s[i] == '\'' && (i == 0 || std::isxdigit(static_cast<unsigned char>(s[i - 1])) == 0))) {
      end = i + 1;
      while (end < s.size() && s[end] != s[i] && s[end] != '\n') end += s[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, s.size());
    }
    if (end > i) {
      keep_newlines(s.substr(i, end - i));
      i = end;
    } else {
      out += s[i++];
    }
  }
  return out;
}

std::vector<Finding> forbidden_includes(std::string_view source, const std::string& room, const Table& table) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*"([^"/]+)(/[^"]*)?")re");
  std::vector<Finding> found;
  std::istringstream lines{std::string(source)};
  std::string text;
  for (int line = 1; std::getline(lines, text); line++) {
    std::smatch m;
    if (!std::regex_search(text, m, kInclude)) continue;
    const std::string target = m[1];
    if (table.find(target) == table.end()) {
      found.push_back({line, "includes \"" + target + m[2].str() + "\", which is in no room"});
    } else if (!table.at(room).contains(target)) {
      found.push_back({line, room + " may not include " + target});
    }
  }
  return found;
}

std::vector<Finding> process_endings_and_prints(std::string_view source) {
  static const std::regex kCall(
      R"re((^|[^\w.>])(?:std::|::)?(abort|exit|_exit|_Exit|quick_exit|terminate|printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror)\s*\(|\bstd::(cout|cerr|clog)\b)re");
  std::vector<Finding> found;
  std::istringstream lines(without_comments_and_strings(source));
  std::string text;
  for (int line = 1; std::getline(lines, text); line++) {
    std::smatch m;
    if (std::regex_search(text, m, kCall)) found.push_back({line, "calls " + m.str()});
  }
  return found;
}

std::vector<std::filesystem::path> sources_under(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const auto ext = entry.path().extension();
    if (entry.is_regular_file() && (ext == ".h" || ext == ".cpp" || ext == ".inc")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace glia::rooms
