#include "formats/fixtures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "formats/byte_reader.h"
#include "formats/gguf_writer.h"
#include "formats/hf_quantisation.h"
#include "formats/json_text.h"
#include "formats/safetensors.h"

namespace glia::formats {
namespace {

using Scalar = GgufWriter::Scalar;
using tensor::DType;

template <typename T>
void add_array(GgufWriter& out, std::string_view key, T first, T second) {
  out.set_array(key, std::array{Scalar{first}, Scalar{second}});
}

std::vector<std::byte> counting_bytes(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; i++) out[i] = static_cast<std::byte>(i % 251);
  return out;
}

}  // namespace

std::vector<std::byte> small_gguf() {
  GgufWriter out;
  out.set("general.architecture", std::string("llama")).set("general.name", std::string("small"));
  out.set("a.u8", std::uint8_t{200}).set("a.i8", std::int8_t{-100});
  out.set("a.u16", std::uint16_t{60000}).set("a.i16", std::int16_t{-30000});
  out.set("a.u32", std::uint32_t{4000000000}).set("a.i32", std::int32_t{-2000000000});
  out.set("a.u64", std::uint64_t{1} << 63).set("a.i64", -(std::int64_t{1} << 62));
  out.set("a.f32", 0.5F).set("a.f64", 0.1).set("a.bool", true).set("a.string", std::string("h\xC3\xA9"));
  add_array(out, "b.u8", std::uint8_t{1}, std::uint8_t{255});
  add_array(out, "b.i8", std::int8_t{-1}, std::int8_t{127});
  add_array(out, "b.u16", std::uint16_t{1}, std::uint16_t{65535});
  add_array(out, "b.i16", std::int16_t{-1}, std::int16_t{32767});
  add_array(out, "b.u32", std::uint32_t{1}, std::uint32_t{4294967295U});
  add_array(out, "b.i32", std::int32_t{-1}, std::int32_t{2147483647});
  add_array(out, "b.u64", std::uint64_t{1}, ~std::uint64_t{0});
  add_array(out, "b.i64", std::int64_t{-1}, std::int64_t{1});
  add_array(out, "b.f32", -0.5F, 0.25F);
  add_array(out, "b.f64", -0.1, 0.2);
  add_array(out, "b.bool", true, false);
  out.set_strings("b.string", std::array{std::string("one"), std::string(), std::string("three")});

  std::vector<float> values(512);
  for (std::size_t i = 0; i < values.size(); i++) values[i] = std::sin(static_cast<float>(i) * 0.7F);
  const std::array<std::uint64_t, 2> shape{2, 256};
  for (const auto type :
       {DType::f32, DType::f16, DType::bf16, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0,
        DType::q4_k, DType::q5_k, DType::q6_k, DType::q2_k, DType::q3_k, DType::iq4_nl, DType::iq4_xs, DType::mxfp4}) {
    out.add_tensor("t." + std::string(tensor::info(type).name), type, shape, std::span<const float>(values));
  }
  const std::array<std::uint64_t, 3> odd{3, 1, 5};
  out.add_tensor("t.I8", DType::i8, odd, std::span<const std::byte>(counting_bytes(15)));
  out.add_tensor("t.I32", DType::i32, std::array<std::uint64_t, 1>{3}, std::span<const std::byte>(counting_bytes(12)));
  return out.bytes();
}

std::vector<std::byte> safetensors_bytes(std::string_view header, std::span<const std::byte> data) {
  const std::uint64_t length = header.size();
  std::vector<std::byte> out(sizeof(length) + header.size() + data.size());
  std::memcpy(out.data(), &length, sizeof(length));
  std::memcpy(out.data() + sizeof(length), header.data(), header.size());
  std::copy(data.begin(), data.end(), out.end() - static_cast<std::ptrdiff_t>(data.size()));
  return out;
}

std::vector<std::byte> small_safetensors() {
  constexpr std::string_view kHeader = R"({"__metadata__":{"format":"pt"},)"
                                       R"("w.f32":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                                       R"("w.scalar":{"dtype":"F32","shape":[],"data_offsets":[24,28]},)"
                                       R"("w.bf16":{"dtype":"BF16","shape":[4,1,2],"data_offsets":[28,44]},)"
                                       R"("w.f16":{"dtype":"F16","shape":[6],"data_offsets":[44,56]},)"
                                       R"("w.i32":{"dtype":"I32","shape":[3],"data_offsets":[56,68]},)"
                                       R"("w.i8":{"dtype":"I8","shape":[5],"data_offsets":[68,73]}})";
  return safetensors_bytes(kHeader, counting_bytes(73));
}

