// safetensors files and Hugging Face model folders, memory-mapped and checked whole before any view of them exists:
// header length, JSON (nesting, no name twice), types F32 F16 BF16 F8_E4M3 I64 I32 I8 U8, shapes against offsets,
// offsets against the file, no overlap, no hole. Source: the safetensors format description; transformers' folder
// layout. Errors: open() and parse() throw glia::Error(model_unavailable) with what is wrong. Ownership: owns the
// mappings; views borrow from them. Thread rule: const access from any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "formats/weight_source.h"

namespace glia::formats {

class SafetensorsFile final : public WeightSource {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);
  /// The same over bytes in memory that the caller keeps alive (tests, fuzzing).
  static SafetensorsFile parse(std::span<const std::byte> bytes);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile() override;

  std::optional<tensor::View> find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  void drop_pages() const override;

 private:
  struct Impl;
  explicit SafetensorsFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// config.json plus model.safetensors, or else the shards named by model.safetensors.index.json (plain file names in
/// the same folder), each tensor in the one shard that the index says and no other. Weight bytes are mapped, not read.
/// What config.json's quantization_config stores as several tensors is one here, "X.weight" as models ask for it, whose
/// rows are made when they are read (hf_quantisation.h: AWQ, GPTQ, FP8, MXFP4).
class HfFolder final : public WeightSource {
 public:
  static HfFolder open(const std::filesystem::path& folder);
  HfFolder(HfFolder&&) noexcept;
  HfFolder& operator=(HfFolder&&) noexcept;
  ~HfFolder() override;

  const json::object& config() const;
  const std::filesystem::path& path() const;
  /// A small text file of the folder, e.g. "tokenizer.json"; nothing when it is absent. At most 64 MiB.
  std::optional<std::string> text_file(std::string_view name) const;
  /// The same of a folder inside the folder, e.g. "1_Pooling", "config.json".
  std::optional<std::string> text_file_of(std::string_view folder, std::string_view name) const;
  /// Where such a file lies, whether it is there or not. Errors: unless both are plain names.
  std::filesystem::path inside(std::string_view folder, std::string_view name) const;
  std::optional<tensor::View> find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  void drop_pages() const override;

 private:
  struct Impl;
  explicit HfFolder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::formats
