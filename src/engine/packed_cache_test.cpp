// Loads of a few matrices through the cache: what the second one gets, and what becomes of files that are not as they
// were left. The device is the real one; "the model" is any file, whose version is what counts.
#include "engine/packed_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "kernels/device.h"
#include "tensor/dtype.h"

namespace glia::engine {
namespace {

namespace fs = std::filesystem;
using tensor::DType;

constexpr std::uint64_t kRows = 70;  // ragged: no multiple of 16
constexpr std::uint64_t kCols = 256;

struct Tensor {
  DType type;
  std::vector<std::byte> bytes;

  Tensor(DType t, std::uint32_t seed) : type(t) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto row_bytes = static_cast<std::size_t>(tensor::row_bytes(t, kCols));
    bytes.resize(kRows * row_bytes);
    std::vector<float> row(kCols);
    for (std::size_t r = 0; r < kRows; r++) {
      for (float& v : row) v = normal(random);
      tensor::quantize_row(t, row, std::span(bytes).subspan(r * row_bytes, row_bytes));
    }
  }
  tensor::View view() const { return {type, {kRows, kCols}, bytes}; }
};

/// What came of one load: a product per matrix, and whether anything had to be packed.
struct Loaded {
  std::vector<float> products;
  bool all_mapped = false;
};

class PackedCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGXFSZ, SIG_IGN);
    write_model("version 1");
  }
  ~PackedCacheTest() override {
    std::error_code none;
    fs::permissions(cache_, fs::perms::owner_all, none);
    fs::remove_all(home_);
  }

  fs::path model(const std::string& name = "model.gguf") const { return home_ / name; }
  void write_model(const std::string& text, const std::string& name = "model.gguf") const {
    std::ofstream(model(name)) << text;
  }
  PackedCacheOptions options() const { return {.folder = cache_, .least_bytes = 0}; }

  /// One load of three matrices, one of them a stack, and what is written after it.
  Loaded load(const PackedCacheOptions& options, std::uint32_t seed = 1, const std::string& name = "model.gguf",
              const std::string& device_name = "device", const std::function<void()>& meanwhile = {}) const {
    const Tensor a(DType::q4_0, seed);
    const Tensor b(DType::q6_k, seed + 1);
    const Tensor c(DType::f32, seed + 2);
    const auto device = kernels::make_cpu_device({.threads = 2});
    PackedCache cache(options, device_name);
    const auto packed = cache.open(model(name));
    device->use_store(packed.get());
    std::vector<std::unique_ptr<kernels::Matrix>> matrices;
    matrices.push_back(device->load_matrix(std::array{a.view()}));
    matrices.push_back(device->load_matrix(std::array{b.view(), a.view()}));
    matrices.push_back(device->load_matrix(std::array{c.view()}));
    device->use_store(nullptr);
    if (meanwhile) meanwhile();
    const auto writer = packed ? packed->keep_packed() : nullptr;
    if (writer) writer->wait();
    Loaded loaded;
    loaded.all_mapped = packed && !writer;
    const auto x = device->allocate(kCols * sizeof(float));
    std::vector<float> ones(kCols, 1.0F);
    auto* in = reinterpret_cast<float*>(x->data());
    device->upload(in, ones);
    for (const auto& matrix : matrices) {
      const auto y = device->allocate(static_cast<std::size_t>(matrix->rows()) * sizeof(float));
      auto* out = reinterpret_cast<float*>(y->data());
      device->matmul({out, 1, matrix->rows(), matrix->rows()}, *matrix, {in, 1, matrix->cols(), matrix->cols()});
      std::vector<float> product(static_cast<std::size_t>(matrix->rows()));
      device->download(product, out);
      loaded.products.insert(loaded.products.end(), product.begin(), product.end());
    }
    return loaded;
  }
  std::vector<float> packed_products(std::uint32_t seed = 1) const { return load({}, seed).products; }

  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    std::error_code none;
    for (const auto& file : fs::directory_iterator(cache_, none)) all.push_back(file.path());
    return all;
  }
  fs::path only_file() const {
    const auto all = files();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? fs::path() : all.front();
  }

  const fs::path home_ = [] {
    std::string name = (fs::temp_directory_path() / "glia-packed-XXXXXX").string();
    return fs::path(::mkdtemp(name.data()));
  }();
  const fs::path cache_ = home_ / "cache" / "packed";
};

