// Where models come from: the disk in the program, a fake in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/packed_cache.h"
#include "kernels/device.h"
#include "models/encoder_model.h"
#include "models/language_model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace glia::engine {

/// Turns the tokens of one answer into text, whole characters only (text::StreamDecoder).
class PieceDecoder {
 public:
  virtual ~PieceDecoder() = default;
  virtual std::string push(std::int32_t id) = 0;
  virtual std::string finish() = 0;
};

/// One model in memory: either generates or encodes. Members die in reverse order: the device outlives what lies on it.
struct LoadedModel {
  std::string name;
  std::unique_ptr<kernels::Device> device;       ///< its own, so that loading never waits for a running batch
  std::unique_ptr<models::LanguageModel> model;  ///< or null:
  std::unique_ptr<models::EncoderModel> encoder;
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat_template;  ///< null when the weights carry none
  std::vector<std::int32_t> end_tokens;
  std::function<std::unique_ptr<PieceDecoder>()> make_decoder;  ///< called from any thread
  std::unique_ptr<PackedWriter> keeper;  ///< writes packed weights to disk; null when there is nothing to write
};

/// Which version of the file or folder is on disk; differs after it was replaced.
struct FileStamp {
  std::uint64_t bytes = 0;   ///< size, for a folder of all files in it
  std::uint64_t digest = 0;  ///< over names, sizes and modification times
  bool operator==(const FileStamp&) const = default;
};

/// What load() will need.
struct MemoryNeeds {
  models::MemoryEstimate model;
  std::size_t text_bytes = 0;     ///< tokenizer and chat template
  std::size_t loading_bytes = 0;  ///< while it loads, beside weights and text: pages of the file, what parsing makes
};

/// Thread rule: any thread; load() of different paths may run at the same time.
class ModelLoader {
 public:
  virtual ~ModelLoader() = default;
  /// Nothing when there is no such file or folder.
  virtual std::optional<FileStamp> stamp(const std::filesystem::path& path) = 0;
  /// From the headers alone. Errors: model_unavailable.
  virtual MemoryNeeds estimate(const std::filesystem::path& path) = 0;
  /// Errors: model_unavailable.
  virtual LoadedModel load(const std::filesystem::path& path) = 0;
  virtual std::string_view device_name() const = 0;
};

/// GGUF files and Hugging Face folders on CPU devices, each model on one of its own. Errors: as
/// kernels::make_cpu_device.
std::unique_ptr<ModelLoader> make_disk_loader(const kernels::CpuOptions& device, const PackedCacheOptions& cache = {});

/// "SmolLM2-135M-Instruct" for …/SmolLM2-135M-Instruct.Q4_1.gguf: the file's stem without the quantisation, unless that
/// says nothing ("model", "ggml-model") and the weights have a name of their own.
std::string model_name(const std::filesystem::path& path, std::optional<std::string_view> own_name);

/// An engine over any loader.
std::unique_ptr<Engine> make_engine(const EngineOptions& options, const Clock& clock,
                                    std::unique_ptr<ModelLoader> loader);

}  // namespace glia::engine
