// Models from GGUF files and Hugging Face folders, each on a CPU device of its own.

#include <malloc.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "base/file_name.h"
#include "engine/loader.h"
#include "engine/model_files.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace glia::engine {
namespace {

namespace fs = std::filesystem;

class TextDecoder final : public PieceDecoder {
 public:
  explicit TextDecoder(const text::Tokenizer& tokenizer) : stream_(tokenizer) {}
  std::string push(std::int32_t id) override { return stream_.push(id); }
  std::string finish() override { return stream_.finish(); }

 private:
  text::StreamDecoder stream_;
};

// A tokenizer in memory, by the bytes of its vocabulary in the file: tables both ways, merges, a program per template.
// Guesses on the safe side: SmolLM2's whole process stays below the estimate (apps/glia/memory_test.cpp); no family was
// measured by itself. Parsing makes about as much again, twice.
constexpr std::size_t kTextPerByte = 10;
constexpr std::size_t kTextBytes = std::size_t{4} << 20;
constexpr std::size_t kParsingPerByte = 20;

std::size_t vocabulary_bytes(const formats::GgufFile& file) {
  std::size_t bytes = 0;
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    if (!file.has(key)) continue;
    for (const std::string_view word : file.strings(key)) bytes += word.size() + sizeof(std::uint64_t);
  }
  return bytes;
}

class DiskLoader final : public ModelLoader {
 public:
  DiskLoader(const kernels::CpuOptions& device, const PackedCacheOptions& cache)
      : options_(device),
        spare_(make_device()),
        device_name_(spare_->name()),
        cache_(cache, device_name_ + (device.math == kernels::MathMode::exact ? " exact" : " fast")) {}

  std::optional<FileStamp> stamp(const fs::path& path) override { return stamp_of(path); }

  MemoryNeeds estimate(const fs::path& path) override {
    MemoryNeeds needs;
    std::size_t vocabulary = 0;
    if (fs::is_directory(path)) {
      const formats::HfFolder folder = formats::HfFolder::open(path);
      needs.model = models::encodes(folder) ? models::estimate_encoder_memory(
                                                  folder, kernels::rounded_weights(options_.math, options_.activations))
                                            : models::estimate_memory(folder, options_.math, options_.kv);
      std::error_code none;
      const auto bytes = fs::file_size(path / "tokenizer.json", none);
      if (!none) vocabulary = bytes;
    } else {
      const formats::GgufFile file = formats::GgufFile::open(path);
      needs.model = models::encodes(file) ? models::estimate_encoder_memory(file)
                                          : models::estimate_memory(file, options_.math, options_.kv);
      vocabulary = vocabulary_bytes(file);
    }
    needs.text_bytes = kTextPerByte * vocabulary + kTextBytes;
    needs.loading_bytes = needs.model.mapped_bytes + kParsingPerByte * vocabulary;
    return needs;
  }

  LoadedModel load(const fs::path& path) override {
    LoadedModel loaded;
    loaded.device = take_device();
    const std::unique_ptr<PackedLoad> packed = cache_.open(path);
    loaded.device->use_store(packed.get());
    if (fs::is_directory(path)) {
      load_folder(loaded, path);
    } else {
      load_gguf(loaded, path);
    }
    loaded.device->use_store(nullptr);
    const std::int32_t vocab = loaded.encoder ? loaded.encoder->info().vocab : loaded.model->info().vocab;
    if (loaded.tokenizer->vocab_size() > vocab) {
      throw Error(ErrorCode::model_unavailable, "the tokenizer knows more tokens than the weights");
    }
    loaded.end_tokens = loaded.tokenizer->end_tokens();
    loaded.make_decoder = [tokenizer = loaded.tokenizer.get()] { return std::make_unique<TextDecoder>(*tokenizer); };
    malloc_trim(0);  // what parsing left behind
    if (packed) loaded.keeper = packed->keep_packed();
    return loaded;
  }

  std::string_view device_name() const override { return device_name_; }

 private:
  std::unique_ptr<kernels::Device> make_device() const { return kernels::make_cpu_device(options_); }

  // The device that told its name serves the first model.
  std::unique_ptr<kernels::Device> take_device() {
    const std::lock_guard lock(mutex_);
    return spare_ ? std::move(spare_) : make_device();
  }