TEST_F(PackedCacheTest, a_second_load_maps_what_the_first_packed) {
  const Loaded first = load(options());
  EXPECT_FALSE(first.all_mapped);
  struct stat st {};
  ASSERT_EQ(::stat(only_file().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(cache_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0700U);
  const Loaded second = load(options());
  EXPECT_TRUE(second.all_mapped);
  EXPECT_EQ(first.products, packed_products());
  EXPECT_EQ(second.products, packed_products());
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(PackedCacheTest, without_a_folder_nothing_is_kept) {
  EXPECT_EQ(PackedCache({}, "device").open(model()), nullptr);
  EXPECT_EQ(PackedCache(options(), "device").open(model("none.gguf")), nullptr);
}

TEST_F(PackedCacheTest, what_takes_no_time_is_not_kept) {
  load({.folder = cache_, .least_bytes = 1 << 20});
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, a_replaced_model_is_packed_again) {
  load(options());
  write_model("version 2");  // the same size
  const Loaded replaced = load(options(), 11);
  EXPECT_FALSE(replaced.all_mapped);
  EXPECT_EQ(replaced.products, packed_products(11));
  EXPECT_TRUE(load(options(), 11).all_mapped);
  EXPECT_EQ(files().size(), 1U) << "the old file is written over";
}

TEST_F(PackedCacheTest, a_model_that_was_set_back_in_time_is_packed_again) {
  const auto time = fs::last_write_time(model());
  load(options());
  write_model("version 3");
  fs::last_write_time(model(), time);
  EXPECT_FALSE(load(options(), 11).all_mapped);
}

TEST_F(PackedCacheTest, any_part_of_a_split_model_counts) {
  const std::string first = "m-00001-of-00002.gguf";
  write_model("1", first);
  write_model("2", "m-00002-of-00002.gguf");
  load(options(), 1, first);
  EXPECT_TRUE(load(options(), 1, first).all_mapped);
  write_model("3", "m-00002-of-00002.gguf");
  EXPECT_FALSE(load(options(), 11, first).all_mapped);
}

TEST_F(PackedCacheTest, any_file_of_a_folder_counts) {
  fs::create_directory(model("folder"));
  write_model("{}", "folder/config.json");
  write_model("1", "folder/model.safetensors");
  load(options(), 1, "folder");
  EXPECT_TRUE(load(options(), 1, "folder").all_mapped);
  write_model("{ }", "folder/config.json");
  EXPECT_FALSE(load(options(), 11, "folder").all_mapped);
}

TEST_F(PackedCacheTest, a_model_that_changes_while_it_is_loaded_is_not_kept) {
  load(options(), 1, "model.gguf", "device", [&] { write_model("version 4"); });
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, devices_have_files_of_their_own) {
  load(options(), 1, "model.gguf", "cpu avx512 fast");
  EXPECT_FALSE(load(options(), 1, "model.gguf", "cpu avx2 fast").all_mapped);
  EXPECT_TRUE(load(options(), 1, "model.gguf", "cpu avx512 fast").all_mapped);
  EXPECT_TRUE(load(options(), 1, "model.gguf", "cpu avx2 fast").all_mapped);
  EXPECT_EQ(files().size(), 2U);
}

TEST_F(PackedCacheTest, other_matrices_than_expected_are_packed) {
  load(options());
  const auto device = kernels::make_cpu_device({.threads = 1});
  PackedCache cache(options(), "device");
  const auto packed = cache.open(model());
  device->use_store(packed.get());
  const Tensor c(DType::f32, 3);
  const auto third = device->load_matrix(std::array{c.view()});  // asked for first
  device->use_store(nullptr);
  EXPECT_NE(packed->keep_packed(), nullptr);
}

/// Somebody's disk: bytes changed or missing anywhere. Nothing crashes, no product is wrong, and the next load after
/// it has a good file again.
TEST_F(PackedCacheTest, a_damaged_file_is_packed_again) {
  const auto good = packed_products();
  load(options());
  const fs::path file = only_file();
  const auto size = static_cast<std::size_t>(fs::file_size(file));
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < 136; at++) places.push_back(at);  // header and index
  for (std::size_t at = 4096; at < size; at += 1777) places.push_back(at);
  std::size_t harmless = 0;
  for (const std::size_t at : places) {
    {
      std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
      out.seekg(static_cast<std::streamoff>(at));
      const int before = out.get();
      out.seekp(static_cast<std::streamoff>(at));
      out.put(static_cast<char>(before ^ 0x10));
    }
    const Loaded damaged = load(options());
    harmless += damaged.all_mapped ? 1 : 0;
    ASSERT_EQ(damaged.products, good) << "byte " << at;
    ASSERT_TRUE(load(options()).all_mapped) << "byte " << at;
  }
  EXPECT_EQ(harmless, 0U);
}

TEST_F(PackedCacheTest, a_torn_file_is_packed_again) {
  const auto good = packed_products();
  load(options());
  const fs::path file = only_file();
  const auto size = fs::file_size(file);
  for (const std::uintmax_t length : {std::uintmax_t{0}, std::uintmax_t{7}, std::uintmax_t{40}, std::uintmax_t{41},
                                      std::uintmax_t{100}, std::uintmax_t{4096}, size / 2, size - 1, size + 1}) {
    fs::resize_file(file, length);
    ASSERT_EQ(load(options()).products, good) << length;
    ASSERT_TRUE(load(options()).all_mapped) << length;
  }
  // A length that is right and pages that were never written: what a power cut leaves.
  fs::resize_file(file, size / 2);
  fs::resize_file(file, size);
  const Loaded torn = load(options());
  EXPECT_FALSE(torn.all_mapped);
  EXPECT_EQ(torn.products, good);
}

TEST_F(PackedCacheTest, what_is_no_file_is_left_alone) {
  load(options());
  const fs::path file = only_file();
  fs::remove(file);
  fs::create_directories(file / "something");
  EXPECT_EQ(load(options()).products, packed_products());
  EXPECT_EQ(files().size(), 1U) << "nothing unfinished beside it";
}

TEST_F(PackedCacheTest, a_full_disk_leaves_nothing_behind) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 8192;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Loaded loaded = load(options());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(loaded.products, packed_products());
  EXPECT_TRUE(files().empty());
  auto most = options();
  most.most_bytes = 8192;
  EXPECT_EQ(load(most).products, packed_products());
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, a_folder_that_cannot_be_used_changes_nothing) {
  write_model("a file", "file");
  for (const fs::path& folder : {fs::path("/proc/glia-packed"), home_ / "file", home_ / "file" / "packed"}) {
    EXPECT_EQ(load({.folder = folder, .least_bytes = 0}).products, packed_products()) << folder;
  }
}

TEST_F(PackedCacheTest, a_folder_that_is_only_readable_is_read) {
  load(options());
  fs::permissions(cache_, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_TRUE(load(options()).all_mapped);
  EXPECT_EQ(load(options(), 1, "model.gguf", "other").products, packed_products());
}

TEST_F(PackedCacheTest, a_folder_that_others_write_to_is_not_trusted) {
  load(options());
  fs::permissions(cache_, fs::perms::group_write, fs::perm_options::add);
  EXPECT_FALSE(load(options()).all_mapped);
  EXPECT_EQ(load(options(), 1, "model.gguf", "other").products, packed_products());
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(PackedCacheTest, the_least_recently_used_goes) {
  for (const char* name : {"a.gguf", "b.gguf", "c.gguf"}) write_model("1", name);
  load(options(), 1, "a.gguf");
  const std::uint64_t one = fs::file_size(only_file());
  auto two = options();
  two.most_bytes = 2 * one + one / 2;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  load(two, 1, "b.gguf");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(load(two, 1, "a.gguf").all_mapped);  // used again
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  load(two, 1, "c.gguf");
  EXPECT_EQ(files().size(), 2U);
  EXPECT_TRUE(load(two, 1, "a.gguf").all_mapped);
  EXPECT_TRUE(load(two, 1, "c.gguf").all_mapped);
  EXPECT_FALSE(load(two, 1, "b.gguf").all_mapped);
}

TEST_F(PackedCacheTest, what_a_killed_process_left_goes_after_an_hour) {
  fs::create_directories(cache_);
  fs::permissions(cache_, fs::perms::owner_all);
  const fs::path old = cache_ / "0123.packed.part-abcdef";
  const fs::path fresh = cache_ / "0123.packed.part-ghijkl";
  const fs::path foreign = cache_ / "notes.txt";
  for (const auto& path : {old, fresh, foreign}) std::ofstream(path) << "x";
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(2);
  fs::last_write_time(old, long_ago);
  fs::last_write_time(foreign, long_ago);
  load(options());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(fresh)) << "another process may be writing it";
  EXPECT_TRUE(fs::exists(foreign)) << "not ours";
}

TEST_F(PackedCacheTest, what_is_kept_of_a_model_is_removed_with_it) {
  write_model("1", "a.gguf");
  fs::create_symlink("a.gguf", model("link.gguf"));
  write_model("1", "b.gguf");
  load(options(), 1, "link.gguf", "one");
  load(options(), 1, "a.gguf", "two");
  load(options(), 1, "b.gguf", "one");
  const std::uint64_t size = fs::file_size(files().front());
  const std::array both = {model("link.gguf"), model("a.gguf")};  // the same twice
  EXPECT_EQ(remove_packed(cache_, both, true), 2 * size);
  EXPECT_EQ(files().size(), 3U);
  EXPECT_EQ(remove_packed(cache_, std::span(both).first(1), false), 2 * size);
  EXPECT_EQ(files().size(), 1U);
  EXPECT_TRUE(load(options(), 1, "b.gguf", "one").all_mapped);
  EXPECT_EQ(remove_packed(home_ / "none", both, false), 0U);
}

TEST_F(PackedCacheTest, many_at_once_agree) {
  const auto good = packed_products();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; k++) wrong += load(options()).products == good ? 0 : 1;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(load(options()).all_mapped);
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(PackedCacheTest, a_model_that_goes_at_once_leaves_a_whole_file_or_none) {
  for (int i = 0; i < 5; i++) {
    const Tensor a(DType::q4_0, 1);
    const auto device = kernels::make_cpu_device({.threads = 1});
    PackedCache cache(options(), "device");
    const auto packed = cache.open(model());
    device->use_store(packed.get());
    const auto matrix = device->load_matrix(std::array{a.view()});
    device->use_store(nullptr);
    packed->keep_packed().reset();
    for (const auto& file : files()) EXPECT_TRUE(file.native().ends_with(".packed")) << file;
    for (const auto& file : files()) fs::remove(file);
  }
}

}  // namespace
}  // namespace glia::engine
