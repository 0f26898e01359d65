// Quantised Hugging Face folders against the reference's weights (tests/golden/make_hf_quantised.py), and what is
// refused.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <filesystem>

#include "base/error.h"
#include "formats/hf_quantisation.h"
#include "formats/json_text.h"
#include "formats/safetensors.h"

namespace glia::formats {
namespace {

namespace fs = std::filesystem;
using tensor::DType;
using tensor::View;

fs::path golden(const std::string& name) { return fs::path(GLIA_SOURCE_DIR) / "tests/golden/hf_quantised" / name; }

struct Case {
  std::string folder;
  DType type;
  std::string weight = "x.weight";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.folder; }

const std::vector<Case> kCases = {
    {"awq_g128", DType::int4_g128},
    {"awq_g32", DType::int4_g32},
    {"awq_g64", DType::int4_g32},
    {"gptq_v1", DType::int4_g128},
    {"gptq_v2", DType::int4_g32},
    {"gptq_whole", DType::int4_g128},
    {"gptq_act_order", DType::f16},
    {"fp8_tensor", DType::f8_g128},
    {"fp8_block", DType::f8_g128},
    {"fp8_block_uneven", DType::f8_g32},
    {"fbgemm", DType::f8_g32},
    {"compressed_channel", DType::f8_g128},
    {"compressed_tensor", DType::f8_g128},
    {"compressed_block", DType::f8_g128},
    {"mxfp4", DType::mxfp4, "x"},
};

class HfQuantised : public testing::TestWithParam<Case> {};

/// Bit for bit; act-order within half a step of float16 (hf_quantisation.h), to which a subnormal adds 2^-25.
TEST_P(HfQuantised, IsTheReferencesWeight) {
  const Case& c = GetParam();
  const HfFolder folder = HfFolder::open(golden(c.folder));
  const SafetensorsFile expected = SafetensorsFile::open(golden(c.folder) / "expected.safetensors");
  const View want = expected.find(c.weight).value();
  const View got = folder.find(c.weight).value();
  EXPECT_EQ(got.dtype, c.type);
  ASSERT_EQ(got.shape, want.shape);
  const std::vector<float> a = tensor::values_of(got);
  const std::vector<float> b = tensor::values_of(want);
  for (std::size_t i = 0; i < a.size(); i++) {
    if (c.type == DType::f16) {
      ASSERT_LE(std::fabs(a[i] - b[i]), std::fabs(b[i]) * 0x1p-11F + 0x1p-25F) << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(a[i] + 0.0F), std::bit_cast<std::uint32_t>(b[i] + 0.0F)) << i;
    }
  }
  // Any cut of rows is the same rows.
  std::vector<std::byte> all;
  std::vector<std::byte> one;
  const auto rows = tensor::read_rows(got, 0, got.rows(), all);
  const std::size_t row = rows.size() / got.rows();
  for (std::uint64_t r = 0; r < got.rows(); r++) {
    const auto bytes = tensor::read_rows(got, r, 1, one);
    ASSERT_EQ(std::memcmp(bytes.data(), rows.data() + r * row, row), 0) << r;
  }
}

TEST_P(HfQuantised, ListsWhatModelsAskForAndNothingElse) {
  const HfFolder folder = HfFolder::open(golden(GetParam().folder));
  std::vector<std::string> names = {GetParam().weight};
  if (GetParam().folder.starts_with("awq")) names.push_back("y.weight");
  if (GetParam().folder == "mxfp4") names.push_back("x_bias");
  EXPECT_EQ(folder.names(), names);
  // A bias of zeroes is no part of the model, but a model that has biases finds it.
  EXPECT_EQ(folder.find("x.bias").has_value(), GetParam().folder.starts_with("gptq"));
}

INSTANTIATE_TEST_SUITE_P(Every, HfQuantised, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.folder; });

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

void expect_has(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << "it said: " << text;
}

std::string configuration(const std::string& quantisation) {
  const auto config = parse_json_object(R"({"quantization_config":)" + quantisation + "}", "config.json");
  return said([&] { read_quantisation(config); });
}