  static void take_template(LoadedModel& loaded, std::string_view source, const std::optional<std::string>& for_tools) {
    loaded.chat_template = std::make_unique<text::ChatTemplate>(source, loaded.tokenizer->bos_text(),
                                                                loaded.tokenizer->eos_text(), for_tools.value_or(""));
  }

  static void load_gguf(LoadedModel& loaded, const fs::path& path) {
    const formats::GgufFile file = formats::GgufFile::open(path);
    loaded.name = model_name(path, file.find_string("general.name"));
    loaded.tokenizer = std::make_unique<text::Tokenizer>(text::Tokenizer::from_gguf(file));
    if (models::encodes(file)) {
      loaded.encoder = models::load_encoder(file, *loaded.device);
      file.drop_pages();
      return;
    }
    if (const auto source = text::chat_template_of(file)) {
      take_template(loaded, *source, text::tool_use_template_of(file));
    }
    loaded.model = models::load_language_model(file, *loaded.device);
    file.drop_pages();
  }

  static void load_folder(LoadedModel& loaded, const fs::path& path) {
    const formats::HfFolder folder = formats::HfFolder::open(path);
    loaded.name = model_name(path, std::nullopt);
    const auto tokenizer = folder.text_file("tokenizer.json");
    if (!tokenizer) throw Error(ErrorCode::model_unavailable, "the folder has no tokenizer.json");
    const auto config = folder.text_file("tokenizer_config.json");
    loaded.tokenizer = std::make_unique<text::Tokenizer>(
        text::Tokenizer::from_json(*tokenizer, config ? std::string_view(*config) : std::string_view{}));
    if (models::encodes(folder)) {
      loaded.encoder = models::load_encoder(folder, *loaded.device);
      folder.drop_pages();
      return;
    }
    auto source = folder.text_file("chat_template.jinja");
    std::optional<std::string> for_tools;
    if (!source && config) {
      try {
        source = text::chat_template_of(*config);
        for_tools = text::tool_use_template_of(*config);
      } catch (const Error& error) {
        throw Error(ErrorCode::model_unavailable, "tokenizer_config.json: " + error.detail());
      }
    }
    if (source) take_template(loaded, *source, for_tools);
    loaded.model = models::load_language_model(folder, *loaded.device);
    folder.drop_pages();
  }

  const kernels::CpuOptions options_;
  std::mutex mutex_;
  std::unique_ptr<kernels::Device> spare_;
  const std::string device_name_;
  PackedCache cache_;
};

// What tools call any file, or a digest.
bool says_nothing(std::string_view name) {
  const std::string upper = ascii_upper(name);
  std::string_view text = upper;
  if (text == "WEIGHTS" || text == "PYTORCH_MODEL") return true;
  if (text == "MODEL" || text == "GGML-MODEL" || text == "GGML_MODEL") return true;
  if (text.starts_with("SHA256-")) text.remove_prefix(7);
  return text.size() >= 32 && text.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
}

}  // namespace

std::string model_name(const fs::path& path, std::optional<std::string_view> own_name) {
  const auto plain = [](const fs::path& p) {
    const std::string file = p.filename().string();
    std::string name = p.extension() == ".gguf" ? p.stem().string() : file;
    const std::size_t quantisation = quantisation_start(name);
    if (quantisation != std::string::npos && quantisation > 0) name.resize(quantisation - 1);
    return says_nothing(name) ? std::string() : name;
  };
  if (std::string name = plain(path); !name.empty()) return name;
  if (own_name && !own_name->empty()) return std::string(*own_name);
  // A file in a hub cache: models--owner--name/snapshots/<revision>/…
  for (const fs::path& part : path) {
    const std::string text = part.string();
    if (const auto at = text.rfind("--"); text.starts_with("models--") && at > 6) return text.substr(at + 2);
  }
  if (std::string name = plain(path.parent_path()); !name.empty()) return name;
  return "model";
}

std::unique_ptr<ModelLoader> make_disk_loader(const kernels::CpuOptions& device, const PackedCacheOptions& cache) {
  return std::make_unique<DiskLoader>(device, cache);
}

}  // namespace glia::engine
