// The families beside llama: files that this code would compute wrongly, or that lie about their shapes, are refused
// with the name of the field. Each case is a golden model with one thing changed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "models/gguf_copy.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

namespace fs = std::filesystem;
using formats::GgufWriter;
using testing::GgufCopy;

constexpr auto kFolder = "decoders";

std::string said(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

void expect_has(const std::string& text, std::string_view part, const std::string& what) {
  EXPECT_NE(text.find(part), std::string::npos) << what << ": it said: " << text;
}

class DecoderHfRefuses : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    dir_ = fs::path(::testing::TempDir()) / ("glia_decoder_refuses_" + GetParam() + "_" + std::to_string(::getpid()));
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    fs::copy(source() / "model.safetensors", dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  static fs::path source() { return testing::golden_folder(kFolder) / GetParam(); }
  json::object config() const { return formats::HfFolder::open(source()).config(); }
  /// Where the decoder's own fields are.
  static json::object& text_side(json::object& config) {
    auto* inner = config.if_contains("text_config");
    return inner == nullptr ? config : inner->get_object();
  }
  std::string refusal(const json::object& config) const {
    std::ofstream(dir_ / "config.json", std::ios::trunc) << json::serialize(config);
    const auto device = kernels::make_reference_device();
    return said([&] {
      const auto model = load_language_model(formats::HfFolder::open(dir_), *device);
      testing::all_logits(*model, std::vector<std::int32_t>{0, 1, 2}, 2);
    });
  }
  std::string with(std::string_view key, const json::value& value) const {
    auto changed = config();
    text_side(changed)[key] = value;
    return refusal(changed);
  }
  std::string with_rope(const json::value& value) const { return with("rope_parameters", value); }

  fs::path dir_;
};

TEST_P(DecoderHfRefuses, NothingOfAGoodFolder) { EXPECT_EQ(refusal(config()), "accepted"); }

TEST_P(DecoderHfRefuses, HostileDimensions) {
  auto good = config();
  const auto fields = text_side(good);
  for (const auto* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "intermediate_size", "max_position_embeddings", "head_dim", "sliding_window"}) {
    if (!fields.contains(key) || fields.at(key).is_null()) continue;
    for (const json::value& bad : {json::value(0), json::value(-3), json::value(1.5), json::value("8"),
                                   json::value(true), json::value(1e300), json::value(~std::uint64_t{0})}) {
      expect_has(with(key, bad), key, key);
    }
  }
  for (const auto* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"}) {
    auto without = config();
    text_side(without).erase(key);
    expect_has(refusal(without), std::string(key) + "\" is missing", key);
  }
  expect_has(with("num_hidden_layers", fields.at("num_hidden_layers").as_int64() + 1), "layer", "one more layer");
}

/// Whatever a field holds, the answer is a model that runs or a refusal.
TEST_P(DecoderHfRefuses, AnythingElseInAnyField) {
  auto good = config();
  const json::object fields = text_side(good);
  for (const auto& field : fields) {
    for (const json::value& bad : {json::value(-1), json::value(1e300), json::value("x"), json::value(json::array{}),
                                   json::value(json::object{}), json::value(nullptr)}) {
      with(field.key(), bad);  // said() holds the error to its kind
    }
  }
}

TEST_P(DecoderHfRefuses, WhatItDoesNotCompute) {
  expect_has(with("model_type", "bert"), "model_type", "model_type");
  expect_has(with("clip_qkv", 8.0), "\"clip_qkv\" is set", "clip_qkv");
  expect_has(with("num_local_experts", 8), "\"num_local_experts\" is set", "experts");
  expect_has(with("use_bidirectional_attention", true), "\"use_bidirectional_attention\" is true", "both ways");
  expect_has(with("residual_multiplier", 0.5), "\"residual_multiplier\" is set", "residual_multiplier");
  if (!GetParam().starts_with("gemma3")) {
    expect_has(with_rope(json::object{{"rope_type", "dynamic"}, {"factor", 2}}), "rope_type \"dynamic\"", "rope");
    expect_has(with_rope(json::object{{"rope_theta", 0.5}}), "theta", "theta");
    expect_has(with_rope(json::array{}), "not an object", "rope");
  }
  if (!GetParam().starts_with("phi"))
    expect_has(with("partial_rotary_factor", 0.25), "partial_rotary_factor", "partial");
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderHfRefuses,
                         ::testing::Values("mistral_window", "mistral3_vision", "qwen2_window_yarn", "qwen3", "gemma",
                                           "gemma2", "gemma3", "gemma3_vision", "phi2", "phi3_longrope", "falcon"),
                         [](const auto& info) { return info.param; });

