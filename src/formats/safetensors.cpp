#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/byte_reader.h"
#include "formats/json_text.h"
#include "formats/quote_name.h"

namespace glia::formats {
namespace {

using tensor::DType;
using Tensors = std::map<std::string, tensor::View, std::less<>>;

constexpr std::uint64_t kMostHeaderBytes = std::uint64_t{16} << 20;  // the largest published ones are near 1 MB
constexpr std::size_t kMostDimensions = 8;

struct Named {
  std::string_view name;
  DType dtype;
};

constexpr std::array kTypes = {Named{"F32", DType::f32}, Named{"F16", DType::f16},        Named{"BF16", DType::bf16},
                               Named{"I64", DType::i64}, Named{"I32", DType::i32},        Named{"I8", DType::i8},
                               Named{"U8", DType::u8},   Named{"F8_E4M3", DType::f8_e4m3}};

struct Described {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;  // in the data section
  std::uint64_t end = 0;
};

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::model_unavailable, what); }

std::uint64_t whole_number(const json::value& value, const std::string& who) {
  if (const auto* u = value.if_uint64()) return *u;
  if (const auto* i = value.if_int64(); i != nullptr && *i >= 0) return static_cast<std::uint64_t>(*i);
  refuse(who + " is not a whole number");
}

const json::array& member_array(const json::object& object, std::string_view key, const std::string& who) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) refuse(who + " has no list " + quote_name(key));
  return value->get_array();
}

Described describe(std::string_view name, const json::value& value) {
  const std::string who = "tensor " + quote_name(name);
  if (!value.is_object()) refuse(who + " is not described by an object");
  const auto& object = value.get_object();
  Described t;
  t.name = name;

  const auto* type = object.if_contains("dtype");
  if (type == nullptr || !type->is_string()) refuse(who + " has no dtype");
  const std::string_view type_name = type->get_string();
  const auto* row = std::find_if(kTypes.begin(), kTypes.end(), [&](const Named& n) { return n.name == type_name; });
  if (row == kTypes.end()) refuse(who + " has dtype " + quote_name(type_name) + ", which is not supported");
  t.dtype = row->dtype;

  const auto& shape = member_array(object, "shape", who);
  if (shape.size() > kMostDimensions) refuse(who + " has " + std::to_string(shape.size()) + " dimensions");
  std::uint64_t bytes = tensor::info(t.dtype).bytes;
  for (const auto& dim : shape) {
    t.shape.push_back(whole_number(dim, "a dimension of " + who));
    if (t.shape.back() == 0) refuse(who + " has a dimension of 0");
    if (!checked_mul(bytes, t.shape.back(), bytes)) refuse(who + " is impossibly large");
  }

  const auto& offsets = member_array(object, "data_offsets", who);
  if (offsets.size() != 2) refuse(who + " does not have two data_offsets");
  t.begin = whole_number(offsets[0], "an offset of " + who);
  t.end = whole_number(offsets[1], "an offset of " + who);
  if (t.begin > t.end || t.end - t.begin != bytes) {
    refuse(who + " has data_offsets that do not fit its shape (" + std::to_string(bytes) + " bytes)");
  }
  return t;
}

Tensors parse_tensors(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const auto length = in.read<std::uint64_t>("the header length");
  if (length > kMostHeaderBytes) in.fail("the header claims " + std::to_string(length) + " bytes");
  const auto text = in.take(length, "the header");
  const auto data = in.take(in.remaining(), "the data");
  const json::object header =
      parse_json_object({reinterpret_cast<const char*>(text.data()), text.size()}, "the safetensors header");

  std::vector<Described> described;
  for (const auto& member : header) {
    if (member.key() != "__metadata__") described.push_back(describe(member.key(), member.value()));
  }
  std::sort(described.begin(), described.end(),
            [](const Described& a, const Described& b) { return a.begin < b.begin; });
  Tensors out;
  std::uint64_t end = 0;
  for (Described& t : described) {
    // The format's own rule: the tensors fill the data section without holes, in some order.
    if (t.begin < end) refuse("tensor " + quote_name(t.name) + " overlaps another");
    if (t.begin > end) refuse("there is a hole before tensor " + quote_name(t.name));
    if (t.end > data.size()) refuse("tensor " + quote_name(t.name) + " reaches beyond the end of the file");
    end = t.end;
    out.emplace(std::move(t.name), tensor::View{t.dtype, std::move(t.shape), data.subspan(t.begin, t.end - t.begin)});
  }
  if (end != data.size()) refuse("there are bytes behind the last tensor");
  return out;
}

}  // namespace

struct SafetensorsFile::Impl {
  std::unique_ptr<MappedFile> file;  ///< null over bytes of the caller
  Tensors tensors;
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  impl->file = std::make_unique<MappedFile>(path);
  try {
    impl->tensors = parse_tensors(impl->file->bytes());
  } catch (const Error& e) {
    throw Error(e.code(), path.filename().string() + ": " + e.detail());
  }
  return SafetensorsFile(std::move(impl));
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes) {
  auto impl = std::make_unique<Impl>();
  impl->tensors = parse_tensors(bytes);
  return SafetensorsFile(std::move(impl));
}

std::optional<tensor::View> SafetensorsFile::find(std::string_view name) const {
  const auto it = impl_->tensors.find(name);
  if (it == impl_->tensors.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> out;
  out.reserve(impl_->tensors.size());
  for (const auto& [name, view] : impl_->tensors) out.push_back(name);
  return out;
}

void SafetensorsFile::drop_pages() const {
  if (impl_->file) impl_->file->drop_pages();
}

}  // namespace glia::formats
