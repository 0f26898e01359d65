// What the room's tests share: a Vectorize on a folder of its own, and calls that wait for their answers.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "vectorize/vectorize.h"

namespace glia::vectorize::test {

template <class Call>
int code_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return cloudflare_code(error.code());
  }
  return 0;
}

/// No file of this process may grow beyond that.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallFiles() { setrlimit(RLIMIT_FSIZE, &before_); }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
};

class Folder : public ::testing::Test {
 protected:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "glia-vectorize-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    options.folder = folder;
  }
  ~Folder() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<Vectorize> open() const { return Vectorize::open(options, clock); }

  void reopen(std::unique_ptr<Vectorize>& v) const {
    v.reset();
    v = open();
  }

  /// The mutation's id, and the code of the error (0: none).
  template <class Call>
  static std::pair<std::string, int> answered(Call&& call) {
    std::promise<std::pair<std::string, int>> promise;
    try {
      call([&promise](const Error* error, const std::string& id) {
        promise.set_value({id, error == nullptr ? 0 : cloudflare_code(error->code())});
      });
    } catch (const Error& error) {
      return {"", cloudflare_code(error.code())};
    }
    return promise.get_future().get();
  }
  static std::string put(Vectorize& v, WriteKind kind, std::vector<Vector> vectors, const std::string& name = "i") {
    const auto [id, code] = answered([&](Answered a) { v.write("a", name, kind, std::move(vectors), std::move(a)); });
    EXPECT_EQ(code, 0);
    return id;
  }
  static int put_code(Vectorize& v, std::vector<Vector> vectors) {
    return answered([&](Answered a) { v.write("a", "i", WriteKind::upsert, std::move(vectors), std::move(a)); }).second;
  }
  static void remove(Vectorize& v, std::vector<std::string> ids) {
    EXPECT_EQ(answered([&](Answered a) { v.remove("a", "i", std::move(ids), std::move(a)); }).second, 0);
  }
  static int property(Vectorize& v, const std::string& name, PropertyType type) {
    return answered([&](Answered a) { v.add_metadata_index("a", "i", {name, type}, std::move(a)); }).second;
  }
  static Answered ignore() {
    return [](const Error*, const std::string&) {};
  }
  std::int64_t file_bytes() const {
    return static_cast<std::int64_t>(std::filesystem::file_size(folder / "vectorize.sqlite"));
  }

  ManualClock clock{1'700'000'000'000};
  std::filesystem::path folder;
  Options options;
};

}  // namespace glia::vectorize::test
