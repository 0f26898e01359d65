#include "formats/hf_quantisation.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/error.h"
#include "formats/quote_name.h"

namespace glia::formats {
namespace {

using tensor::DType;
using tensor::View;
using Method = HfQuantisation::Method;

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorCode::model_unavailable, what); }

/// A member that is there and not null.
const json::value* member(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string field(std::string_view key) { return "quantization_config's " + quote_name(key); }

std::string_view text(const json::object& object, std::string_view key, std::string_view fallback) {
  const auto* value = member(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) refuse(field(key) + " is not a string");
  return value->get_string();
}

bool flag(const json::object& object, std::string_view key, bool fallback) {
  const auto* value = member(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) refuse(field(key) + " is not a boolean");
  return value->get_bool();
}

std::optional<std::int64_t> whole(const json::object& object, std::string_view key) {
  const auto* value = member(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_int64()) refuse(field(key) + " is not a whole number");
  return value->get_int64();
}

void expect_bits(const json::object& object, std::string_view key) {
  const auto bits = whole(object, key);
  if (bits != 4) refuse(field(key) + " is " + (bits ? std::to_string(*bits) : "missing") + "; 4 is supported");
}

/// 0 for -1: one group for all columns.
std::uint64_t group_size(const json::object& object, std::string_view key) {
  const auto size = whole(object, key);
  if (size == -1) return 0;
  if (!size || *size < 32 || *size > (std::int64_t{1} << 30) || *size % 32 != 0) {
    refuse(field(key) + " is " + (size ? std::to_string(*size) : "missing") + "; -1 and multiples of 32 are supported");
  }
  return static_cast<std::uint64_t>(*size);
}

HfQuantisation read_awq(const json::object& q) {
  const std::string_view version = text(q, "version", "gemm");
  if (version != "gemm" && version != "GEMM") {
    refuse("AWQ weights of version " + quote_name(version) + " are not supported (gemm is)");
  }
  if (!flag(q, "zero_point", true)) refuse("AWQ weights without zero points are not supported");
  expect_bits(q, q.contains("bits") ? "bits" : "w_bit");
  return {.method = Method::awq, .group_size = group_size(q, q.contains("group_size") ? "group_size" : "q_group_size")};
}

HfQuantisation read_gptq(const json::object& q) {
  const std::string_view format = text(q, "checkpoint_format", "gptq");
  if (format != "gptq" && format != "gptq_v2") {
    refuse("GPTQ weights of format " + quote_name(format) + " are not supported (gptq and gptq_v2 are)");
  }
  expect_bits(q, "bits");
  return {.method = Method::gptq,
          .group_size = group_size(q, "group_size"),
          .stored_less_one = format == "gptq",
          .act_order = flag(q, "desc_act", false)};
}

HfQuantisation with_block(const json::value* block, std::string_view key) {
  HfQuantisation out{.method = Method::f8};
  if (block == nullptr) return out;
  const auto* sizes = block->if_array();
  const auto good = [](const json::value& v) { return v.is_int64() && v.get_int64() > 0 && v.get_int64() < (1 << 20); };
  if (sizes == nullptr || sizes->size() != 2 || !std::all_of(sizes->begin(), sizes->end(), good)) {
    refuse(field(key) + " is not a block's two sizes");
  }
  out.block_rows = static_cast<std::uint64_t>((*sizes)[0].get_int64());
  out.block_cols = static_cast<std::uint64_t>((*sizes)[1].get_int64());
  return out;
}

HfQuantisation read_compressed(const json::object& q) {
  const std::string_view format = text(q, "format", "dense");
  if (format != "float-quantized" && format != "naive-quantized") {
    refuse("compressed-tensors of format " + quote_name(format) + " are not supported (float-quantized is)");
  }
  const auto* groups = member(q, "config_groups");
  const auto* object = groups == nullptr ? nullptr : groups->if_object();
  if (object == nullptr || object->size() != 1) refuse(field("config_groups") + " is not one group");
  const auto* group = object->begin()->value().if_object();
  const auto* weights = group == nullptr ? nullptr : member(*group, "weights");
  const auto* w = weights == nullptr ? nullptr : weights->if_object();
  if (w == nullptr) refuse(field("config_groups") + " has no weights");
  const std::string_view type = text(*w, "type", "int");
  if (type != "float" || whole(*w, "num_bits") != 8) {
    refuse("compressed-tensors weights of type " + quote_name(type) + " are not supported (8-bit float is)");
  }
  const std::string_view strategy = text(*w, "strategy", "tensor");
  if (strategy == "block") return with_block(member(*w, "block_structure"), "block_structure");
  if (strategy != "tensor" && strategy != "channel") {
    refuse("compressed-tensors of strategy " + quote_name(strategy) + " are not supported");
  }
  return {.method = Method::f8};
}

bool cut_suffix(std::string_view& name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return true;
}

bool all_zero(const View& view) {
  return std::all_of(view.data.begin(), view.data.end(), [](std::byte b) { return b == std::byte{0}; });
}

class Joiner {
 public:
  Joiner(const HfQuantisation& quantisation, Tensors files) : q_(quantisation), files_(std::move(files)) {}

  HfTensors run() {
    for (const auto& [name, view] : files_) {
      if (!taken_.contains(name)) join(name, view);
    }
    for (const auto& [name, view] : files_) {
      if (taken_.contains(name)) continue;
      if (view.dtype == DType::f8_e4m3) refuse("tensor " + quote_name(name) + " holds FP8 without a scale");
      put(name, view);
    }
    return std::move(out_);
  }

 private:
  const View* find(const std::string& name) const {
    const auto it = files_.find(name);
    return it == files_.end() ? nullptr : &it->second;
  }

  const View& part(const std::string& name, std::string_view of) {
    const View* view = find(name);
    if (view == nullptr) refuse("tensor " + quote_name(name) + " is missing, which " + quote_name(of) + " needs");
    taken_.insert(name);
    return *view;
  }

  void put(const std::string& name, View view) {
    if (!out_.tensors.emplace(name, std::move(view)).second) {
      refuse("tensor " + quote_name(name) + " is there quantised and not quantised");
    }
  }

  void join(const std::string& name, const View& view) {
    std::string_view stem = name;
    switch (q_.method) {
      case Method::none:
        return;
      case Method::awq:
      case Method::gptq:
        if (cut_suffix(stem, ".qweight")) join_int4(name, std::string(stem));
        return;
      case Method::f8:
        join_f8(name, view);
        return;
      case Method::mxfp4:
        if (!cut_suffix(stem, "_blocks")) return;
        taken_.insert(name);
        put(std::string(stem), mxfp4_weight(name, view, part(std::string(stem) + "_scales", name)));
        return;
    }
  }

  void join_int4(const std::string& name, const std::string& stem) {
    Int4Parts parts;
    parts.name = name;
    parts.qweight = &part(name, name);
    parts.qzeros = &part(stem + ".qzeros", name);
    parts.scales = &part(stem + ".scales", name);
    if (q_.method == Method::gptq && (q_.act_order || find(stem + ".g_idx") != nullptr)) {
      parts.g_idx = &part(stem + ".g_idx", name);
    }
    put(stem + ".weight", int4_weight(q_, parts));
    const View* bias = find(stem + ".bias");
    if (bias != nullptr && all_zero(*bias)) out_.unlisted.insert(stem + ".bias");
  }

  void join_f8(const std::string& name, const View& view) {
    // Scales of activations and of keys and values, which Glia does not quantise to 8 bits.
    constexpr std::array<std::string_view, 5> kOfOthers = {".input_scale", ".input_scale_ub", ".k_scale", ".v_scale",
                                                           ".output_scale"};
    for (const std::string_view suffix : kOfOthers) {
      if (name.ends_with(suffix)) taken_.insert(name);
    }
    if (view.dtype != DType::f8_e4m3) return;
    const bool inverse = find(name + "_scale_inv") != nullptr;
    const View& scale = part(name + (inverse ? "_scale_inv" : "_scale"), name);
    taken_.insert(name);
    put(name, f8_weight(q_, name, view, scale));
  }

  const HfQuantisation& q_;
  Tensors files_;
  std::set<std::string, std::less<>> taken_;
  HfTensors out_;
};

}  // namespace

HfQuantisation read_quantisation(const json::object& config) {
  const auto* value = member(config, "quantization_config");
  if (value == nullptr) return {};
  const auto* q = value->if_object();
  if (q == nullptr) refuse("config.json's quantization_config is not an object");
  const std::string_view method = text(*q, "quant_method", "");
  if (method == "awq") return read_awq(*q);
  if (method == "gptq") return read_gptq(*q);
  if (method == "fp8") return with_block(member(*q, "weight_block_size"), "weight_block_size");
  if (method == "fbgemm_fp8") return {.method = Method::f8};
  if (method == "compressed-tensors") return read_compressed(*q);
  if (method == "mxfp4") return {.method = Method::mxfp4};
  refuse("weights quantised with " + quote_name(method) +
         " are not supported (awq, gptq, fp8, fbgemm_fp8, compressed-tensors and mxfp4 are)");
}

HfTensors join_quantised(const HfQuantisation& quantisation, Tensors files) {
  return Joiner(quantisation, std::move(files)).run();
}

}  // namespace glia::formats