TEST(HfQuantisation, UnknownMethodsAreRefusedByName) {
  EXPECT_EQ(configuration("null"), "accepted");
  expect_has(configuration("3"), "quantization_config is not an object");
  for (const auto* method : {"bitsandbytes", "hqq", "aqlm", "quanto", "eetq", ""}) {
    expect_has(configuration(R"({"quant_method":")" + std::string(method) + "\"}"),
               "weights quantised with \"" + std::string(method) + "\" are not supported (awq, gptq");
  }
  expect_has(configuration(R"({"quant_method":7})"), "\"quant_method\" is not a string");
  expect_has(configuration(R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemv"})"),
             "version \"gemv\" are not supported");
  expect_has(configuration(R"({"quant_method":"awq","bits":4,"group_size":128,"zero_point":false})"), "zero points");
  expect_has(configuration(R"({"quant_method":"gptq","bits":8,"group_size":128})"), "\"bits\" is 8; 4 is supported");
  expect_has(configuration(R"({"quant_method":"gptq","group_size":128})"), "\"bits\" is missing");
  expect_has(configuration(R"({"quant_method":"gptq","bits":4,"group_size":128,"checkpoint_format":"marlin"})"),
             "format \"marlin\" are not supported");
  const auto compressed = [](const std::string& rest) {
    return configuration(R"({"quant_method":"compressed-tensors",)" + rest + "}");
  };
  expect_has(compressed(R"("format":"pack-quantized")"), "format \"pack-quantized\" are not supported");
  expect_has(compressed(R"("format":"float-quantized")"), "\"config_groups\" is not one group");
  expect_has(compressed(R"("format":"float-quantized","config_groups":{"a":{}})"), "has no weights");
  expect_has(compressed(R"("format":"float-quantized","config_groups":{"a":{"weights":{"type":"int","num_bits":8}}})"),
             "type \"int\" are not supported");
  expect_has(compressed(R"("format":"float-quantized","config_groups":{"a":{"weights":{"type":"float","num_bits":8,)"
                        R"("strategy":"token"}}})"),
             "strategy \"token\"");
}

TEST(HfQuantisation, AbsurdSizesAreRefused) {
  for (const auto* size : {"0", "-2", "7", "48", "4611686018427387904", "1e3", "\"128\"", "null"}) {
    const std::string text =
        configuration(R"({"quant_method":"gptq","bits":4,"group_size":)" + std::string(size) + "}");
    expect_has(text, "\"group_size\" is");
  }
  for (const auto* block : {"[128]", "[0,128]", "[128,-1]", "[1.5,128]", "3", "[9223372036854775807,128]"}) {
    const std::string text = configuration(R"({"quant_method":"fp8","weight_block_size":)" + std::string(block) + "}");
    expect_has(text, "is not a block's two sizes");
  }
}

/// Tensors of zeroes, by name.
class HostileTensors : public testing::Test {
 protected:
  Tensors tensors_;

  void put(const std::string& name, DType type, std::vector<std::uint64_t> shape) {
    std::uint64_t bytes = tensor::info(type).bytes;
    for (const auto d : shape) bytes *= d;
    storage_.push_back(std::vector<std::byte>(bytes));
    tensors_.insert_or_assign(name, View(type, std::move(shape), storage_.back()));
  }
  void put_gptq() {
    put("x.qweight", DType::i32, {16, 24});
    put("x.qzeros", DType::i32, {4, 3});
    put("x.scales", DType::f16, {4, 24});
    put("x.g_idx", DType::i32, {128});
  }
  void set_group(std::uint64_t column, std::int32_t group) {
    std::memcpy(storage_.back().data() + 4 * column, &group, 4);
  }
  std::string join(const HfQuantisation& q) const {
    return said([&] {
      for (const auto& [name, view] : join_quantised(q, tensors_).tensors) tensor::values_of(view);
    });
  }
  std::string gptq() const {
    return join({.method = HfQuantisation::Method::gptq, .group_size = 32, .stored_less_one = true});
  }
  std::string f8(std::uint64_t block = 0) const {
    return join({.method = HfQuantisation::Method::f8, .block_rows = block, .block_cols = block});
  }

 private:
  std::deque<std::vector<std::byte>> storage_;
};

