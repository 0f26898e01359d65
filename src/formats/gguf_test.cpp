#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "formats/fixtures.h"
#include "formats/gguf_types.h"
#include "formats/gguf_writer.h"

namespace glia::formats {
namespace {

using tensor::DType;
using Bytes = std::vector<std::byte>;

std::string refusal(const Bytes& bytes) {
  try {
    GgufFile::parse(bytes);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

#define EXPECT_REFUSED(bytes, part)                                       \
  do {                                                                    \
    const std::string said = refusal(bytes);                              \
    EXPECT_NE(said.find(part), std::string::npos) << "it said: " << said; \
  } while (false)

/// Raw file building, for what the writer rightly cannot write.
struct Raw {
  Bytes bytes;
  template <typename T>
  Raw& put(T value) {
    const auto at = bytes.size();
    bytes.resize(at + sizeof(T));
    std::memcpy(bytes.data() + at, &value, sizeof(T));
    return *this;
  }
  Raw& text(std::string_view s) {
    put(std::uint64_t{s.size()});
    for (const char c : s) bytes.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Raw& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return put(kGgufMagic).put(version).put(tensors).put(keys);
  }
  Raw& type(GgufType t) { return put(static_cast<std::uint32_t>(t)); }
  Raw& tensor(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t ggml,
              std::uint64_t offset) {
    text(name).put(static_cast<std::uint32_t>(dims.size()));
    for (const auto d : dims) put(d);
    return put(ggml).put(offset);
  }
  Raw& data(std::size_t n) {
    bytes.resize((bytes.size() + 31) / 32 * 32 + n);
    return *this;
  }
};

TEST(Gguf, ReadsEveryMetadataType) {
  const Bytes bytes = small_gguf();
  const GgufFile f = GgufFile::parse(bytes);
  EXPECT_EQ(f.version(), 3U);
  EXPECT_EQ(f.file_bytes(), bytes.size());
  EXPECT_EQ(f.string("general.architecture"), "llama");
  EXPECT_EQ(f.uint("a.u8"), 200U);
  EXPECT_EQ(f.number("a.i8"), -100.0);
  EXPECT_EQ(f.uint("a.u16"), 60000U);
  EXPECT_EQ(f.number("a.i16"), -30000.0);
  EXPECT_EQ(f.uint("a.u32"), 4000000000U);
  EXPECT_EQ(f.number("a.i32"), -2e9);
  EXPECT_EQ(f.uint("a.u64"), std::uint64_t{1} << 63);
  EXPECT_EQ(std::get<std::int64_t>(f.metadata().at("a.i64")), -(std::int64_t{1} << 62));
  EXPECT_EQ(f.number("a.f32"), 0.5);
  EXPECT_EQ(f.number("a.f64"), 0.1);
  EXPECT_TRUE(f.boolean("a.bool"));
  EXPECT_EQ(f.string("a.string"), "h\xC3\xA9");
  EXPECT_EQ(f.numbers("b.u8"), (std::vector{1.0, 255.0}));
  EXPECT_EQ(f.numbers("b.i8"), (std::vector{-1.0, 127.0}));
  EXPECT_EQ(f.numbers("b.u16"), (std::vector{1.0, 65535.0}));
  EXPECT_EQ(f.numbers("b.i16"), (std::vector{-1.0, 32767.0}));
  EXPECT_EQ(f.numbers("b.u32"), (std::vector{1.0, 4294967295.0}));
  EXPECT_EQ(f.numbers("b.i32"), (std::vector{-1.0, 2147483647.0}));
  EXPECT_EQ(f.numbers("b.i64"), (std::vector{-1.0, 1.0}));
  EXPECT_EQ(f.numbers("b.f32"), (std::vector{-0.5, 0.25}));
  EXPECT_EQ(f.numbers("b.f64"), (std::vector{-0.1, 0.2}));
  const auto& u64 = std::get<std::vector<std::uint64_t>>(std::get<GgufArray>(f.metadata().at("b.u64")));
  EXPECT_EQ(u64, (std::vector<std::uint64_t>{1, ~std::uint64_t{0}}));
  const auto& bools = std::get<std::vector<bool>>(std::get<GgufArray>(f.metadata().at("b.bool")));
  EXPECT_EQ(bools, (std::vector{true, false}));
  EXPECT_EQ(f.strings("b.string"), (std::vector<std::string_view>{"one", "", "three"}));
}

TEST(Gguf, ReadsEveryTensorType) {
  const Bytes bytes = small_gguf();
  const GgufFile f = GgufFile::parse(bytes);
  EXPECT_EQ(f.names().size(), 18U);
  // Worst error of one value against the sine that was stored, in the type's own steps.
  const std::vector<std::pair<std::string, float>> types = {
      {"F32", 0.0F},   {"F16", 1e-3F},    {"BF16", 8e-3F},   {"Q4_0", 0.15F}, {"Q4_1", 0.08F}, {"Q5_0", 0.08F},
      {"Q5_1", 0.04F}, {"Q8_0", 0.01F},   {"Q4_K", 0.1F},    {"Q5_K", 0.05F}, {"Q6_K", 0.05F}, {"Q2_K", 0.5F},
      {"Q3_K", 0.3F},  {"IQ4_NL", 0.12F}, {"IQ4_XS", 0.15F}, {"MXFP4", 0.35F}};
  for (const auto& [type, bar] : types) {
    const auto view = f.find("t." + type);
    ASSERT_TRUE(view) << type;
    EXPECT_EQ(tensor::info(view->dtype).name, type);
    EXPECT_EQ(view->shape, (std::vector<std::uint64_t>{2, 256}));
    std::vector<float> row(256);
    tensor::dequantize_row(view->dtype, view->data.subspan(view->data.size() / 2), row);
    for (std::size_t i = 0; i < row.size(); i++) {
      ASSERT_NEAR(row[i], std::sin(static_cast<float>(256 + i) * 0.7F), bar) << type << " value " << i;
    }
  }
  EXPECT_EQ(f.find("t.I8")->shape, (std::vector<std::uint64_t>{3, 1, 5}));
  EXPECT_EQ(f.find("t.I32")->data.size(), 12U);
  EXPECT_FALSE(f.find("t.none"));
}

TEST(Gguf, ReadsVersion2AndOtherAlignments) {
  for (const std::uint32_t alignment : {8U, 64U, 4096U}) {
    GgufWriter w(2, alignment);
    const std::vector<float> values = {1, 2, 3, 4, 5};
    for (const auto name : {"a", "b"}) {
      w.add_tensor(name, DType::f32, std::array<std::uint64_t, 1>{5}, std::span<const float>(values));
    }
    const Bytes bytes = w.bytes();
    const GgufFile f = GgufFile::parse(bytes);
    EXPECT_EQ(f.version(), 2U);
    const auto b = f.find("b");
    ASSERT_TRUE(b);
    EXPECT_EQ((b->data.data() - bytes.data()) % alignment, 0);
    EXPECT_EQ(std::memcmp(b->data.data(), values.data(), 20), 0);
  }
}

TEST(Gguf, OpensAFileAndNamesItInErrors) {
  const auto path = std::filesystem::path(testing::TempDir()) / "glia_gguf_test.gguf";
  GgufWriter().set("k", true).write(path);
  EXPECT_TRUE(GgufFile::open(path).boolean("k"));
  std::ofstream(path, std::ios::trunc) << "GGUX";
  try {
    GgufFile::open(path);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.detail(), "glia_gguf_test.gguf: not a GGUF file (byte 4)");
  }
  std::filesystem::remove(path);
  EXPECT_THROW(GgufFile::open(path), Error);
}

class SplitGguf : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::path(testing::TempDir()) / ("glia_split_gguf_" + std::to_string(::getpid()));
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    for (std::uint16_t i = 0; i < 3; i++) write(i, i, 3, {"t" + std::to_string(i)});
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::filesystem::path part(int i) const { return dir_ / ("m-0000" + std::to_string(i + 1) + "-of-00003.gguf"); }
  void write(int file, std::uint16_t no, std::uint16_t count, const std::vector<std::string>& names,
             std::int32_t tensors = 3) const {
    GgufWriter w;
    w.set("split.no", no).set("split.count", count).set("split.tensors.count", tensors);
    if (no == 0) w.set("general.architecture", std::string("llama"));
    for (const auto& name : names) {
      const std::vector<float> values(8, static_cast<float>(no));
      w.add_tensor(name, DType::f32, std::array<std::uint64_t, 1>{8}, std::span<const float>(values));
    }
    w.write(part(file));
  }
  std::string refusal(int i = 0) const {
    try {
      GgufFile::open(part(i));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
      return e.detail();
    }
    return "accepted";
  }
  std::filesystem::path dir_;
};

TEST_F(SplitGguf, OpensFromItsFirstPart) {
  const GgufFile f = GgufFile::open(part(0));
  EXPECT_EQ(f.names(), (std::vector<std::string>{"t0", "t1", "t2"}));
  EXPECT_EQ(tensor::values_of(*f.find("t2")), std::vector<float>(8, 2.0F));
  EXPECT_EQ(f.string("general.architecture"), "llama");
  std::uint64_t bytes = 0;
  for (int i = 0; i < 3; i++) bytes += std::filesystem::file_size(part(i));
  EXPECT_EQ(f.file_bytes(), bytes);
  f.drop_pages();
  EXPECT_GT(touch_all(f), 0U);
  write(0, 0, 3, {}, 2);  // a first part of metadata alone
  EXPECT_EQ(GgufFile::open(part(0)).names().size(), 2U);
}

TEST_F(SplitGguf, WhatDoesNotFitTogetherIsRefused) {
  EXPECT_EQ(refusal(1), "m-00002-of-00003.gguf: it is not the first part of its model: open that one");
  write(2, 1, 3, {"t2"});
  EXPECT_EQ(refusal(), "m-00003-of-00003.gguf: it is not part 3 of 3");
  write(2, 2, 4, {"t2"});
  EXPECT_EQ(refusal(), "m-00003-of-00003.gguf: it is not part 3 of 3");
  write(2, 2, 3, {"t1"});
  EXPECT_EQ(refusal(), "m-00003-of-00003.gguf: tensor \"t1\" is in another part too");
  write(2, 2, 3, {"t2", "t3"});
  EXPECT_EQ(refusal(), "m-00001-of-00003.gguf: split.tensors.count is 3, the parts hold 4");
  std::filesystem::remove(part(2));
  EXPECT_EQ(refusal(), "cannot open m-00003-of-00003.gguf");
  write(0, 0, 4, {"t0"});
  EXPECT_EQ(refusal(), "m-00001-of-00003.gguf: the first of 4 parts must be named ...-00001-of-00004.gguf");
  write(0, 0, 65535, {"t0"});
  EXPECT_EQ(refusal(), "m-00001-of-00003.gguf: it claims 65535 parts");
}

TEST(Gguf, GettersSayWhatIsWrong) {
  const Bytes bytes = small_gguf();
  const GgufFile f = GgufFile::parse(bytes);
  const auto said = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& e) {
      return e.detail();
    }
    return std::string("nothing");
  };
  EXPECT_EQ(said([&] { f.string("none"); }), "metadata key \"none\" is missing");
  EXPECT_EQ(said([&] { f.string("a.u8"); }), "metadata key \"a.u8\" is not a string");
  EXPECT_EQ(said([&] { f.uint("a.i8"); }), "metadata key \"a.i8\" is negative");
  EXPECT_EQ(said([&] { f.uint("a.f32"); }), "metadata key \"a.f32\" is not an integer");
  EXPECT_EQ(said([&] { f.number("a.bool"); }), "metadata key \"a.bool\" is not a number");
  EXPECT_EQ(said([&] { f.boolean("a.u8"); }), "metadata key \"a.u8\" is not a boolean");
  EXPECT_EQ(said([&] { f.strings("a.u8"); }), "metadata key \"a.u8\" is not an array");
  EXPECT_EQ(said([&] { f.strings("b.u8"); }), "metadata key \"b.u8\" is not an array of strings");
  EXPECT_EQ(said([&] { f.numbers("b.bool"); }), "metadata key \"b.bool\" is not an array of numbers");
  EXPECT_FALSE(f.find_string("none") || f.find_uint("none") || f.find_number("none") || f.find_boolean("none"));
}

