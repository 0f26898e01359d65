#include "case_file.h"

#include <fstream>
#include <stdexcept>

namespace glia::protocol {
namespace {

class Lines {
 public:
  explicit Lines(const std::filesystem::path& file) : name_(file.filename().string()), in_(file) {
    if (!in_) throw std::runtime_error("cannot read " + file.string());
    next();
  }

  bool at_end() const { return end_; }
  const std::string& line() const { return line_; }
  int number() const { return number_; }
  const std::string& name() const { return name_; }
  bool at_case() const { return line_.starts_with("=== "); }

  std::string take() {
    std::string out = std::move(line_);
    next();
    return out;
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(name_ + ":" + std::to_string(number_) + ": " + why);
  }

 private:
  void next() {
    end_ = !std::getline(in_, line_);
    if (end_) line_.clear();
    number_++;
  }

  std::string name_;
  std::ifstream in_;
  std::string line_;
  int number_ = 0;
  bool end_ = false;
};

std::pair<std::string, std::string> split_header(const std::string& line, const Lines& lines) {
  const auto colon = line.find(": ");
  if (colon == std::string::npos) lines.fail("a header is NAME: VALUE, not: " + line);
  return {line.substr(0, colon), line.substr(colon + 2)};
}

void strip_end(std::string& body) {
  while (body.ends_with('\n')) body.pop_back();
}

void read_request(Lines& lines, Case& c) {
  const std::string request = lines.take();
  const auto space = request.find(' ');
  if (space == std::string::npos) lines.fail("a request begins with METHOD TARGET");
  c.method = request.substr(0, space);
  c.target = request.substr(space + 1);
  while (!lines.at_end() && !lines.line().empty() && lines.line() != "---") {
    const std::string line = lines.take();
    c.headers.push_back(split_header(line, lines));
  }
  if (lines.line().empty()) lines.take();
  while (!lines.at_end() && lines.line() != "---") c.body += lines.take() + "\n";
  strip_end(c.body);
  if (lines.at_end()) lines.fail("the case has no line ---");
  lines.take();
}

void read_expectation(Lines& lines, Case& c) {
  try {
    c.status = std::stoi(lines.take());
  } catch (const std::exception&) {
    lines.fail("a status is expected after ---");
  }
  while (!lines.at_end() && !lines.line().empty() && !lines.at_case()) {
    const std::string line = lines.take();
    if (line.starts_with("keep ")) {
      const auto from = line.find(" from ");
      if (from == std::string::npos) lines.fail("keep NAME from POINTER is expected");
      c.keep.emplace_back(line.substr(5, from - 5), line.substr(from + 6));
    } else {
      c.expected_headers.push_back(split_header(line, lines));
    }
  }
  while (!lines.at_end() && !lines.at_case()) c.expected_body += lines.take() + "\n";
  while (c.expected_body.starts_with('\n')) c.expected_body.erase(0, 1);
  strip_end(c.expected_body);
  c.body_given = !c.expected_body.empty();
}

}  // namespace

std::vector<Case> read_cases(const std::filesystem::path& file) {
  Lines lines(file);
  std::vector<Case> cases;
  while (!lines.at_end()) {
    if (lines.line().empty() || lines.line().starts_with('#')) {
      lines.take();
      continue;
    }
    if (!lines.at_case()) lines.fail("a case begins with ===");
    Case c;
    c.file = lines.name();
    c.line = lines.number();
    c.title = lines.take().substr(4);
    if (c.title.ends_with("[fake]")) {
      c.fake_only = true;
      c.title = c.title.substr(0, c.title.size() - 7);
    }
    read_request(lines, c);
    read_expectation(lines, c);
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace glia::protocol