/// Fields that one family alone has.
TEST(DecoderHfRefusesOf, AFamilysOwnFields) {
  const auto dir = fs::path(::testing::TempDir()) / ("glia_decoder_refuses_own_" + std::to_string(::getpid()));
  const auto with = [&](const std::string& model, std::string_view key, const json::value& value) {
    const auto source = testing::golden_folder(kFolder) / model;
    fs::remove_all(dir);
    fs::create_directories(dir);
    fs::copy(source / "model.safetensors", dir);
    auto config = formats::HfFolder::open(source).config();
    config[key] = value;
    std::ofstream(dir / "config.json") << json::serialize(config);
    const auto device = kernels::make_reference_device();
    return said([&] { load_language_model(formats::HfFolder::open(dir), *device); });
  };
  struct Case {
    const char* model;
    const char* key;
    json::value value;
    const char* says;
  };
  const std::vector<Case> cases = {
      {"gemma2", "attn_logit_softcapping", 0, "\"attn_logit_softcapping\" is 0"},
      {"gemma2", "final_logit_softcapping", -1, "\"final_logit_softcapping\" is -1"},
      {"gemma2", "query_pre_attn_scalar", 0, "query_pre_attn_scalar"},
      {"gemma2", "query_pre_attn_scalar", -4, "query_pre_attn_scalar"},
      {"gemma2", "hidden_activation", "relu", "hidden_activation \"relu\" is not supported"},
      {"gemma2", "layer_types", json::array{"full_attention"}, "\"layer_types\" is not a list with one entry a layer"},
      {"gemma2", "layer_types", json::array{"a", "b", "c"}, "\"layer_types\" asks for a kind of attention"},
      {"gemma3", "attn_logit_softcapping", 50.0, "\"attn_logit_softcapping\" is set"},
      {"gemma3", "rope_parameters", json::object{{"full_attention", json::object{}}},
       "\"sliding_attention\" is missing"},
      {"gemma3", "sliding_window", nullptr, "\"layer_types\" has a sliding layer"},
      {"qwen3", "attention_bias", true, "q_proj.bias\" is missing"},
      {"qwen2", "layer_types", json::array{"sliding_attention", "full_attention"}, "there is no sliding_window"},
      {"phi2", "qk_layernorm", true, "\"qk_layernorm\" is true"},
      {"phi3_longrope", "original_max_position_embeddings", 1, "original_max_position_embeddings"},
      {"phi3_longrope", "rope_parameters",
       json::object{{"rope_type", "longrope"}, {"partial_rotary_factor", 0.75}, {"long_factor", json::array{1, 2}}},
       "\"long_factor\" is not a list of 6 numbers"},
      {"phi3_longrope", "rope_parameters",
       json::object{
           {"rope_type", "longrope"}, {"partial_rotary_factor", 0.75}, {"long_factor", json::array{1, 1, 0, 1, 1, 1}}},
       "\"long_factor\" is 0"},
      {"phi3_longrope", "rope_parameters", json::object{{"partial_rotary_factor", 7}},
       "\"partial_rotary_factor\" is 7"},
      {"falcon", "new_decoder_architecture", true, "new_decoder_architecture"},
      {"falcon", "multi_query", false, "multi_query"},
      {"falcon", "parallel_attn", false, "parallel_attn"},
      {"falcon", "alibi", true, "\"alibi\" is true"},
      {"falcon", "bias", true, "query_key_value.bias\" is missing"},
  };
  for (const Case& c : cases) expect_has(with(c.model, c.key, c.value), c.says, std::string(c.model) + " " + c.key);
  fs::remove_all(dir);
}

std::string refusal(std::span<const std::byte> bytes) {
  const auto device = kernels::make_reference_device();
  return said([&] {
    const auto model = load_language_model(formats::GgufFile::parse(bytes), *device);
    testing::all_logits(*model, std::vector<std::int32_t>{0, 1, 2}, 2);
  });
}

class DecoderGgufRefuses : public ::testing::TestWithParam<std::string> {
 protected:
  static GgufCopy gguf_copy() { return GgufCopy(testing::golden_folder(kFolder) / (GetParam() + ".gguf")); }
};

TEST_P(DecoderGgufRefuses, HostileKeys) {
  const GgufCopy good = gguf_copy();
  EXPECT_EQ(refusal(good.bytes()), "accepted");
  const std::string architecture = std::get<std::string>(good.keys.at("general.architecture"));
  for (const auto& [key, value] : good.keys) {
    if (!key.starts_with(architecture + ".") || key.ends_with(".tensor_data_layout")) continue;
    std::vector<GgufWriter::Scalar> bad = {std::int32_t{-1}, std::string("8"), INFINITY, NAN, std::uint64_t{1} << 60};
    if (!key.ends_with("sliding_window") && !key.ends_with("softcapping")) bad.emplace_back(std::uint32_t{0});
    for (const auto& replaced : bad) {
      GgufCopy copy = gguf_copy();
      copy.keys[key] = replaced;
      const std::string text = refusal(copy.bytes());
      EXPECT_NE(text, "accepted") << key;
    }
  }
  GgufCopy unknown = gguf_copy();
  unknown.keys[architecture + ".new_idea"] = true;
  expect_has(refusal(unknown.bytes()), architecture + ".new_idea\" is not understood", "an unknown key");
  GgufCopy experts = gguf_copy();
  experts.keys[architecture + ".expert_count"] = std::uint32_t{8};
  expect_has(refusal(experts.bytes()), architecture + ".expert_", "experts");
}

/// 60 flips of a good file's header: loaded, it runs a step; refused, it says so.
TEST_P(DecoderGgufRefuses, Flips) {
  const auto good = gguf_copy().bytes();
  std::mt19937 random(7);
  for (int i = 0; i < 60; i++) {
    auto bad = good;
    for (auto n = 1 + random() % 3; n > 0; n--) {
      bad[random() % std::min<std::size_t>(bad.size(), 4096)] ^= static_cast<std::byte>(1U << (random() % 8));
    }
    refusal(bad);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DecoderGgufRefuses,
                         ::testing::Values("llama_yarn_biases", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi2",
                                           "phi3_window", "phi3_longrope", "falcon"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace glia::models