TEST(GgufHostile, Header) {
  EXPECT_REFUSED(Bytes(3), "not a GGUF file");
  EXPECT_REFUSED(Raw().header(0, 0, 1).bytes, "version 1 is not supported");
  EXPECT_REFUSED(Raw().header(0, 0, 0x03000000).bytes, "big-endian");
  EXPECT_REFUSED(Raw().header(~std::uint64_t{0}, 0).bytes, "claims 18446744073709551615 tensors");
  EXPECT_REFUSED(Raw().header(0, ~std::uint64_t{0}).bytes, "claims 18446744073709551615 metadata keys");
  EXPECT_REFUSED(Raw().header(1U << 20, 0).bytes, "cut short");
  EXPECT_EQ(refusal(Raw().header(0, 0).bytes), "accepted");
}

TEST(GgufHostile, Metadata) {
  EXPECT_REFUSED(Raw().header(0, 1).put(~std::uint64_t{0}).bytes, "a metadata key is cut short");
  EXPECT_REFUSED(Raw().header(0, 1).text("").bytes, "a metadata key is empty");
  EXPECT_REFUSED(Raw().header(0, 1).text(std::string(70000, 'k')).bytes, "a metadata key is too long");
  EXPECT_REFUSED(Raw().header(0, 1).text("k").put(13U).bytes, "\"k\" has the unknown type 13");
  EXPECT_REFUSED(Raw().header(0, 1).text("k\n\x80").put(13U).bytes, "\"k??\" has");
  EXPECT_REFUSED(Raw().header(0, 1).text("k").type(GgufType::boolean).put(std::uint8_t{2}).bytes, "neither 0 nor 1");
  const auto key = [](std::string_view name) { return Raw().header(0, 2).text(name).type(GgufType::u8).put('a'); };
  EXPECT_REFUSED(key("k").text("k").type(GgufType::u8).put('b').bytes, "\"k\" comes twice");
  const auto array = [](GgufType t, std::uint64_t n) {
    return Raw().header(0, 1).text("k").type(GgufType::array).type(t).put(n);
  };
  EXPECT_REFUSED(array(GgufType::array, 1).bytes, "array of arrays");
  EXPECT_REFUSED(array(static_cast<GgufType>(99), 1).bytes, "array of the unknown type 99");
  for (const auto t : {GgufType::u8, GgufType::f64, GgufType::string, GgufType::boolean}) {
    EXPECT_REFUSED(array(t, ~std::uint64_t{0}).bytes, "longer than the file");
    EXPECT_REFUSED(array(t, std::uint64_t{1} << 61).bytes, "longer than the file");
  }
  EXPECT_REFUSED(array(GgufType::string, 1).put(std::uint64_t{5}).put('a').bytes, "an array string is cut short");
  EXPECT_REFUSED(array(GgufType::u8, (1U << 24) + 1).data(1U << 25).bytes, "metadata arrays are too long");
}

