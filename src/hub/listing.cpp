#include "hub/listing.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "hub/reference.h"

namespace glia::hub {
namespace {

constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 44;  // 16 TiB: sums of all files stay far from overflow
constexpr std::size_t kMostFiles = 100'000;

[[noreturn]] void refuse(std::string_view why) {
  throw Error(ErrorCode::model_unavailable, "the hub's list of files is not usable: " + std::string(why));
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : std::string();
}

std::uint64_t bytes_of(const json::object& object, const std::string& name) {
  const json::value* value = object.if_contains("size");
  boost::system::error_code ec;
  const auto bytes = value != nullptr ? value->to_number<std::uint64_t>(ec) : 0;
  if (value == nullptr || ec || bytes > kMostFileBytes) refuse("it gives no size of " + name);
  return bytes;
}

RemoteFile file_of(const json::value& value) {
  const json::object* sibling = value.if_object();
  if (sibling == nullptr) refuse("a file is not an object");
  RemoteFile file;
  file.name = text_of(*sibling, "rfilename");
  if (!is_safe_path(file.name)) refuse("a file's name would leave its folder");
  const json::value* pointer = sibling->if_contains("lfs");
  if (const json::object* lfs = pointer != nullptr ? pointer->if_object() : nullptr) {
    file.kind = DigestKind::sha256;
    file.blob = text_of(*lfs, "sha256");
    if (file.blob.empty()) file.blob = text_of(*lfs, "oid");
    file.bytes = bytes_of(*lfs, file.name);
  } else {
    file.blob = text_of(*sibling, "blobId");
    file.bytes = bytes_of(*sibling, file.name);
  }
  if (!is_hex(file.blob, file.kind == DigestKind::sha256 ? 64 : 40)) refuse("it gives no digest of " + file.name);
  return file;
}

}  // namespace

Listing parse_listing(std::string_view text) {
  json::value root;
  try {
    root = parse_json(text);
  } catch (const Error& error) {
    refuse(error.detail());
  }
  const json::object* info = root.if_object();
  if (info == nullptr) refuse("it is not an object");
  Listing listing;
  listing.commit = text_of(*info, "sha");
  if (!is_commit(listing.commit)) refuse("it names no commit");
  const json::value* siblings = info->if_contains("siblings");
  const json::array* files = siblings != nullptr ? siblings->if_array() : nullptr;
  if (files == nullptr) refuse("it has no files");
  if (files->size() > kMostFiles) refuse("it has too many files");
  std::set<std::string_view> names;
  listing.files.reserve(files->size());
  for (const auto& value : *files) {
    listing.files.push_back(file_of(value));
    if (!names.insert(listing.files.back().name).second) refuse("it names a file twice");
  }
  return listing;
}

}  // namespace glia::hub
