#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "base/error.h"
#include "formats/json_text.h"
#include "formats/quote_name.h"
#include "formats/safetensors.h"

namespace glia::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostTextBytes = std::uintmax_t{64} << 20;
constexpr std::uintmax_t kMostConfigBytes = std::uintmax_t{1} << 20;
constexpr std::uintmax_t kMostIndexBytes = std::uintmax_t{16} << 20;
constexpr std::size_t kMostShards = 4096;

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::model_unavailable, what); }

/// A file name that stays inside its folder.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

std::optional<std::string> read_text(const fs::path& path, std::uintmax_t most) {
  std::error_code ec;
  if (!fs::exists(path, ec)) return std::nullopt;
  const std::string name = path.filename().string();
  if (!fs::is_regular_file(path, ec)) refuse(name + " is not a regular file");
  const auto size = fs::file_size(path, ec);
  if (ec) refuse("cannot read " + name);
  if (size > most) refuse(name + " is larger than " + std::to_string(most) + " bytes");
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<std::size_t>(size), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file) refuse("cannot read " + name);
  return text;
}

}  // namespace

struct HfFolder::Impl {
  fs::path path;
  json::object config;
  std::map<std::string, SafetensorsFile, std::less<>> shards;      // by file name
  std::map<std::string, const SafetensorsFile*, std::less<>> map;  // tensor to shard

  void add_single() {
    const auto& file =
        shards.emplace("model.safetensors", SafetensorsFile::open(path / "model.safetensors")).first->second;
    for (auto& name : file.names()) map.emplace(std::move(name), &file);
  }

  void add_sharded(const std::string& index_text) {
    const auto index = parse_json_object(index_text, "model.safetensors.index.json");
    const auto* weights = index.if_contains("weight_map");
    if (weights == nullptr || !weights->is_object()) refuse("model.safetensors.index.json has no weight_map");
    for (const auto& member : weights->get_object()) {
      const auto* shard = member.value().if_string();
      if (shard == nullptr) refuse("the shard of tensor " + quote_name(member.key()) + " is not a string");
      const std::string file_name(*shard);
      if (!is_plain_name(file_name)) refuse("shard name " + quote_name(file_name) + " is not a plain file name");
      auto it = shards.find(file_name);
      if (it == shards.end()) {
        if (shards.size() == kMostShards) refuse("model.safetensors.index.json names too many shards");
        it = shards.emplace(file_name, SafetensorsFile::open(path / file_name)).first;
      }
      if (!it->second.find(member.key())) {
        refuse("tensor " + quote_name(member.key()) + " is not in its shard " + quote_name(file_name));
      }
      map.emplace(member.key(), &it->second);
    }
  }
};

HfFolder::HfFolder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HfFolder::HfFolder(HfFolder&&) noexcept = default;
HfFolder& HfFolder::operator=(HfFolder&&) noexcept = default;
HfFolder::~HfFolder() = default;

HfFolder HfFolder::open(const fs::path& folder) {
  auto impl = std::make_unique<Impl>();
  impl->path = folder;
  const auto config = read_text(folder / "config.json", kMostConfigBytes);
  if (!config) refuse("the folder has no config.json");
  impl->config = parse_json_object(*config, "config.json");
  // As transformers: the single file wins where both exist.
  std::error_code ec;
  if (fs::exists(folder / "model.safetensors", ec)) {
    impl->add_single();
  } else if (const auto index = read_text(folder / "model.safetensors.index.json", kMostIndexBytes)) {
    impl->add_sharded(*index);
  } else {
    refuse("the folder has neither model.safetensors nor model.safetensors.index.json");
  }
  return HfFolder(std::move(impl));
}

const json::object& HfFolder::config() const { return impl_->config; }

const fs::path& HfFolder::path() const { return impl_->path; }

std::optional<std::string> HfFolder::text_file(std::string_view name) const {
  if (!is_plain_name(name)) refuse(quote_name(name) + " is not a plain file name");
  return read_text(impl_->path / name, kMostTextBytes);
}

std::optional<tensor::View> HfFolder::find(std::string_view name) const {
  const auto it = impl_->map.find(name);
  if (it == impl_->map.end()) return std::nullopt;
  return it->second->find(name);
}

std::vector<std::string> HfFolder::names() const {
  std::vector<std::string> out;
  out.reserve(impl_->map.size());
  for (const auto& [name, shard] : impl_->map) out.push_back(name);
  return out;
}

void HfFolder::drop_pages() const {
  for (const auto& [name, shard] : impl_->shards) shard.drop_pages();
}

}  // namespace glia::formats
