#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "formats/fixtures.h"

namespace glia::formats {
namespace {

namespace fs = std::filesystem;
using tensor::DType;
using Bytes = std::vector<std::byte>;

template <typename Call>
std::string said(Call call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

std::string refusal(std::string_view header, std::size_t data_bytes = 0) {
  const Bytes bytes = safetensors_bytes(header, Bytes(data_bytes));
  return said([&] { SafetensorsFile::parse(bytes); });
}

void expect_has(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << "it said: " << text;
}

TEST(Safetensors, ReadsEveryType) {
  const Bytes bytes = small_safetensors();
  const SafetensorsFile f = SafetensorsFile::parse(bytes);
  EXPECT_EQ(f.names(), (std::vector<std::string>{"w.bf16", "w.f16", "w.f32", "w.i32", "w.i8", "w.scalar"}));
  const auto bf16 = f.find("w.bf16");
  ASSERT_TRUE(bf16);
  EXPECT_EQ(bf16->dtype, DType::bf16);
  EXPECT_EQ(bf16->shape, (std::vector<std::uint64_t>{4, 1, 2}));
  EXPECT_EQ(bf16->data.size(), 16U);
  EXPECT_EQ(bf16->data.front(), std::byte{28});
  EXPECT_TRUE(f.find("w.scalar")->shape.empty());
  EXPECT_FALSE(f.find("__metadata__"));
  EXPECT_EQ(refusal("{}"), "accepted");
}

TEST(SafetensorsHostile, Header) {
  expect_has(said([] { SafetensorsFile::parse(Bytes(7)); }), "the header length is cut short");
  Bytes huge(16);
  std::memset(huge.data(), 0xFF, 8);
  expect_has(said([&] { SafetensorsFile::parse(huge); }), "claims 18446744073709551615 bytes");
  Bytes longer = safetensors_bytes("{}", {});
  longer[0] = std::byte{3};
  expect_has(said([&] { SafetensorsFile::parse(longer); }), "the header is cut short");
  expect_has(refusal(""), "not valid JSON");
  expect_has(refusal("[]"), "not a JSON object");
  expect_has(refusal("{\"a\":" + std::string(70, '[') + std::string(70, ']') + "}"), "not valid JSON");
  expect_has(refusal("{\"\xFF\":1}"), "not valid JSON (byte");
  const std::string t = R"("t":{"dtype":"I8","shape":[1],"data_offsets":[0,1]})";
  expect_has(refusal("{" + t + "," + t + "}", 1), "a name twice");
  expect_has(refusal(R"({"t":{"dtype":"I8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1), "a name twice");
  EXPECT_EQ(refusal(R"({"\"a:\\":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1), "accepted");
}

TEST(SafetensorsHostile, Tensors) {
  const auto one = [](const std::string& body, std::size_t bytes) { return refusal("{\"t\":" + body + "}", bytes); };
  EXPECT_EQ(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 8), "accepted");
  expect_has(one("3", 0), "not described by an object");
  expect_has(one(R"({"shape":[2],"data_offsets":[0,8]})", 8), "has no dtype");
  expect_has(one(R"({"dtype":"F64","shape":[2],"data_offsets":[0,16]})", 16), "dtype \"F64\", which is not supported");
  expect_has(one(R"({"dtype":"F32","data_offsets":[0,8]})", 8), "has no list \"shape\"");
  expect_has(one(R"({"dtype":"F32","shape":[2]})", 8), "has no list \"data_offsets\"");
  expect_has(one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,8]})", 8), "not a whole number");
  expect_has(one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", 8), "not a whole number");
  expect_has(one(R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})", 0), "dimension of 0");
  expect_has(one(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})", 4), "has 9 dimensions");
  expect_has(one(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})", 0), "impossibly large");
  expect_has(one(R"({"dtype":"I8","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0), "impossibly large");
  expect_has(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,7]})", 8), "do not fit its shape (8 bytes)");
  expect_has(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", 8), "do not fit its shape");
  expect_has(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,9]})", 8), "two data_offsets");
  expect_has(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 7), "beyond the end of the file");
  expect_has(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 9), "bytes behind the last tensor");
  expect_has(one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 12), "hole before");
  expect_has(refusal(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],)"
                     R"("data_offsets":[3,7]}})",
                     7),
             "overlaps another");
}

class HfFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           ("glia_hf_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  void put(const std::string& name, std::string_view text) const { std::ofstream(dir_ / name) << text; }
  void put(const std::string& name, const Bytes& bytes) const {
    put(name, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  std::string refusal() const {
    return said([&] { HfFolder::open(dir_); });
  }
  fs::path dir_;
};

TEST_F(HfFolderTest, SingleFile) {
  expect_has(refusal(), "no config.json");
  put("config.json", R"({"hidden_size": 8})");
  expect_has(refusal(), "neither model.safetensors nor");
  put("model.safetensors", small_safetensors());
  put("tokenizer.json", "{}");
  const HfFolder f = HfFolder::open(dir_);
  EXPECT_EQ(f.config().at("hidden_size").as_int64(), 8);
  EXPECT_EQ(f.path(), dir_);
  EXPECT_EQ(f.names().size(), 6U);
  EXPECT_EQ(f.find("w.f16")->data.size(), 12U);
  EXPECT_FALSE(f.find("w.none"));
  EXPECT_EQ(f.text_file("tokenizer.json"), "{}");
  EXPECT_FALSE(f.text_file("none.json"));
  for (const auto bad : {"../config.json", "/etc/passwd", "..", ".", ""}) {
    expect_has(said([&] { f.text_file(bad); }), "not a plain file name");
  }
  expect_has(said([&] { f.text_file(std::string_view("a\0b", 3)); }), "not a plain file name");
  f.drop_pages();
  EXPECT_GT(touch_all(f), 0U);
}

TEST_F(HfFolderTest, Shards) {
  put("config.json", "{}");
  put("one.safetensors",
      safetensors_bytes(R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})", Bytes(2, std::byte{1})));
  put("two.safetensors",
      safetensors_bytes(R"({"b":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}})", Bytes(3, std::byte{2})));
  const std::string index = "model.safetensors.index.json";
  put(index, R"({"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const HfFolder f = HfFolder::open(dir_);
  EXPECT_EQ(f.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(touch_all(f), 8U);

  put(index, R"({"weight_map":{"a":"../one.safetensors"}})");
  expect_has(refusal(), "not a plain file name");
  put(index, R"({"weight_map":{"a":".."}})");
  expect_has(refusal(), "not a plain file name");
  put(index, R"({"weight_map":{"a":"three.safetensors"}})");
  expect_has(refusal(), "cannot open three.safetensors");
  put(index, R"({"weight_map":{"c":"one.safetensors"}})");
  expect_has(refusal(), "tensor \"c\" is not in its shard");
  put(index, R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})");
  expect_has(refusal(), "tensor \"b\" is not in its shard");
  put(index, R"({"weight_map":{"a":"one.safetensors"}})");
  EXPECT_EQ(refusal(), "accepted");  // a shard that nobody asks for is not opened
  put("two.safetensors", safetensors_bytes(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                                           R"("b":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}})",
                                           Bytes(3)));
  put(index, R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  expect_has(refusal(), "tensor \"a\" is in shard \"two.safetensors\", where");
  put(index, R"({"weight_map":{"b":"two.safetensors"}})");
  expect_has(refusal(), "tensor \"a\" is in shard \"two.safetensors\", where");
  put(index, R"({"weight_map":{"a":"/etc/passwd"}})");
  expect_has(refusal(), "not a plain file name");
  put(index, R"({"weight_map":{"a":3}})");
  expect_has(refusal(), "is not a string");
  put(index, R"({})");
  expect_has(refusal(), "no weight_map");
  put(index, "{");
  expect_has(refusal(), "model.safetensors.index.json is not valid JSON");
}

TEST_F(HfFolderTest, HostileConfig) {
  put("model.safetensors", small_safetensors());
  put("config.json", "[1]");
  expect_has(refusal(), "config.json is not a JSON object");
  put("config.json", R"({"a":1,"a":2})");
  expect_has(refusal(), "config.json has a name twice");
  put("config.json", std::string((1U << 20) + 1, ' '));
  expect_has(refusal(), "config.json is larger than");
  fs::remove(dir_ / "config.json");
  fs::create_directory(dir_ / "config.json");
  expect_has(refusal(), "config.json is not a regular file");
}

}  // namespace
}  // namespace glia::formats
