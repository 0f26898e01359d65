#include "formats/gguf.h"

#include <type_traits>
#include <utility>

#include "base/error.h"
#include "formats/gguf_parse.h"
#include "formats/gguf_split.h"
#include "formats/quote_name.h"

namespace glia::formats {
namespace {

[[noreturn]] void wrong(std::string_view key, std::string_view what) {
  throw Error(ErrorCode::model_unavailable, "metadata key " + quote_name(key) + " " + std::string(what));
}

template <typename T>
T required(std::optional<T> value, std::string_view key) {
  if (!value) wrong(key, "is missing");
  return *std::move(value);
}

const GgufArray& array(const GgufValue* value, std::string_view key) {
  if (value == nullptr) wrong(key, "is missing");
  const auto* found = std::get_if<GgufArray>(value);
  if (found == nullptr) wrong(key, "is not an array");
  return *found;
}

}  // namespace

struct GgufFile::Impl {
  std::vector<MappedFile> files;  ///< none over bytes of the caller
  std::uint64_t bytes = 0;
  GgufContents contents;  ///< of the first part, with the tensors of all

  const GgufValue* lookup(std::string_view key) const {
    const auto it = contents.metadata.find(key);
    return it == contents.metadata.end() ? nullptr : &it->second;
  }
};

GgufFile::GgufFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

GgufFile GgufFile::open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  impl->contents = open_gguf_parts(path, impl->files);
  for (const MappedFile& file : impl->files) impl->bytes += file.bytes().size();
  return GgufFile(std::move(impl));
}

GgufFile GgufFile::parse(std::span<const std::byte> bytes) {
  auto impl = std::make_unique<Impl>();
  impl->bytes = bytes.size();
  impl->contents = parse_gguf(bytes);
  return GgufFile(std::move(impl));
}

std::uint32_t GgufFile::version() const { return impl_->contents.version; }

const std::map<std::string, GgufValue, std::less<>>& GgufFile::metadata() const { return impl_->contents.metadata; }

bool GgufFile::has(std::string_view key) const { return impl_->lookup(key) != nullptr; }

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  const auto* value = impl_->lookup(key);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string_view>(value);
  if (text == nullptr) wrong(key, "is not a string");
  return *text;
}

std::optional<std::uint64_t> GgufFile::find_uint(std::string_view key) const {
  const auto* value = impl_->lookup(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* u = std::get_if<std::uint64_t>(value)) return *u;
  const auto* i = std::get_if<std::int64_t>(value);
  if (i == nullptr) wrong(key, "is not an integer");
  if (*i < 0) wrong(key, "is negative");
  return static_cast<std::uint64_t>(*i);
}

std::optional<double> GgufFile::find_number(std::string_view key) const {
  const auto* value = impl_->lookup(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(value)) return *d;
  if (const auto* u = std::get_if<std::uint64_t>(value)) return static_cast<double>(*u);
  if (const auto* i = std::get_if<std::int64_t>(value)) return static_cast<double>(*i);
  wrong(key, "is not a number");
}

std::optional<bool> GgufFile::find_boolean(std::string_view key) const {
  const auto* value = impl_->lookup(key);
  if (value == nullptr) return std::nullopt;
  const auto* b = std::get_if<bool>(value);
  if (b == nullptr) wrong(key, "is not a boolean");
  return *b;
}

std::string_view GgufFile::string(std::string_view key) const { return required(find_string(key), key); }
std::uint64_t GgufFile::uint(std::string_view key) const { return required(find_uint(key), key); }
double GgufFile::number(std::string_view key) const { return required(find_number(key), key); }
bool GgufFile::boolean(std::string_view key) const { return required(find_boolean(key), key); }

const std::vector<std::string_view>& GgufFile::strings(std::string_view key) const {
  const auto* found = std::get_if<std::vector<std::string_view>>(&array(impl_->lookup(key), key));
  if (found == nullptr) wrong(key, "is not an array of strings");
  return *found;
}

std::vector<double> GgufFile::numbers(std::string_view key) const {
  return std::visit(
      [&](const auto& values) -> std::vector<double> {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<T, std::string_view> || std::is_same_v<T, bool>) {
          wrong(key, "is not an array of numbers");
        } else {
          std::vector<double> out;
          out.reserve(values.size());
          for (const T v : values) out.push_back(static_cast<double>(v));
          return out;
        }
      },
      array(impl_->lookup(key), key));
}

std::optional<tensor::View> GgufFile::find(std::string_view name) const {
  const auto it = impl_->contents.tensors.find(name);
  if (it == impl_->contents.tensors.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> GgufFile::names() const {
  std::vector<std::string> out;
  out.reserve(impl_->contents.tensors.size());
  for (const auto& [name, view] : impl_->contents.tensors) out.push_back(name);
  return out;
}

std::uint64_t GgufFile::file_bytes() const { return impl_->bytes; }

void GgufFile::drop_pages() const {
  for (const MappedFile& file : impl_->files) file.drop_pages();
}

}  // namespace glia::formats
