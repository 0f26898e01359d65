// GGUF files of encoders that this code would compute wrongly, or that lie about their shapes, are refused with the
// name of the key or tensor. Each case is a golden file with one thing changed.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "models/encoder_model.h"
#include "models/gguf_copy.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using formats::GgufFile;
using formats::GgufWriter;
using testing::GgufCopy;

GgufCopy copy_of(const std::string& name, const std::string& family = "encoders") {
  return GgufCopy(testing::golden_folder(family) / (name + ".gguf"));
}

std::string refusal(std::span<const std::byte> bytes) {
  const auto device = kernels::make_reference_device();
  try {
    const GgufFile file = GgufFile::parse(bytes);
    estimate_encoder_memory(file);
    const auto model = load_encoder(file, *device);
    const std::vector<std::int32_t> tokens = {0, 1, 2};
    std::vector<float> out(static_cast<std::size_t>(model->info().width));
    const EncoderText text{.tokens = tokens, .types = {}, .out = out};
    model->forward({&text, 1});
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable);
    return e.detail();
  }
  return "accepted";
}

void expect(const std::string& name, const std::string& key, const GgufWriter::Scalar& value, std::string_view part) {
  GgufCopy copy = copy_of(name);
  copy.keys[key] = value;
  const std::string text = refusal(copy.bytes());
  EXPECT_NE(text.find(part), std::string::npos) << name << " " << key << ": it said: " << text;
}

TEST(EncoderGgufRefuses, WhatItWouldComputeWrongly) {
  EXPECT_EQ(refusal(copy_of("qwen3_embedding").bytes()), "accepted");
  EXPECT_EQ(refusal(copy_of("embedding_gemma").bytes()), "accepted");
  expect("qwen3_embedding", "qwen3.pooling_type", std::uint32_t{4}, "pooling_type");  // a reranker's
  expect("qwen3_embedding", "qwen3.pooling_type", std::uint32_t{0}, "pooling_type");
  expect("qwen3_embedding", "qwen3.attention.causal", false, "attention.causal");
  expect("qwen3_embedding", "general.architecture", std::string("bert"), "bert");
  expect("embedding_gemma", "gemma-embedding.new_idea", true, "new_idea");
  expect("embedding_gemma", "gemma-embedding.attention.causal", false, "accepted");
  expect("embedding_gemma", "gemma-embedding.dense_2_feat_in", std::uint32_t{63}, "dense_2_feat_in");
  expect("embedding_gemma", "gemma-embedding.dense_2_feat_out", std::uint32_t{97}, "dense_3_feat_in");
  expect("embedding_gemma", "gemma-embedding.dense_3_feat_out", std::uint32_t{63}, "dense_3.weight");
}

/// Many files were converted without them; their vectors would be of another model.
TEST(EncoderGgufRefuses, DenseLayersThatAreMissing) {
  GgufCopy copy = copy_of("embedding_gemma");
  copy.left_out = {"dense_3.weight"};
  EXPECT_NE(refusal(copy.bytes()).find("dense_3.weight"), std::string::npos);
  for (const char* key : {"dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out"}) {
    GgufCopy without = copy_of("embedding_gemma");
    without.keys.erase("gemma-embedding." + std::string(key));
    EXPECT_NE(refusal(without.bytes()).find(key), std::string::npos);
  }
}

TEST(EncoderGgufRefuses, AFileThatOnlyGenerates) {
  const auto encodes_with = [](GgufCopy copy, std::uint32_t pooling) {
    copy.keys["qwen3.pooling_type"] = pooling;
    const auto bytes = copy.bytes();
    return encodes(GgufFile::parse(bytes));
  };
  const auto chat = copy_of("qwen3", "decoders").bytes();
  EXPECT_FALSE(encodes(GgufFile::parse(chat)));
  EXPECT_FALSE(encodes_with(copy_of("qwen3", "decoders"), 0));
  EXPECT_TRUE(encodes_with(copy_of("qwen3_embedding"), 3));
  EXPECT_NE(refusal(copy_of("gemma3", "decoders").bytes()).find("gemma3"), std::string::npos);
}

TEST(EncoderGgufRefuses, HostileBytesWithoutHarm) {
  std::mt19937 random(7);
  for (const std::string name : {"qwen3_embedding", "embedding_gemma"}) {
    const auto good = copy_of(name).bytes();
    for (int i = 0; i < 60; i++) {
      auto bad = good;
      for (auto n = 1 + random() % 3; n > 0; n--) {
        bad[random() % std::min<std::size_t>(bad.size(), 4096)] ^= static_cast<std::byte>(1U << (random() % 8));
      }
      refusal(bad);
    }
  }
}

}  // namespace
}  // namespace glia::models
