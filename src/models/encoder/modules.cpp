#include "models/encoder/modules.h"

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "formats/json_text.h"
#include "formats/quote_name.h"
#include "models/decoder/limits.h"

namespace glia::models::encoder {
namespace {

using decoder::dimension;
using decoder::refuse;
using formats::quote_name;
using kernels::Pooling;

constexpr std::size_t kMostModules = 16;

/// One JSON object of the folder; every field that changes the computation must be read.
class File {
 public:
  File(json::object object, std::string name) : object_(std::move(object)), name_(std::move(name)) {}

  std::string field(std::string_view key) const { return name_ + "'s " + quote_name(key); }
  const json::value* find(std::string_view key) {
    read_.emplace(key);
    const auto* value = object_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::string text(std::string_view key) {
    const auto* value = find(key);
    if (value == nullptr || !value->is_string()) refuse(field(key) + " is not a string");
    return std::string(value->get_string());
  }
  bool flag(std::string_view key, bool fallback) {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_bool()) refuse(field(key) + " is not a boolean");
    return value->get_bool();
  }
  std::int32_t size(std::string_view key, std::uint64_t most) {
    const auto* value = find(key);
    const auto* number = value == nullptr ? nullptr : value->if_int64();
    if (number == nullptr || *number < 0) refuse(field(key) + " is not a whole number");
    return dimension(static_cast<std::uint64_t>(*number), most, field(key));
  }
  /// Errors: a field that nobody read.
  void check_all_read() const {
    for (const auto& member : object_) {
      if (!read_.contains(std::string_view(member.key()))) refuse(field(member.key()) + " is not supported");
    }
  }

