#include "hub/store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "base/error.h"
#include "hub/layout.h"

namespace glia::hub {
namespace {

namespace fs = std::filesystem;

const std::string kOld(40, 'a');
const std::string kNew = "abcdef0" + std::string(33, '1');

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "glia-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& repo, const std::string& commit, const std::string& file, const std::string& blob,
           const std::string& bytes) const {
    const Layout layout{root_, repo};
    fs::create_directories(layout.folder() / "blobs");
    std::ofstream(layout.blob(blob)) << bytes;
    const fs::path link = layout.snapshot(commit) / file;
    fs::create_directories(link.parent_path());
    fs::create_symlink(layout.blob(blob).lexically_relative(link.parent_path()), link);
  }
  void ref(const std::string& repo, const std::string& revision, const std::string& commit) const {
    const fs::path path = Layout{root_, repo}.ref(revision);
    fs::create_directories(path.parent_path());
    std::ofstream(path) << commit;
  }
  void put_folder(const std::string& commit) const {
    put("o/n", commit, "config.json", "c", "{}");
    put("o/n", commit, "tokenizer.json", "t", "{}");
    put("o/n", commit, "model.safetensors", "w-" + commit.substr(0, 7), "1234567890");
  }

  fs::path root_;
};

TEST_F(StoreTest, NothingIsNoError) {
  const Store none(root_ / "nowhere");
  EXPECT_TRUE(none.snapshots().empty());
  EXPECT_EQ(none.locate({"o/n"}).missing, "no snapshot");
  EXPECT_FALSE(none.plan_removal({"o/n"}));
}

TEST_F(StoreTest, ListsSnapshotsWithTheirRefsAndSizes) {
  put_folder(kOld);
  put_folder(kNew);
  put("gpt2", kOld, "sub/x.gguf", "x", "12345");
  ref("o/n", "main", kNew);
  ref("o/n", "refs/pr/1", kOld);
  fs::create_directories(root_ / "datasets--o--d/snapshots" / kOld);
  fs::create_directories(root_ / "models--o--n/snapshots/not-a-commit");
  fs::create_symlink("../../blobs/gone", root_ / "models--o--n/snapshots" / kOld / "dangling");
  const auto all = Store(root_).snapshots();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].repo, "gpt2");
  EXPECT_EQ(all[0].files.at(0).name, "sub/x.gguf");
  EXPECT_EQ(all[0].bytes, 5U);
  EXPECT_EQ(all[1].commit, kOld);
  EXPECT_EQ(all[1].refs, (std::vector<std::string>{"refs/pr/1"}));
  EXPECT_EQ(all[1].files.size(), 3U);
  EXPECT_EQ(all[2].refs, (std::vector<std::string>{"main"}));
  EXPECT_EQ(all[2].bytes, 14U);
}

TEST_F(StoreTest, FindsByRefCommitOrItsBeginning) {
  put_folder(kOld);
  put_folder(kNew);
  ref("o/n", "main", kNew);
  const Store store(root_);
  EXPECT_EQ(store.find({"o/n"})->commit, kNew);
  EXPECT_EQ(store.find({"o/n", "", kOld})->commit, kOld);
  EXPECT_EQ(store.find({"o/n", "", "abcdef0"})->commit, kNew);
  EXPECT_FALSE(store.find({"o/n", "", "abcdef"})) << "too short";
  EXPECT_FALSE(store.find({"o/n", "", "v2"}));
  ref("o/n", "abcdef0", kOld);
  EXPECT_EQ(store.find({"o/n", "", "abcdef0"})->commit, kOld) << "a tag beats the beginning of a commit";
}

TEST_F(StoreTest, LocatesAFolderOnlyWhenAllOfItIsThere) {
  put("o/n", kOld, "config.json", "c", "{}");
  ref("o/n", "main", kOld);
  const Store store(root_);
  EXPECT_EQ(store.locate({"o/n"}).missing, "there are no weights as safetensors or GGUF");
  put("o/n", kOld, "model.safetensors.index.json", "i",
      R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  put("o/n", kOld, "model-00001-of-00002.safetensors", "w1", "1234");
  EXPECT_EQ(store.locate({"o/n"}).missing, "tokenizer.json");
  put("o/n", kOld, "tokenizer.json", "t", "{}");
  auto located = store.locate({"o/n"});
  EXPECT_FALSE(located.available);
  EXPECT_EQ(located.missing, "model-00002-of-00002.safetensors");
  put("o/n", kOld, "model-00002-of-00002.safetensors", "w2", "1234");
  located = store.locate({"o/n"});
  EXPECT_TRUE(located.available) << located.missing;
  EXPECT_EQ(located.path, Layout({root_, "o/n"}).snapshot(kOld));
  EXPECT_GT(located.bytes, 8U);
}

TEST_F(StoreTest, LocatesAnEmbeddingModelWithAllItsModules) {
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) put("o/n", kOld, name, name, "{}");
  put("o/n", kOld, "modules.json", "m",
      R"([{"path":""},{"path":"1_Pooling"},{"path":"2_Dense"},{"path":"3_Normalize"}])");
  ref("o/n", "main", kOld);
  const Store store(root_);
  EXPECT_EQ(store.locate({"o/n"}).missing, "1_Pooling/config.json");
  put("o/n", kOld, "1_Pooling/config.json", "p", "{}");
  EXPECT_EQ(store.locate({"o/n"}).missing, "2_Dense/config.json");
  put("o/n", kOld, "2_Dense/config.json", "d", "{}");
  EXPECT_EQ(store.locate({"o/n"}).missing, "2_Dense/model.safetensors");
  put("o/n", kOld, "2_Dense/model.safetensors", "w", "1234");
  EXPECT_TRUE(store.locate({"o/n"}).available);
  std::ofstream(Layout{root_, "o/n"}.blob("m")) << "{}";
  EXPECT_EQ(store.locate({"o/n"}).missing, "a readable modules.json");
}

