// Files that this code would compute wrongly, or that lie about their shapes, are refused with the name of the field.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "base/error.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

namespace fs = std::filesystem;
using formats::GgufWriter;

/// A llama of a few hundred numbers whose keys and tensors a test may change before it is written.
struct Tiny {
  std::map<std::string, GgufWriter::Scalar> keys = {
      {"general.architecture", std::string("llama")},      {"llama.context_length", std::uint32_t{64}},
      {"llama.embedding_length", std::uint32_t{8}},        {"llama.block_count", std::uint32_t{1}},
      {"llama.feed_forward_length", std::uint32_t{6}},     {"llama.attention.head_count", std::uint32_t{2}},
      {"llama.attention.head_count_kv", std::uint32_t{1}}, {"llama.attention.layer_norm_rms_epsilon", 1e-5F},
  };
  std::map<std::string, std::vector<std::uint64_t>> tensors = {
      {"token_embd.weight", {5, 8}},     {"output_norm.weight", {8}},          {"output.weight", {5, 8}},
      {"blk.0.attn_norm.weight", {8}},   {"blk.0.attn_q.weight", {8, 8}},      {"blk.0.attn_k.weight", {4, 8}},
      {"blk.0.attn_v.weight", {4, 8}},   {"blk.0.attn_output.weight", {8, 8}}, {"blk.0.ffn_norm.weight", {8}},
      {"blk.0.ffn_gate.weight", {6, 8}}, {"blk.0.ffn_up.weight", {6, 8}},      {"blk.0.ffn_down.weight", {8, 6}},
  };

  std::vector<std::byte> bytes() const {
    GgufWriter out;
    for (const auto& [key, value] : keys) out.set(key, value);
    for (const auto& [name, shape] : tensors) {
      std::size_t n = 1;
      for (const auto d : shape) n *= d;
      std::vector<float> values(n);
      for (std::size_t i = 0; i < n; i++) values[i] = static_cast<float>(i % 7) * 0.1F - 0.3F;
      out.add_tensor(name, tensor::DType::f32, shape, std::span<const float>(values));
    }
    return out.bytes();
  }
};

