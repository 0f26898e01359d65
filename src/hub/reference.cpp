#include "hub/reference.h"

#include <algorithm>

#include "base/error.h"

namespace glia::hub {
namespace {

constexpr std::size_t kMostRepoBytes = 96;
constexpr std::size_t kMostPathBytes = 1024;
constexpr std::size_t kMostPartBytes = 255;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool is_repo_part(std::string_view part) {
  const auto edge = [](char c) { return c == '-' || c == '.'; };
  return !part.empty() && std::all_of(part.begin(), part.end(), is_name_char) && !edge(part.front()) &&
         !edge(part.back()) && part.find("--") == part.npos && part.find("..") == part.npos;
}

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw Error(ErrorCode::invalid_input, "`" + std::string(text) + "` " + std::string(why) +
                                            "; a model of the hub is owner/name, owner/name:Q4_K_M or "
                                            "owner/name:file.gguf, and @revision after it");
}

}  // namespace

bool is_repo_name(std::string_view text) {
  if (text.size() > kMostRepoBytes) return false;
  const auto slash = text.find('/');
  if (slash == text.npos) return is_repo_part(text);
  return is_repo_part(text.substr(0, slash)) && is_repo_part(text.substr(slash + 1));
}

Reference Reference::parse(std::string_view text) {
  std::string_view rest = text;
  for (const std::string_view prefix : {"hf:", "//", "https://huggingface.co/", "https://hf.co/"}) {
    if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  }
  Reference reference;
  const auto end = rest.find_first_of(":@");
  reference.repo = rest.substr(0, end);
  if (!is_repo_name(reference.repo)) refuse(text, "names no repository");
  rest.remove_prefix(std::min(end, rest.size()));
  while (!rest.empty()) {
    const char mark = rest.front();
    const auto next = rest.find_first_of(":@", 1);
    const std::string_view value = rest.substr(1, next == rest.npos ? next : next - 1);
    std::string& field = mark == ':' ? reference.file : reference.revision;
    if (!field.empty()) refuse(text, "names two of one kind");
    if (!is_safe_path(value)) refuse(text, mark == ':' ? "names no file after the colon" : "names no revision after @");
    field = value;
    rest.remove_prefix(std::min(next, rest.size()));
  }
  return reference;
}

std::string Reference::text() const {
  return repo + (file.empty() ? "" : ":" + file) + (revision.empty() ? "" : "@" + revision);
}

bool is_commit(std::string_view text) {
  return text.size() == 40 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_safe_path(std::string_view name) {
  if (name.empty() || name.size() > kMostPathBytes) return false;
  if (std::any_of(name.begin(), name.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7F' || c == '\\'; })) {
    return false;
  }
  while (true) {
    const auto slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kMostPartBytes) return false;
    if (slash == name.npos) return true;
    name.remove_prefix(slash + 1);
  }
}

}  // namespace glia::hub
