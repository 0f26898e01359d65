#include "formats/fixtures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "formats/gguf_writer.h"

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

std::size_t touch_all(const WeightSource& source) {
  std::size_t sum = 0;
  for (const auto& name : source.names()) {
    const auto view = source.find(name);
    if (!view) continue;
    std::vector<std::byte> scratch;
    for (std::uint64_t r = 0; r < view->rows(); r++) {
      for (const std::byte b : tensor::read_rows(*view, r, 1, scratch)) sum += std::to_integer<std::size_t>(b);
    }
  }
  return sum;
}

}  // namespace glia::formats