TEST_F(HostileTensors, Int4) {
  put_gptq();
  EXPECT_EQ(gptq(), "accepted");
  set_group(127, 3);
  EXPECT_EQ(gptq(), "accepted");
  set_group(127, 4);
  expect_has(gptq(), "tensor \"x.qweight\": its g_idx names a group that is not there");
  set_group(127, -1);
  expect_has(gptq(), "its g_idx names a group that is not there");
  put("x.g_idx", DType::i32, {127});
  expect_has(gptq(), "its g_idx is not 128 int32");
  put("x.g_idx", DType::i64, {128});
  expect_has(gptq(), "its g_idx is not 128 int32");
  put_gptq();
  put("x.qzeros", DType::i32, {3, 3});
  expect_has(gptq(), "its qzeros do not have the shape [4, 3]");
  put_gptq();
  put("x.scales", DType::f16, {4, 23});
  expect_has(gptq(), "its scales do not have the shape [4, 24]");
  put("x.scales", DType::i32, {4, 24});
  expect_has(gptq(), "its scales are not floats");
  put_gptq();
  put("x.qweight", DType::i32, {17, 24});
  expect_has(gptq(), "do not go into groups of 32");
  put("x.qweight", DType::i32, {16, 3, 8});
  expect_has(gptq(), "is not a matrix of int32");
  put("x.qweight", DType::f32, {16, 24});
  expect_has(gptq(), "is not a matrix of int32");
  put_gptq();
  tensors_.erase("x.scales");
  expect_has(gptq(), "tensor \"x.scales\" is missing, which \"x.qweight\" needs");
  put_gptq();
  put("x.weight", DType::f16, {24, 128});
  expect_has(gptq(), "tensor \"x.weight\" is there quantised and not quantised");
}

TEST_F(HostileTensors, Awq) {
  const HfQuantisation q{.method = HfQuantisation::Method::awq, .group_size = 64};
  put("x.qweight", DType::i32, {128, 3});
  put("x.qzeros", DType::i32, {2, 3});
  put("x.scales", DType::f16, {2, 24});
  EXPECT_EQ(join(q), "accepted");
  expect_has(join({.method = q.method, .group_size = 96}), "do not go into groups of 96");
  expect_has(join({.method = q.method, .group_size = 1 << 30}), "do not go into groups of 1073741824");
  put("x.qweight", DType::i32, {3, 128});
  expect_has(join({.method = q.method, .group_size = 0}), "do not go into groups of 3");
}

TEST_F(HostileTensors, F8) {
  put("x.weight", DType::f8_e4m3, {20, 128});
  expect_has(f8(), "tensor \"x.weight_scale\" is missing");
  expect_has(join({}), "tensor \"x.weight\" holds FP8 without a scale");
  put("x.weight_scale", DType::f32, {});
  EXPECT_EQ(f8(), "accepted");
  put("x.weight_scale", DType::f32, {20, 2});
  expect_has(f8(), "its scales are neither one nor one per row");
  put("x.weight_scale", DType::f32, {19});
  expect_has(f8(), "its scales are neither one nor one per row");
  put("x.weight_scale", DType::u8, {20});
  expect_has(f8(), "its scales are not floats");
  put("x.weight_scale_inv", DType::f32, {1, 2});
  expect_has(f8(128), "its scales do not fit blocks of 128 x 128");
  put("x.weight_scale_inv", DType::f32, {1, 1});
  EXPECT_EQ(f8(128), "accepted");
  put("x.weight_scale_inv", DType::f32, {1, 3});
  expect_has(f8(48), "in blocks of 48 are not supported");
  put("x.weight", DType::f8_e4m3, {4, 4, 32});
  expect_has(f8(), "in matrices only");
}

TEST_F(HostileTensors, Mxfp4) {
  const HfQuantisation q{.method = HfQuantisation::Method::mxfp4};
  put("x_blocks", DType::u8, {2, 3, 4, 16});
  expect_has(join(q), "tensor \"x_scales\" is missing");
  put("x_scales", DType::u8, {2, 3, 4});
  EXPECT_EQ(join(q), "accepted");
  put("x_scales", DType::u8, {2, 3, 5});
  expect_has(join(q), "its scales do not fit its blocks");
  put("x_scales", DType::i8, {2, 3, 4});
  expect_has(join(q), "are not bytes");
}

}  // namespace
}  // namespace glia::formats