TEST(GgufHostile, Alignment) {
  for (const std::uint32_t bad : {0U, 4U, 24U, 1U << 21, ~0U}) {
    EXPECT_REFUSED(Raw().header(0, 1).text("general.alignment").type(GgufType::u32).put(bad).bytes, "power of two");
  }
  EXPECT_REFUSED(Raw().header(0, 1).text("general.alignment").type(GgufType::i32).put(32).bytes, "power of two");
}

TEST(GgufHostile, Tensors) {
  const auto one = [](std::initializer_list<std::uint64_t> dims, std::uint32_t type, std::uint64_t offset) {
    return Raw().header(1, 0).tensor("t", dims, type, offset).data(64).bytes;
  };
  EXPECT_EQ(refusal(one({16}, 0, 0)), "accepted");
  EXPECT_EQ(refusal(one({}, 0, 0)), "accepted");
  EXPECT_REFUSED(one({17}, 0, 0), "reaches beyond the end");
  EXPECT_REFUSED(one({16}, 0, 32), "reaches beyond the end");
  EXPECT_REFUSED(one({16}, 0, ~std::uint64_t{31}), "reaches beyond the end");
  EXPECT_REFUSED(one({16}, 0, 4), "not aligned");
  EXPECT_REFUSED(one({0}, 0, 0), "dimension of 0");
  EXPECT_REFUSED(one({1, 1, 1, 1, 1}, 0, 0), "has 5 dimensions");
  EXPECT_REFUSED(one({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, 0, 0), "impossibly large");
  EXPECT_REFUSED(one({std::uint64_t{1} << 63}, 0, 0), "impossibly large");
  EXPECT_REFUSED(one({16}, 2, 0), "rows of 16 values, not a multiple of 32 as Q4_0 needs");
  EXPECT_REFUSED(one({256}, 16, 0), "has type IQ2_XXS, which is not supported");
  EXPECT_REFUSED(one({256}, 19, 0), "has type IQ1_S, which");
  EXPECT_REFUSED(one({256}, 21, 0), "has type IQ3_S, which");
  EXPECT_REFUSED(one({256}, 35, 0), "has type TQ2_0, which");
  EXPECT_REFUSED(one({16}, 4, 0), "has type type 4");
  EXPECT_REFUSED(Raw().header(1, 0).tensor("t", {1}, 0, 0).bytes, "data is missing");
  EXPECT_REFUSED(Raw().header(2, 0).tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).data(64).bytes, "comes twice");
  EXPECT_REFUSED(Raw().header(2, 0).tensor("t", {9}, 0, 0).tensor("u", {8}, 0, 32).data(64).bytes, "overlaps");
}

}  // namespace
}  // namespace glia::formats
