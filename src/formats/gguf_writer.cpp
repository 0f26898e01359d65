#include "formats/gguf_writer.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "formats/gguf_types.h"

namespace glia::formats {
namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
void put(Bytes& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

void put_string(Bytes& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_type(Bytes& out, GgufType type) { put(out, static_cast<std::uint32_t>(type)); }

template <typename T>
constexpr GgufType type_of() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return GgufType::u8;
  if constexpr (std::is_same_v<T, std::int8_t>) return GgufType::i8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return GgufType::u16;
  if constexpr (std::is_same_v<T, std::int16_t>) return GgufType::i16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::u32;
  if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::i32;
  if constexpr (std::is_same_v<T, float>) return GgufType::f32;
  if constexpr (std::is_same_v<T, bool>) return GgufType::boolean;
  if constexpr (std::is_same_v<T, std::string>) return GgufType::string;
  if constexpr (std::is_same_v<T, std::uint64_t>) return GgufType::u64;
  if constexpr (std::is_same_v<T, std::int64_t>) return GgufType::i64;
  if constexpr (std::is_same_v<T, double>) return GgufType::f64;
}

GgufType type_of(const GgufWriter::Scalar& value) {
  return std::visit([](const auto& v) { return type_of<std::decay_t<decltype(v)>>(); }, value);
}

void put_value(Bytes& out, const GgufWriter::Scalar& value) {
  std::visit(
      [&](const auto& v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
          put_string(out, v);
        } else {
          put(out, v);
        }
      },
      value);
}

void pad(Bytes& out, std::size_t alignment) { out.resize((out.size() + alignment - 1) / alignment * alignment); }

[[noreturn]] void misuse(const std::string& what) { throw Error(ErrorCode::internal, "GgufWriter: " + what); }

std::uint64_t product(std::span<const std::uint64_t> shape) {
  std::uint64_t n = 1;
  for (const auto d : shape) n *= d;
  return n;
}

}  // namespace

GgufWriter::GgufWriter(std::uint32_t version, std::uint32_t alignment) : version_(version), alignment_(alignment) {
  if (alignment_ != kGgufDefaultAlignment) set("general.alignment", alignment_);
}

void GgufWriter::begin_key(std::string_view key) {
  if (std::find(keys_.begin(), keys_.end(), key) != keys_.end()) misuse("key given twice: " + std::string(key));
  keys_.emplace_back(key);
  put_string(metadata_, key);
}

GgufWriter& GgufWriter::set(std::string_view key, const Scalar& value) {
  begin_key(key);
  put_type(metadata_, type_of(value));
  put_value(metadata_, value);
  return *this;
}

GgufWriter& GgufWriter::set_array(std::string_view key, std::span<const Scalar> values) {
  if (values.empty()) misuse("empty array: " + std::string(key));
  begin_key(key);
  put_type(metadata_, GgufType::array);
  put_type(metadata_, type_of(values.front()));
  put(metadata_, static_cast<std::uint64_t>(values.size()));
  for (const Scalar& value : values) {
    if (value.index() != values.front().index()) misuse("mixed array: " + std::string(key));
    put_value(metadata_, value);
  }
  return *this;
}

GgufWriter& GgufWriter::set_strings(std::string_view key, std::span<const std::string> values) {
  begin_key(key);
  put_type(metadata_, GgufType::array);
  put_type(metadata_, GgufType::string);
  put(metadata_, static_cast<std::uint64_t>(values.size()));
  for (const auto& value : values) put_string(metadata_, value);
  return *this;
}

GgufWriter& GgufWriter::add_tensor(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape,
                                   std::span<const std::byte> data) {
  const std::uint64_t cols = shape.empty() ? 1 : shape.back();
  if (cols == 0 || data.size() != product(shape) / cols * tensor::row_bytes(dtype, cols)) {
    misuse("bytes do not fit the shape of " + std::string(name));
  }
  tensors_.push_back({std::string(name), dtype, {shape.begin(), shape.end()}, {data.begin(), data.end()}});
  return *this;
}

GgufWriter& GgufWriter::add_tensor(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape,
                                   std::span<const float> values) {
  if (values.empty() || values.size() != product(shape)) misuse("values do not fit the shape of " + std::string(name));
  const std::size_t cols = shape.empty() ? 1 : static_cast<std::size_t>(shape.back());
  const std::size_t stride = static_cast<std::size_t>(tensor::row_bytes(dtype, cols));
  Bytes data(values.size() / cols * stride);
  for (std::size_t row = 0; row < values.size() / cols; row++) {
    tensor::quantize_row(dtype, values.subspan(row * cols, cols), std::span(data).subspan(row * stride, stride));
  }
  return add_tensor(name, dtype, shape, std::span<const std::byte>(data));
}

std::vector<std::byte> GgufWriter::bytes() const {
  Bytes out;
  put(out, kGgufMagic);
  put(out, version_);
  put(out, static_cast<std::uint64_t>(tensors_.size()));
  put(out, static_cast<std::uint64_t>(keys_.size()));
  out.insert(out.end(), metadata_.begin(), metadata_.end());
  std::uint64_t offset = 0;
  for (const Tensor& t : tensors_) {
    put_string(out, t.name);
    put(out, static_cast<std::uint32_t>(t.shape.size()));
    for (auto d = t.shape.rbegin(); d != t.shape.rend(); ++d) put(out, *d);
    put(out, ggml_of_dtype(t.dtype));
    put(out, offset);
    offset += (t.data.size() + alignment_ - 1) / alignment_ * alignment_;
  }
  pad(out, alignment_);
  for (const Tensor& t : tensors_) {
    out.insert(out.end(), t.data.begin(), t.data.end());
    pad(out, alignment_);
  }
  return out;
}

void GgufWriter::write(const std::filesystem::path& path) const {
  const Bytes all = bytes();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size()));
  file.close();
  if (!file) throw Error(ErrorCode::internal, "cannot write " + path.filename().string());
}

}  // namespace glia::formats
