// For tests: a cache in a folder of its own, a hub beside it, and a watcher that remembers.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "hub/fake_hub.h"
#include "hub/layout.h"
#include "hub/pull.h"
#include "hub/store.h"

namespace glia::hub {

namespace fs = std::filesystem;

struct Remembering final : PullWatcher {
  void planned(const PullPlan& given) override { plan = given; }
  void moved(std::uint64_t bytes) override { last_moved = bytes; }
  void said(const std::string& sentence) override { sentences.push_back(sentence); }

  PullPlan plan;
  std::uint64_t last_moved = 0;
  std::vector<std::string> sentences;
};

class PullTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("NO_PROXY", "*", 1);
    std::string name = (fs::temp_directory_path() / "glia-pull-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    layout_ = {root_, "o/n"};
    options_.environment = {.cache = root_, .endpoint = hub_.url(), .token = {}};
    options_.backoff_ms = 10;
    options_.stall_timeout_s = 5;
  }
  void TearDown() override { fs::remove_all(root_); }

  Pulled pull(const Reference& reference) { return hub::pull(reference, options_, watcher_); }
  std::string refusal(const Reference& reference, ErrorCode code = ErrorCode::model_unavailable) {
    try {
      pull(reference);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.detail();
    }
    return "";
  }

  void put_folder() {
    hub_.files = {{"config.json", {"{}", false}},        {"tokenizer.json", {R"({"a": 1})", false}},
                  {"tokenizer.model", {"binary", true}}, {"LICENSE", {"Apache", false}},
                  {"README.md", {"# hello", false}},     {"model.safetensors", {varied(70'000), true}}};
  }
  void put_gguf(std::size_t bytes) { hub_.files["m-Q4_0.gguf"] = {varied(bytes), true}; }
  std::string gguf_blob() { return digest_of(hub_.files["m-Q4_0.gguf"].content, DigestKind::sha256); }
  static std::string varied(std::size_t bytes) {
    std::string out;
    std::uint32_t state = 7;
    while (out.size() < bytes) out += static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
    return out;
  }
  static std::string text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::string content(const std::string& name) const { return text(layout_.snapshot(hub_.commit) / name); }

  FakeHub hub_;
  fs::path root_;
  Layout layout_;
  PullOptions options_;
  Remembering watcher_;
};

}  // namespace glia::hub
