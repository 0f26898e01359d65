// Reads the text files of cases/ (README.md describes them).
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace glia::protocol {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Case {
  std::string file;
  int line = 0;
  std::string title;
  bool fake_only = false;

  std::string method;
  std::string target;
  Headers headers;
  std::string body;

  int status = 0;
  Headers expected_headers;
  std::string expected_body;
  bool body_given = false;  ///< the expectation says something about the body
  Headers keep;             ///< name, JSON pointer
};

/// Throws std::runtime_error naming file and line for what is not a case.
std::vector<Case> read_cases(const std::filesystem::path& file);

}  // namespace glia::protocol
