// Reads C++ sources as text, for the tests that hold the architecture's rules against the code.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace glia::rooms {

/// room -> every room it may include, itself and what follows transitively among them.
using Table = std::map<std::string, std::set<std::string>, std::less<>>;

/// Reads src/rooms.json. Errors: throws std::runtime_error for a cycle or an unknown room in a list.
Table read_table(const std::filesystem::path& rooms_json);

struct Finding {
  int line;
  std::string what;
};

/// The source without comments, string literals and character literals; line breaks kept.
std::string without_comments_and_strings(std::string_view source);

/// Includes of the form "room/…" in `source` that `room` may not make, and quoted includes of no known room.
std::vector<Finding> forbidden_includes(std::string_view source, const std::string& room, const Table& table);

/// Calls that end the process or print, which library rooms must not make.
std::vector<Finding> process_endings_and_prints(std::string_view source);

/// All .h and .cpp files under `folder`, sorted.
std::vector<std::filesystem::path> sources_under(const std::filesystem::path& folder);

std::string read_text(const std::filesystem::path& path);

}  // namespace glia::rooms