TEST_F(StoreTest, LocatesAGgufWithAllItsParts) {
  ref("o/n", "main", kOld);
  put("o/n", kOld, "m-Q8_0-00001-of-00002.gguf", "p1", "1234");
  put("o/n", kOld, "m-Q4_0.gguf", "q4", "12");
  const Store store(root_);
  EXPECT_EQ(store.locate({"o/n", "Q8_0"}).missing, "m-Q8_0-00002-of-00002.gguf");
  put("o/n", kOld, "m-Q8_0-00002-of-00002.gguf", "p2", "1234");
  EXPECT_TRUE(store.locate({"o/n", "Q8_0"}).available);
  EXPECT_EQ(store.locate({"o/n", "Q8_0"}).bytes, 8U);
  EXPECT_EQ(store.locate({"o/n"}).path.filename(), "m-Q4_0.gguf");
  EXPECT_EQ(store.locate({"o/n", "Q2_K"}).missing, "there is no GGUF Q2_K; there are Q4_0, Q8_0");
}

TEST_F(StoreTest, RemovingOneRevisionLeavesWhatOthersShare) {
  put_folder(kOld);
  put_folder(kNew);
  ref("o/n", "main", kNew);
  ref("o/n", "v1", kOld);
  const Store store(root_);
  const Layout layout{root_, "o/n"};
  const auto removal = store.plan_removal({"o/n", "", "v1"});
  ASSERT_TRUE(removal);
  EXPECT_EQ(removal->bytes, 10U);
  store.remove(*removal);
  EXPECT_FALSE(fs::exists(layout.snapshot(kOld)));
  EXPECT_FALSE(fs::exists(layout.ref("v1")));
  EXPECT_FALSE(fs::exists(layout.blob("w-aaaaaaa")));
  EXPECT_TRUE(store.locate({"o/n"}).available);
}

TEST_F(StoreTest, RemovingTheLastRevisionRemovesTheRepository) {
  put_folder(kOld);
  put_folder(kNew);
  put("o/other", kOld, "x.gguf", "x", "1");
  std::ofstream(Layout{root_, "o/n"}.incomplete("z")) << "123";
  const Store store(root_);
  const auto removal = store.plan_removal({"o/n"});
  ASSERT_TRUE(removal);
  EXPECT_EQ(removal->bytes, 27U);
  EXPECT_EQ(removal->commits.size(), 2U);
  store.remove(*removal);
  EXPECT_FALSE(fs::exists(Layout({root_, "o/n"}).folder()));
  EXPECT_EQ(store.snapshots().size(), 1U);
}

TEST_F(StoreTest, RemovingOneGgufLeavesTheOthers) {
  put("o/n", kOld, "m-Q4_0.gguf", "q4", "12");
  put("o/n", kOld, "m-Q8_0.gguf", "q8", "1234");
  ref("o/n", "main", kOld);
  const Store store(root_);
  EXPECT_FALSE(store.plan_removal({"o/n", "Q2_K"}));
  const auto removal = store.plan_removal({"o/n", "Q8_0"});
  ASSERT_TRUE(removal);
  EXPECT_EQ(removal->bytes, 4U);
  store.remove(*removal);
  EXPECT_TRUE(store.locate({"o/n", "Q4_0"}).available);
  EXPECT_FALSE(fs::exists(Layout({root_, "o/n"}).blob("q8")));
}

TEST_F(StoreTest, ABlobInTheSharedStoreIsNotCountedNorTouched) {
  put("o/n", kOld, "x.gguf", "x", "1");
  const Layout layout{root_, "o/n"};
  fs::create_directories(root_ / "blobs/ab");
  std::ofstream(root_ / "blobs/ab/abc") << "12345";
  fs::remove(layout.blob("x"));
  fs::create_symlink("../../blobs/ab/abc", layout.blob("x"));
  const Store store(root_);
  EXPECT_EQ(store.snapshots().at(0).bytes, 5U);
  const auto removal = store.plan_removal({"o/n"});
  EXPECT_EQ(removal->bytes, 0U);
  store.remove(*removal);
  EXPECT_TRUE(fs::exists(root_ / "blobs/ab/abc"));
}

TEST_F(StoreTest, WhatIsBeingPulledIsNotRemoved) {
  put_folder(kOld);
  const Store store(root_);
  const auto lock = BlobLock::try_take(Layout{root_, "o/n"}.lock("t"));
  ASSERT_TRUE(lock);
  EXPECT_FALSE(BlobLock::try_take(Layout{root_, "o/n"}.lock("t"))) << "held";
  EXPECT_THROW(store.remove(*store.plan_removal({"o/n"})), Error);
  EXPECT_EQ(store.snapshots().size(), 1U);
}

}  // namespace
}  // namespace glia::hub
