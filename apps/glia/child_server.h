// For tests: a glia serve as a process of its own, on a port of its own, watched from outside.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "http/client.h"

extern char** environ;

namespace glia::cli {

class ChildServer {
 public:
  enum class Keeps { nothing, on_disk };

  explicit ChildServer(std::vector<std::string> arguments, Keeps keeps = Keeps::nothing) {
    arguments.insert(arguments.begin(), {GLIA_BINARY, "serve", "--port", "0", "--data", folder_.string(),
                                         "--address-file", (folder_ / "address.json").string()});
    if (keeps == Keeps::nothing) arguments.emplace_back("--in-memory");
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const std::string log = (folder_ / "log").string();
    posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    EXPECT_EQ(posix_spawn(&pid_, GLIA_BINARY, &files, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
    for (int i = 0; i < 3000 && url_.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      std::ifstream in(folder_ / "address.json");
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      if (text.find('}') != std::string::npos) url_ = std::string(parse_json(text).at("url").as_string());
    }
    EXPECT_FALSE(url_.empty()) << "glia serve did not start:\n" << this->log();
  }
  ~ChildServer() {
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    std::filesystem::remove_all(folder_);
  }
  ChildServer(const ChildServer&) = delete;
  ChildServer& operator=(const ChildServer&) = delete;

  std::string url(const std::string& path) const { return url_ + path; }
  std::string port() const { return url_.substr(url_.rfind(':') + 1); }
  std::string log() const {
    std::ifstream in(folder_ / "log");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  http::ClientResponse run(const std::string& id, const std::string& body) const {
    return http::post(url("/client/v4/accounts/local/ai/run/" + id), body, {}, {.idle_timeout_ms = 120'000});
  }
  json::value status() const { return parse_json(http::get(url("/glia/v1/status")).body); }

  /// A line of /proc/<pid>/status in bytes: "VmRSS", "VmHWM" (the most there ever was), "RssFile" (of it, mapped
  /// files).
  std::size_t memory(const std::string& line) const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/status");
    for (std::string word; in >> word;) {
      std::size_t kib = 0;
      if (word == line + ":" && in >> kib) return kib << 10;
    }
    return 0;
  }

  /// /proc/<pid>/maps: which files it has mapped.
  std::string maps() const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/maps");
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  static std::filesystem::path folder_of_its_own() {
    std::string name = (std::filesystem::temp_directory_path() / "glia-child-XXXXXX").string();
    return ::mkdtemp(name.data());
  }

  const std::filesystem::path folder_ = folder_of_its_own();
  pid_t pid_ = 0;
  std::string url_;
};

}  // namespace glia::cli
