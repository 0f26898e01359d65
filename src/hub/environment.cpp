#include "hub/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>

#include "base/error.h"

namespace glia::hub {
namespace {

namespace fs = std::filesystem;
using Get = std::function<std::optional<std::string>(const char*)>;

bool is_true(const std::optional<std::string>& value) {
  if (!value) return false;
  std::string upper = *value;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); });
  return upper == "1" || upper == "ON" || upper == "YES" || upper == "TRUE";
}

std::string home_of(const Get& get) { return get("HOME").value_or("."); }

/// "~/x" and "$VARIABLE/x", as the other tools read them.
fs::path expanded(const std::string& text, const Get& get) {
  std::string out;
  std::size_t i = 0;
  if (text == "~" || text.starts_with("~/")) {
    out = home_of(get);
    i = 1;
  }
  while (i < text.size()) {
    if (text[i] != '$') {
      out += text[i++];
      continue;
    }
    const bool braced = i + 1 < text.size() && text[i + 1] == '{';
    const std::size_t begin = i + (braced ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) end++;
    const auto value = end > begin ? get(text.substr(begin, end - begin).c_str()) : std::nullopt;
    if (!value || (braced && (end == text.size() || text[end] != '}'))) {
      out += text[i++];
      continue;
    }
    out += *value;
    i = end + (braced ? 1 : 0);
  }
  return out;
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin));
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return trimmed(line);
}

std::string endpoint_of(const Get& get) {
  std::string endpoint = get("HF_ENDPOINT").value_or("https://huggingface.co");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
    throw Error(ErrorCode::invalid_input, "HF_ENDPOINT must begin with https:// or http://");
  }
  return endpoint;
}

std::string token_of(const Get& get, const fs::path& home) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (const auto value = get(name)) {
      if (std::string token = trimmed(*value); !token.empty()) return token;
    }
  }
  if (is_true(get("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return {};
  const auto path = get("HF_TOKEN_PATH");
  return first_line(path ? expanded(*path, get) : home / "token");
}

}  // namespace

Environment Environment::from(const Get& get) {
  const auto set = [&](const char* name) {
    auto value = get(name);
    return value && !value->empty() ? value : std::nullopt;
  };
  const auto caches = set("XDG_CACHE_HOME");
  const auto given_home = set("HF_HOME");
  const fs::path home = given_home
                            ? expanded(*given_home, get)
                            : (caches ? expanded(*caches, get) : fs::path(home_of(get)) / ".cache") / "huggingface";
  Environment environment;
  auto cache = set("HF_HUB_CACHE");
  if (!cache) cache = set("HUGGINGFACE_HUB_CACHE");
  environment.cache = cache ? expanded(*cache, get) : home / "hub";
  environment.endpoint = endpoint_of(set);
  environment.token = token_of(set, home);
  environment.offline = is_true(set("HF_HUB_OFFLINE")) || is_true(set("TRANSFORMERS_OFFLINE"));
  return environment;
}

Environment Environment::read() {
  return from([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  });
}

}  // namespace glia::hub
