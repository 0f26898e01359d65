// Mixtures of experts that this code would compute wrongly, or that lie about their shapes, are refused with the name
// of the field.
#include <gtest/gtest.h>

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

std::string said(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

void expect_has(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << "it said: " << text;
}

/// A golden folder with changed fields in config.json.
class MoeHfRefuses : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(::testing::TempDir()) /
           (std::string("glia_moe_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::string refusal(const std::string& model, const std::function<void(json::object&)>& change) {
    const auto source = testing::golden_folder("moe") / model;
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    fs::copy(source / "model.safetensors", dir_);
    auto config = formats::HfFolder::open(source).config();
    change(config);
    std::ofstream(dir_ / "config.json", std::ios::trunc) << json::serialize(config);
    const auto device = kernels::make_reference_device();
    return said([&] { load_language_model(formats::HfFolder::open(dir_), *device); });
  }
  std::string with(const std::string& model, std::string_view key, const json::value& value) {
    return refusal(model, [&](json::object& c) { c[key] = value; });
  }
  fs::path dir_;
};

TEST_F(MoeHfRefuses, CountsThatCannotBe) {
  for (const auto* model : {"mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss_float"}) {
    EXPECT_EQ(refusal(model, [](json::object&) {}), "accepted");
    const std::string_view count = std::string_view(model).starts_with("qwen2") ? "num_experts" : "num_local_experts";
    expect_has(with(model, "num_experts_per_tok", 13), "13 experts cannot be chosen among");
    expect_has(with(model, "num_experts_per_tok", 0), "\"num_experts_per_tok\" is 0");
    for (const json::value& bad : {json::value(0), json::value(-1), json::value("4"), json::value(1e300),
                                   json::value(~std::uint64_t{0}), json::value(4097)}) {
      expect_has(refusal(model,
                         [&](json::object& c) {
                           c.erase("num_experts");
                           c.erase("num_local_experts");
                           c[count] = bad;
                         }),
                 count);
    }
  }
}

TEST_F(MoeHfRefuses, ShapesThatAreNotTheFiles) {
  expect_has(with("mixtral", "intermediate_size", 23), "block_sparse_moe.experts.0.w1.weight\" has shape");
  expect_has(with("mixtral", "num_local_experts", 6), "block_sparse_moe.gate.weight\" has shape");
  expect_has(with("qwen2_moe", "moe_intermediate_size", 17), "mlp.experts.0.gate_proj.weight\" has shape");
  expect_has(with("qwen2_moe", "shared_expert_intermediate_size", 5), "mlp.shared_expert.gate_proj.weight\" has shape");
  expect_has(with("qwen2_moe", "mlp_only_layers", json::array{1}), "model.layers.1.mlp.gate_proj.weight\" is missing");
  expect_has(with("qwen2_moe_mixed", "mlp_only_layers", json::array{}), "model.layers.3.mlp.gate.weight\" is missing");
  expect_has(with("gpt_oss_float", "num_local_experts", 3), "mlp.router.weight\" has shape");
  expect_has(with("gpt_oss_float", "intermediate_size", 16), "mlp.experts.gate_up_proj\" has shape");
  expect_has(with("gpt_oss_float", "attention_bias", false), "\" has no place in a gpt-oss model");
}

TEST_F(MoeHfRefuses, WhatItDoesNotCompute) {
  expect_has(with("mixtral", "model_type", "llama"), "model_type");
  expect_has(with("qwen2_moe", "use_sliding_window", true), "\"use_sliding_window\" is not supported");
  expect_has(with("qwen2_moe", "mlp_only_layers", "all"), "\"mlp_only_layers\" is not a list");
  expect_has(with("qwen2_moe", "mlp_only_layers", json::array{-1}), "\"mlp_only_layers\" holds what is no layer");
  expect_has(with("qwen2_moe", "decoder_sparse_step", 0), "\"decoder_sparse_step\" is 0");
  expect_has(with("qwen3_moe", "norm_topk_prob", "yes"), "\"norm_topk_prob\" is not a boolean");
  expect_has(with("gpt_oss_float", "swiglu_limit", 6.0), "\"swiglu_limit\" is not 7");
  expect_has(with("gpt_oss_float", "swiglu_alpha", 1.0), "\"swiglu_alpha\" is not 1.702");
  expect_has(with("gpt_oss_float", "rope_parameters", nullptr), "\"rope_scaling\" is missing");
  expect_has(with("gpt_oss_float", "quantization_config", json::object{{"quant_method", "fp8"}}), "quant_method");
  expect_has(with("gpt_oss_float", "sliding_window", nullptr), "there is no sliding_window");
}

/// A mixture of experts of a few hundred numbers whose keys and tensors a test may change before it is written.
struct Tiny {
  std::map<std::string, GgufWriter::Scalar> keys = {
      {"general.architecture", std::string("llama")},    {"llama.context_length", std::uint32_t{64}},
      {"llama.embedding_length", std::uint32_t{8}},      {"llama.block_count", std::uint32_t{1}},
      {"llama.feed_forward_length", std::uint32_t{6}},   {"llama.attention.head_count", std::uint32_t{2}},
      {"llama.attention.layer_norm_rms_epsilon", 1e-5F}, {"llama.expert_count", std::uint32_t{3}},
      {"llama.expert_used_count", std::uint32_t{2}},
  };
  std::map<std::string, std::vector<std::uint64_t>> tensors = {
      {"token_embd.weight", {5, 8}},           {"output_norm.weight", {8}},
      {"blk.0.attn_norm.weight", {8}},         {"blk.0.attn_q.weight", {8, 8}},
      {"blk.0.attn_k.weight", {8, 8}},         {"blk.0.attn_v.weight", {8, 8}},
      {"blk.0.attn_output.weight", {8, 8}},    {"blk.0.ffn_norm.weight", {8}},
      {"blk.0.ffn_gate_inp.weight", {3, 8}},   {"blk.0.ffn_gate_exps.weight", {3, 6, 8}},
      {"blk.0.ffn_up_exps.weight", {3, 6, 8}}, {"blk.0.ffn_down_exps.weight", {3, 8, 6}},
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

TEST(MoeGgufRefuses, Keys) {
  EXPECT_EQ(refusal([](Tiny&) {}), "accepted");
  EXPECT_EQ(with_key("llama.expert_gating_func", std::uint32_t{1}), "accepted");
  EXPECT_EQ(with_key("llama.expert_weights_scale", 2.5F), "accepted");
  expect_has(with_key("llama.expert_gating_func", std::uint32_t{9}), "llama.expert_gating_func");
  expect_has(with_key("llama.expert_weights_scale", -1.0F), "llama.expert_weights_scale");
  expect_has(with_key("llama.expert_used_count", std::uint32_t{4}), "4 experts cannot be chosen among 3");
  expect_has(with_key("llama.expert_used_count", std::uint32_t{0}), "llama.expert_used_count");
  expect_has(with_key("llama.expert_count", ~std::uint32_t{0}), "llama.expert_count");
  expect_has(with_key("llama.expert_group_count", std::uint32_t{2}), "llama.expert_group_count");
  expect_has(refusal([](Tiny& t) { t.keys.erase("llama.expert_used_count"); }), "llama.expert_used_count");
}

TEST(MoeGgufRefuses, Tensors) {
  for (const auto& [name, shape] : Tiny().tensors) {
    if (name.find("_exps") == std::string::npos && name.find("_inp") == std::string::npos) continue;
    expect_has(refusal([&n = name](Tiny& t) { t.tensors.erase(n); }), "tensor \"" + name + "\" is missing");
    for (std::size_t d = 0; d < shape.size(); d++) {
      expect_has(refusal([&n = name, d](Tiny& t) { t.tensors[n][d] += 1; }), "tensor \"" + name + "\" has shape [");
    }
  }
  for (const auto* name : {"blk.0.ffn_gate.weight", "blk.0.ffn_gate_shexp.weight", "blk.0.exp_probs_b.bias"}) {
    expect_has(refusal([&](Tiny& t) { t.tensors[name] = {8}; }), std::string(name) + "\" has no place in a llama");
  }
}

/// 200 flips of a good file: loaded, it runs a step; refused, it says so.
TEST(MoeHostile, Flips) {
  const auto good = Tiny().bytes();
  const auto device = kernels::make_cpu_device({1, kernels::MathMode::fast, {}});
  std::mt19937 random(6);
  int ran = 0;
  for (int i = 0; i < 200; i++) {
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
  EXPECT_LT(ran, 200);
}

}  // namespace
}  // namespace glia::models