 private:
  json::object object_;
  std::string name_;
  std::set<std::string, std::less<>> read_;
};

File open(const formats::HfFolder& folder, const std::string& module, std::string_view name) {
  const std::string label = module.empty() ? std::string(name) : module + "/" + std::string(name);
  const auto text = module.empty() ? folder.text_file(name) : folder.text_file_of(module, name);
  if (!text) refuse("the folder has no " + quote_name(label));
  return {formats::parse_json_object(*text, label), label};
}

/// One flag per mode, or since sentence-transformers 6 their names in pooling_mode. Several modes would be
/// concatenated.
Pooling read_pooling(File file, std::int32_t hidden) {
  const bool renamed = file.find("embedding_dimension") != nullptr;
  const std::string_view dimension_key = renamed ? "embedding_dimension" : "word_embedding_dimension";
  file.find("word_embedding_dimension");
  if (file.size(dimension_key, decoder::kMostWidth) != hidden) {
    refuse(file.field(dimension_key) + " is not the model's " + std::to_string(hidden));
  }
  file.find("include_prompt");  // prompts are not added here, so there is nothing to leave out
  struct Mode {
    std::string_view flag, name;
    std::optional<Pooling> pooling;
  };
  constexpr std::array kModes = {
      Mode{"pooling_mode_cls_token", "cls", Pooling::first},
      Mode{"pooling_mode_mean_tokens", "mean", Pooling::mean},
      Mode{"pooling_mode_max_tokens", "max", Pooling::max},
      Mode{"pooling_mode_lasttoken", "lasttoken", Pooling::last},
      Mode{"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", std::nullopt},
      Mode{"pooling_mode_weightedmean_tokens", "weightedmean", std::nullopt},
  };
  const auto* named = file.find("pooling_mode");
  if (named != nullptr && !named->is_string()) refuse(file.field("pooling_mode") + " is not one mode's name");
  std::optional<Pooling> chosen;
  for (const Mode& mode : kModes) {
    const bool flagged = file.flag(mode.flag, false);
    if (named != nullptr ? std::string_view(named->get_string()) != mode.name : !flagged) continue;
    if (!mode.pooling) refuse(file.field(named != nullptr ? "pooling_mode" : mode.flag) + ": not supported");
    if (chosen) refuse(file.field(mode.flag) + " is true beside another mode, which is not supported");
    chosen = mode.pooling;
  }
  if (named != nullptr && !chosen) {
    refuse(file.field("pooling_mode") + " " + quote_name(named->get_string()) + " is not supported");
  }
  file.check_all_read();
  return chosen.value_or(Pooling::mean);
}

DenseModule read_dense(File file, std::filesystem::path weights) {
  DenseModule out;
  out.file = std::move(weights);
  out.in = file.size("in_features", decoder::kMostWidth);
  out.out = file.size("out_features", decoder::kMostWidth);
  out.bias = file.flag("bias", true);
  const std::string activation = file.text("activation_function");
  out.tanh = activation == "torch.nn.modules.activation.Tanh";
  if (!out.tanh && activation != "torch.nn.modules.linear.Identity") {
    refuse(file.field("activation_function") + " " + quote_name(activation) + " is not supported");
  }
  for (const char* key : {"module_input_name", "module_output_name"}) {
    const auto* value = file.find(key);
    if (value != nullptr && (!value->is_string() || std::string_view(value->get_string()) != "sentence_embedding")) {
      refuse(file.field(key) + " is not the sentence's vector");
    }
  }
  if (file.flag("use_residual", false)) refuse(file.field("use_residual") + " is true, which is not supported");
  file.check_all_read();
  return out;
}

std::string kind_of(const json::object& entry) {
  const auto* type = entry.if_contains("type");
  if (type == nullptr || !type->is_string()) refuse("a module of modules.json has no type");
  const std::string_view name = type->get_string();
  const auto dot = name.rfind('.');
  if (!name.starts_with("sentence_transformers.") || dot == std::string_view::npos) {
    refuse("modules.json's type " + quote_name(name) + " is not supported");
  }
  return std::string(name.substr(dot + 1));
}

std::string path_of(const json::object& entry) {
  const auto* path = entry.if_contains("path");
  if (path == nullptr || !path->is_string()) refuse("a module of modules.json has no path");
  return std::string(path->get_string());
}

void read_transformer(const formats::HfFolder& folder, const std::string& path, Modules& out) {
  if (!path.empty()) refuse("modules.json keeps its transformer in " + quote_name(path) + ", which is not supported");
  if (!folder.text_file("sentence_bert_config.json")) return;
  File file = open(folder, "", "sentence_bert_config.json");
  if (file.find("max_seq_length") != nullptr) {
    out.advised_tokens = file.size("max_seq_length", decoder::kMostContext);
  }
  if (file.flag("do_lower_case", false)) refuse(file.field("do_lower_case") + " is true, which is not supported");
}

}  // namespace

bool has_modules(const formats::HfFolder& folder) { return folder.text_file("modules.json").has_value(); }

Modules read_modules(const formats::HfFolder& folder, std::int32_t hidden) {
  Modules out;
  const auto text = folder.text_file("modules.json");
  if (!text) return out;
  const json::value list = formats::parse_json_file(*text, "modules.json");
  if (!list.is_array() || list.get_array().empty() || list.get_array().size() > kMostModules) {
    refuse("modules.json is not a list of up to " + std::to_string(kMostModules) + " modules");
  }
  bool pooled = false;
  std::size_t index = 0;
  for (const json::value& entry : list.get_array()) {
    if (!entry.is_object()) refuse("a module of modules.json is not an object");
    const std::string kind = kind_of(entry.get_object());
    const std::string path = path_of(entry.get_object());
    if ((kind == "Transformer") != (index++ == 0)) refuse("modules.json's transformer is not its first module");
    if (out.normalise) refuse("modules.json has " + quote_name(kind) + " behind its Normalize");
    if (kind == "Transformer") {
      read_transformer(folder, path, out);
    } else if (path.empty()) {
      refuse("modules.json's " + quote_name(kind) + " has no folder");
    } else if (kind == "Pooling" && !pooled) {
      out.pooling = read_pooling(open(folder, path, "config.json"), hidden);
      pooled = true;
    } else if (kind == "Dense" && pooled) {
      out.dense.push_back(read_dense(open(folder, path, "config.json"), folder.inside(path, "model.safetensors")));
      const std::int32_t before = out.dense.size() < 2 ? hidden : out.dense[out.dense.size() - 2].out;
      if (out.dense.back().in != before) {
        refuse(quote_name(path) + "'s in_features is not the " + std::to_string(before) + " values before it");
      }
    } else if (kind == "Normalize" && pooled) {
      out.normalise = true;
    } else {
      refuse("modules.json's module " + quote_name(kind) + " is not supported" + (pooled ? "" : " before a pooling"));
    }
  }
  if (!pooled) refuse("modules.json has no pooling");
  return out;
}

}  // namespace glia::models::encoder