std::string said(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

std::string refusal(const std::function<void(Tiny&)>& change) {
  Tiny tiny;
  change(tiny);
  const auto bytes = tiny.bytes();
  const auto device = kernels::make_reference_device();
  return said([&] { load_language_model(formats::GgufFile::parse(bytes), *device); });
}

std::string with_key(const std::string& key, const GgufWriter::Scalar& value) {
  return refusal([&](Tiny& t) { t.keys[key] = value; });
}

void expect_has(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << "it said: " << text;
}

TEST(LlamaRefuses, NothingOfAGoodFile) {
  EXPECT_EQ(refusal([](Tiny&) {}), "accepted");
  EXPECT_EQ(refusal([](Tiny& t) { t.tensors.erase("output.weight"); }), "accepted");  // tied
  EXPECT_EQ(with_key("llama.rope.scaling.type", std::string("none")), "accepted");
  EXPECT_EQ(with_key("llama.expert_count", std::uint32_t{0}), "accepted");
  EXPECT_EQ(with_key("llama.attention.causal", true), "accepted");
}

TEST(LlamaRefuses, OtherArchitectures) {
  expect_has(with_key("general.architecture", std::string("rwkv7")),
             "general.architecture \"rwkv7\" is not supported (supported: llama, ");
  expect_has(refusal([](Tiny& t) { t.keys.erase("general.architecture"); }), "\"general.architecture\" is missing");
}

TEST(LlamaRefuses, MissingAndMisshapenTensors) {
  for (const auto& [name, shape] : Tiny().tensors) {
    if (name != "output.weight") {
      expect_has(refusal([&n = name](Tiny& t) { t.tensors.erase(n); }), "tensor \"" + name + "\" is missing");
    }
    const std::string wider = refusal([&n = name](Tiny& t) { t.tensors[n].back() += 1; });
    expect_has(wider, "tensor \"" + name + "\" has shape [");
    expect_has(refusal([&n = name](Tiny& t) { t.tensors[n].push_back(1); }), "tensor \"" + name + "\"");
  }
}

TEST(LlamaRefuses, TensorsThatNobodyTakes) {
  for (const auto* name :
       {"blk.0.attn_k.bias", "blk.0.attn_q_norm.weight", "blk.0.ffn_gate_exps.weight", "blk.1.attn_norm.weight"}) {
    expect_has(refusal([&](Tiny& t) { t.tensors[name] = {8}; }),
               std::string(name) + "\" has no place in a llama model");
  }
  // The first layer's biases say that there are some: then all have to be there.
  expect_has(refusal([](Tiny& t) { t.tensors["blk.0.attn_q.bias"] = {8}; }), "\"blk.0.attn_k.bias\" is missing");
  expect_has(refusal([](Tiny& t) { t.tensors["blk.0.ffn_up.bias"] = {6}; }), "\"blk.0.ffn_gate.bias\" is missing");
}

TEST(LlamaRefuses, HostileDimensions) {
  for (const auto* key : {"llama.context_length", "llama.embedding_length", "llama.block_count",
                          "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.head_count_kv"}) {
    expect_has(with_key(key, std::uint32_t{0}), key);
    expect_has(with_key(key, ~std::uint32_t{0}), key);
    expect_has(with_key(key, ~std::uint64_t{0}), key);
    expect_has(with_key(key, std::int32_t{-1}), key);
    expect_has(with_key(key, 8.0F), key);
    expect_has(with_key(key, std::string("8")), key);
    if (std::string_view(key) != "llama.attention.head_count_kv") {
      expect_has(refusal([&](Tiny& t) { t.keys.erase(key); }), key);
    }
  }
  expect_has(with_key("llama.block_count", std::uint32_t{4096}), "blk.1.attn_norm.weight");
  expect_has(with_key("llama.attention.head_count", std::uint32_t{3}), "not a multiple");
  expect_has(with_key("llama.attention.head_count", std::uint32_t{8}), "head dimension 1 is odd");
  expect_has(with_key("llama.attention.head_count_kv", std::uint32_t{3}), "cannot share 3 key-value heads");
  expect_has(with_key("llama.attention.key_length", std::uint32_t{5}), "odd");
  expect_has(with_key("llama.attention.key_length", std::uint32_t{4096}), "llama.attention.key_length");
  expect_has(with_key("llama.attention.value_length", std::uint32_t{2}), "llama.attention.value_length");
  expect_has(with_key("llama.rope.dimension_count", std::uint32_t{2}), "llama.rope.dimension_count");
  for (const float eps : {0.0F, -1.0F, INFINITY, NAN}) {
    expect_has(with_key("llama.attention.layer_norm_rms_epsilon", eps), "epsilon");
  }
  for (const float theta : {0.0F, -1.0F, INFINITY, NAN}) {
    expect_has(with_key("llama.rope.freq_base", theta), "llama.rope.freq_base");
  }
}

TEST(LlamaRefuses, WhatItDoesNotCompute) {
  for (const auto* type : {"dynamic", "longrope", "?"}) {
    expect_has(with_key("llama.rope.scaling.type", std::string(type)), "llama.rope.scaling.type");
  }
  for (const auto* key : {"attn_factor", "factor", "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow"}) {
    const std::string name = std::string("llama.rope.scaling.") + key;
    for (const float bad : {0.0F, -1.0F, INFINITY, NAN}) {
      expect_has(refusal([&](Tiny& t) {
                   t.keys["llama.rope.scaling.type"] = std::string("yarn");
                   t.keys[name] = bad;
                 }),
                 name);
    }
  }
  expect_has(with_key("llama.rope.scaling.yarn_ext_factor", 0.5F), "llama.rope.scaling.yarn_ext_factor");
  expect_has(with_key("llama.rope.scaling.yarn_log_multiplier", 0.1F), "llama.rope.scaling.yarn_log_multiplier");
  expect_has(with_key("llama.rope.scaling.original_context_length", std::uint32_t{0}), "original_context_length");
  expect_has(with_key("llama.expert_count", std::uint32_t{8}), "llama.expert_used_count");
  expect_has(with_key("llama.attention.sliding_window", ~std::uint32_t{0}), "llama.attention.sliding_window");
  expect_has(with_key("llama.attention.sliding_window", std::int32_t{-1}), "llama.attention.sliding_window");
  expect_has(with_key("llama.attention.temperature_scale", 0.1F), "llama.attention.temperature_scale");
  expect_has(with_key("llama.attention.causal", false), "llama.attention.causal");
  expect_has(with_key("llama.logit_scale", 0.5F), "llama.logit_scale");
  expect_has(with_key("llama.new_idea", true), "\"llama.new_idea\" is not understood");
  expect_has(refusal([](Tiny& t) {
               t.keys["llama.rope.scaling.type"] = std::string("linear");
               t.keys["llama.rope.scaling.factor"] = 0.0F;
             }),
             "llama.rope.scaling.factor");
  expect_has(refusal([](Tiny& t) { t.tensors["rope_freqs.weight"] = {2}; }), "rope_freqs.weight");  // holds -0.3
}

/// The tiny golden folder with changed fields in config.json.
class HfRefuses : public ::testing::Test {
 protected:
  void SetUp() override {
    source_ = testing::golden_folder() / "llama3_rope";
    dir_ = fs::path(::testing::TempDir()) / ("glia_llama_refuses_" + std::to_string(::getpid()));
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    fs::copy(source_ / "model.safetensors", dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::string refusal(const std::function<void(json::object&)>& change) {
    auto config = formats::HfFolder::open(source_).config();
    change(config);
    std::ofstream(dir_ / "config.json", std::ios::trunc) << json::serialize(config);
    const auto device = kernels::make_reference_device();
    return said([&] { load_language_model(formats::HfFolder::open(dir_), *device); });
  }
  std::string with(std::string_view key, const json::value& value) {
    return refusal([&](json::object& c) { c[key] = value; });
  }
  fs::path source_, dir_;
};

TEST_F(HfRefuses, WhatItDoesNotCompute) {
  EXPECT_EQ(refusal([](json::object&) {}), "accepted");
  EXPECT_EQ(with("sliding_window", nullptr), "accepted");
  expect_has(with("architectures", json::array{"RwkvForCausalLM"}), "architecture \"RwkvForCausalLM\" is not");
  expect_has(with("architectures", "LlamaForCausalLM"), "\"architectures\" is not a list");
  expect_has(with("model_type", "mistral"), "model_type");
  expect_has(with("hidden_act", "relu2"), "hidden_act \"relu2\"");
  expect_has(with("attention_bias", true), "self_attn.q_proj.bias\" is missing");
  expect_has(with("mlp_bias", true), "mlp.gate_proj.bias\" is missing");
  expect_has(with("attention_bias", 1), "\"attention_bias\" is not a boolean");
  expect_has(with("use_sliding_window", true), "\"use_sliding_window\" is true");
  expect_has(with("layer_types", json::array{}), "\"layer_types\" is set");
  expect_has(with("attn_logit_softcapping", 50.0), "\"attn_logit_softcapping\" is set");
  expect_has(with("embedding_multiplier", 12.0), "\"embedding_multiplier\" is set");
  expect_has(with("sliding_window", 4096), "\"sliding_window\" is set");
  expect_has(with("quantization_config", json::object{{"quant_method", "bitsandbytes"}}),
             "weights quantised with \"bitsandbytes\" are not supported");
  expect_has(with("partial_rotary_factor", 0.5), "partial_rotary_factor");
}

TEST_F(HfRefuses, RopeScaling) {
  const auto rope = [&](const json::value& value) { return with("rope_parameters", value); };
  EXPECT_EQ(rope(json::object{{"rope_type", "yarn"}, {"factor", 2}}), "accepted");
  for (const auto* key : {"factor", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim"}) {
    for (const json::value& bad : {json::value(-1), json::value(1e30), json::value("1")}) {
      expect_has(rope(json::object{{"rope_type", "yarn"}, {key, bad}}),
                 std::string(key) == "attention_factor" ? "attention" : key);
    }
  }
  expect_has(rope(json::object{{"rope_type", "yarn"}, {"original_max_position_embeddings", 0}}),
             "original_max_position_embeddings");
  expect_has(rope(json::object{{"type", "dynamic"}}), "rope_type \"dynamic\"");
  expect_has(rope(json::object{{"rope_type", "linear"}}), "\"factor\" is missing");
  expect_has(rope(json::object{{"rope_type", "llama3"}, {"factor", 2}}), "\"low_freq_factor\" is missing");
  expect_has(rope(json::object{{"rope_theta", -1}}), "theta");
  expect_has(rope(json::array{}), "not an object");
  // Older exports: theta beside, scaling under its old name.
  const auto older = [&](const json::value& scaling) {
    return refusal([&](json::object& c) {
      c.erase("rope_parameters");
      c["rope_theta"] = 10000;
      c["rope_scaling"] = scaling;
    });
  };
  EXPECT_EQ(older(nullptr), "accepted");
  EXPECT_EQ(older(json::object{{"type", "linear"}, {"factor", 2.0}}), "accepted");
  expect_has(older(json::object{{"type", "longrope"}}), "\"long_factor\" is not a list of 8 numbers");
}

TEST_F(HfRefuses, HostileDimensions) {
  for (const auto* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "intermediate_size", "max_position_embeddings", "head_dim"}) {
    for (const json::value& bad : {json::value(0), json::value(-3), json::value(1.5), json::value("8"),
                                   json::value(true), json::value(1e300), json::value(~std::uint64_t{0})}) {
      expect_has(with(key, bad), key);
    }
  }
  for (const auto* key :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}) {
    expect_has(refusal([&](json::object& c) { c.erase(key); }), std::string(key) + "\" is missing");
  }
  expect_has(with("hidden_size", 96), "model.embed_tokens.weight\" has shape");
  expect_has(with("num_hidden_layers", 3), "model.layers.2");
  expect_has(with("num_hidden_layers", 1), "model.layers.1.input_layernorm.weight\" has no place");
  expect_has(with("tie_word_embeddings", false), "lm_head.weight\" is missing");
}

/// 300 flips of a good file: loaded, it runs a step; refused, it says so.
TEST(LlamaHostile, Flips) {
  const auto good = Tiny().bytes();
  const auto device = kernels::make_reference_device();
  std::mt19937 random(5);
  int ran = 0;
  for (int i = 0; i < 300; i++) {
    auto bad = good;
    for (auto n = 1 + random() % 4; n > 0; n--)
      bad[random() % bad.size()] ^= static_cast<std::byte>(1U << (random() % 8));
    try {
      const auto model = load_language_model(formats::GgufFile::parse(bad), *device);
      testing::all_logits(*model, std::vector<std::int32_t>{0, 1, 2}, 2);
      ran++;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::model_unavailable) << e.what();
    }
  }
  EXPECT_GT(ran, 0);
  EXPECT_LT(ran, 300);
}

}  // namespace
}  // namespace glia::models