std::vector<std::byte> folder_bytes(std::string_view config, std::span<const std::byte> safetensors) {
  const auto length = static_cast<std::uint32_t>(config.size());
  std::vector<std::byte> out(sizeof(length) + config.size());
  std::memcpy(out.data(), &length, sizeof(length));
  std::memcpy(out.data() + sizeof(length), config.data(), config.size());
  out.insert(out.end(), safetensors.begin(), safetensors.end());
  return out;
}

std::vector<std::byte> small_quantised(std::string_view method) {
  std::string config;
  std::string header;
  std::vector<std::byte> data;
  if (method == "awq") {
    config = R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"})";
    header = R"({"x.qweight":{"dtype":"I32","shape":[64,2],"data_offsets":[0,512]},)"
             R"("x.qzeros":{"dtype":"I32","shape":[2,2],"data_offsets":[512,528]},)"
             R"("x.scales":{"dtype":"F16","shape":[2,16],"data_offsets":[528,592]}})";
    data = counting_bytes(592);
  } else if (method == "gptq" || method == "act_order") {
    config = R"({"quant_method":"gptq","bits":4,"group_size":32,"desc_act":true})";
    header = R"({"x.g_idx":{"dtype":"I32","shape":[64],"data_offsets":[0,256]},)"
             R"("x.qweight":{"dtype":"I32","shape":[8,16],"data_offsets":[256,768]},)"
             R"("x.qzeros":{"dtype":"I32","shape":[2,2],"data_offsets":[768,784]},)"
             R"("x.scales":{"dtype":"F16","shape":[2,16],"data_offsets":[784,848]}})";
    data = counting_bytes(848);
    for (std::size_t k = 0; k < 64; k++) {
      const auto group = static_cast<std::int32_t>(method == "gptq" ? k / 32 : k % 2);
      std::memcpy(data.data() + 4 * k, &group, sizeof(group));
    }
  } else if (method == "fp8") {
    config = R"({"quant_method":"fp8","weight_block_size":[128,128]})";
    header = R"({"x.weight":{"dtype":"F8_E4M3","shape":[6,160],"data_offsets":[0,960]},)"
             R"("x.weight_scale_inv":{"dtype":"F32","shape":[1,2],"data_offsets":[960,968]}})";
    data = counting_bytes(968);
  } else {
    config = R"({"quant_method":"mxfp4"})";
    header = R"({"x_blocks":{"dtype":"U8","shape":[2,3,2,16],"data_offsets":[0,192]},)"
             R"("x_scales":{"dtype":"U8","shape":[2,3,2],"data_offsets":[192,204]}})";
    data = counting_bytes(204);
  }
  return folder_bytes(R"({"quantization_config":)" + config + "}", safetensors_bytes(header, data));
}

namespace {

std::size_t touch(const tensor::View& view) {
  std::size_t sum = 0;
  std::vector<std::byte> scratch;
  for (std::uint64_t r = 0; r < view.rows(); r++) {
    for (const std::byte b : tensor::read_rows(view, r, 1, scratch)) sum += std::to_integer<std::size_t>(b);
  }
  return sum;
}

}  // namespace

std::size_t touch_folder(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const auto text = in.take(in.read<std::uint32_t>("the length of config.json"), "config.json");
  const auto config = parse_json_object({reinterpret_cast<const char*>(text.data()), text.size()}, "config.json");
  const HfQuantisation quantisation = read_quantisation(config);
  const auto file = SafetensorsFile::parse(in.take(in.remaining(), "the weights"));
  Tensors tensors;
  for (auto& name : file.names()) tensors.emplace(name, *file.find(name));
  std::size_t sum = 0;
  for (const auto& [name, view] : join_quantised(quantisation, std::move(tensors)).tensors) sum += touch(view);
  return sum;
}

std::size_t touch_all(const WeightSource& source) {
  std::size_t sum = 0;
  for (const auto& name : source.names()) {
    if (const auto view = source.find(name)) sum += touch(*view);
  }
  return sum;
}

}  // namespace glia::formats
