#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "base/error.h"
#include "formats/hf_quantisation.h"
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
  std::map<std::string, SafetensorsFile, std::less<>> shards;  // by file name
  HfTensors tensors;

  Tensors read_single() {
    return tensors_of(shards.emplace("model.safetensors", SafetensorsFile::open(path / "model.safetensors")).first);
  }

  Tensors read_sharded(const std::string& index_text) {
    const auto index = parse_json_object(index_text, "model.safetensors.index.json");
    const auto* weights = index.if_contains("weight_map");
    if (weights == nullptr || !weights->is_object()) refuse("model.safetensors.index.json has no weight_map");
    for (const auto& member : weights->get_object()) {
      const auto* shard = member.value().if_string();
      if (shard == nullptr) refuse("the shard of tensor " + quote_name(member.key()) + " is not a string");
      open_shard(std::string(*shard), member.key());
    }
    Tensors all;
    for (auto it = shards.begin(); it != shards.end(); ++it) {
      for (auto& [name, view] : tensors_of(it)) {
        const auto* said = weights->get_object().if_contains(name);
        if (said == nullptr || said->as_string() != it->first) {
          refuse("tensor " + quote_name(name) + " is in shard " + quote_name(it->first) + ", where " +
                 "model.safetensors.index.json does not say it is");
        }
        all.emplace(name, std::move(view));
      }
    }
    return all;
  }

 private:
  using Shard = std::map<std::string, SafetensorsFile, std::less<>>::const_iterator;

  void open_shard(const std::string& file_name, std::string_view tensor_name) {
    if (!is_plain_name(file_name)) refuse("shard name " + quote_name(file_name) + " is not a plain file name");
    auto it = shards.find(file_name);
    if (it == shards.end()) {
      if (shards.size() == kMostShards) refuse("model.safetensors.index.json names too many shards");
      it = shards.emplace(file_name, SafetensorsFile::open(path / file_name)).first;
    }
    if (!it->second.find(tensor_name)) {
      refuse("tensor " + quote_name(tensor_name) + " is not in its shard " + quote_name(file_name));
    }
  }

  static Tensors tensors_of(Shard shard) {
    Tensors out;
    for (auto& name : shard->second.names()) out.emplace(name, *shard->second.find(name));
    return out;
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
  const HfQuantisation quantisation = read_quantisation(impl->config);
  // As transformers: the single file wins where both exist.
  std::error_code ec;
  if (fs::exists(folder / "model.safetensors", ec)) {
    impl->tensors = join_quantised(quantisation, impl->read_single());
  } else if (const auto index = read_text(folder / "model.safetensors.index.json", kMostIndexBytes)) {
    impl->tensors = join_quantised(quantisation, impl->read_sharded(*index));
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

std::optional<std::string> HfFolder::text_file_of(std::string_view folder, std::string_view name) const {
  return read_text(inside(folder, name), kMostTextBytes);
}

std::filesystem::path HfFolder::inside(std::string_view folder, std::string_view name) const {
  for (const std::string_view part : {folder, name}) {
    if (!is_plain_name(part)) refuse(quote_name(part) + " is not a plain name");
  }
  return impl_->path / folder / name;
}

std::optional<tensor::View> HfFolder::find(std::string_view name) const {
  const auto it = impl_->tensors.tensors.find(name);
  if (it == impl_->tensors.tensors.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> HfFolder::names() const {
  std::vector<std::string> out;
  out.reserve(impl_->tensors.tensors.size());
  for (const auto& [name, view] : impl_->tensors.tensors) {
    if (!impl_->tensors.unlisted.contains(name)) out.push_back(name);
  }
  return out;
}

void HfFolder::drop_pages() const {
  for (const auto& [name, shard] : impl_->shards) shard.drop_pages();
}

}  // namespace glia::formats
