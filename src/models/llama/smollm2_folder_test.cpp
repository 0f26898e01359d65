// SmolLM2's weights rounded to what Hugging Face folders hold, AWQ's and GPTQ's 4-bit integers and FP8 with a scale per
// row: the fast path's perplexity against that of the same weights exactly dequantised, within 0.5 %, as in
// smollm2_types_test.cpp.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>

#include "formats/fixtures.h"
#include "models/llama/smollm2_fixture.h"

namespace glia::models {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

/// A safetensors file as it grows.
class FolderWriter {
 public:
  void add(const std::string& name, const std::string& dtype, const std::vector<std::uint64_t>& shape,
           const Bytes& bytes) {
    header_ += (header_.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":")" + dtype + R"(","shape":[)";
    for (std::size_t i = 0; i < shape.size(); i++) header_ += (i > 0 ? "," : "") + std::to_string(shape[i]);
    header_ += R"(],"data_offsets":[)" + std::to_string(data_.size()) + "," +
               std::to_string(data_.size() + bytes.size()) + "]}";
    data_.insert(data_.end(), bytes.begin(), bytes.end());
  }
  void add_floats(const std::string& name, tensor::DType type, const std::vector<std::uint64_t>& shape,
                  std::span<const float> values) {
    Bytes bytes(values.size() * tensor::info(type).bytes);
    tensor::quantize_row(type, values, bytes);
    add(name, std::string(tensor::info(type).name), shape, bytes);
  }
  void write(const fs::path& folder, const std::string& config) const {
    const Bytes all = formats::safetensors_bytes(header_ + "}", data_);
    std::ofstream(folder / "config.json") << config;
    std::ofstream(folder / "model.safetensors", std::ios::binary)
        .write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size()));
  }

 private:
  std::string header_;
  Bytes data_;
};

struct Matrix {
  std::uint64_t rows, cols;
  std::vector<float> values;
};

constexpr std::uint64_t kGroup = 32;

/// Plainly rounded 4-bit integers with zero points, input k of a row in the group that `groups` says.
struct Int4 {
  std::vector<float> scales;        ///< [groups, rows]
  std::vector<std::uint8_t> zeros;  ///< [groups, rows], 1 to 15
  std::vector<std::uint8_t> q;      ///< [cols, rows]
};

std::vector<std::uint32_t> groups_in_order(std::uint64_t cols) {
  std::vector<std::uint32_t> groups(cols);
  for (std::uint64_t k = 0; k < cols; k++) groups[k] = static_cast<std::uint32_t>(k / kGroup);
  return groups;
}

Int4 rounded(const Matrix& m, std::span<const std::uint32_t> groups) {
  const auto level = [](float v, long least) {
    return static_cast<std::uint8_t>(std::clamp(std::lround(v), least, 15L));
  };
  const std::uint64_t count = m.cols / kGroup;
  Int4 out{std::vector<float>(count * m.rows), std::vector<std::uint8_t>(count * m.rows),
           std::vector<std::uint8_t>(m.cols * m.rows)};
  for (std::uint64_t r = 0; r < m.rows; r++) {
    const float* x = m.values.data() + r * m.cols;
    std::vector<float> low(count);
    std::vector<float> high(count);
    for (std::uint64_t k = 0; k < m.cols; k++) {
      low[groups[k]] = std::min(low[groups[k]], x[k]);
      high[groups[k]] = std::max(high[groups[k]], x[k]);
    }
    for (std::uint64_t g = 0; g < count; g++) {
      const float d = tensor::f16_to_f32(tensor::f32_to_f16((high[g] - low[g]) / 15));
      out.scales[g * m.rows + r] = d;
      out.zeros[g * m.rows + r] = level(-low[g] / d, 1);
    }
    for (std::uint64_t k = 0; k < m.cols; k++) {
      const std::uint64_t at = groups[k] * m.rows + r;
      out.q[k * m.rows + r] = level(x[k] / out.scales[at] + out.zeros[at], 0);
    }
  }
  return out;
}

using Order = std::array<std::uint64_t, 8>;
constexpr Order kInOrder = {0, 1, 2, 3, 4, 5, 6, 7};

/// Eight neighbours of a row-major table in an int32, the one at order[i] in bits 4 i.
Bytes packed(const std::vector<std::uint8_t>& values, const Order& order) {
  Bytes bytes(values.size() / 2);
  for (std::size_t at = 0; at < values.size(); at += 8) {
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 8; i++) word |= static_cast<std::uint32_t>(values[at + order[i]]) << (4 * i);
    std::memcpy(bytes.data() + at / 2, &word, 4);
  }
  return bytes;
}

/// AutoAWQ's layout: outputs packed 0, 2, 4, 6, 1, 3, 5, 7.
void add_awq(FolderWriter& out, const std::string& stem, const Matrix& m) {
  constexpr Order kOrder = {0, 2, 4, 6, 1, 3, 5, 7};
  const std::uint64_t groups = m.cols / kGroup;
  const Int4 w = rounded(m, groups_in_order(m.cols));
  out.add(stem + ".qweight", "I32", {m.cols, m.rows / 8}, packed(w.q, kOrder));
  out.add(stem + ".qzeros", "I32", {groups, m.rows / 8}, packed(w.zeros, kOrder));
  out.add_floats(stem + ".scales", tensor::DType::f16, {groups, m.rows}, w.scales);
}

/// GPTQ's layout, version 1: inputs packed in order, zero points less one, and the group of every input.
void add_gptq(FolderWriter& out, const std::string& stem, const Matrix& m, std::span<const std::uint32_t> group_of) {
  const std::uint64_t groups = m.cols / kGroup;
  Int4 w = rounded(m, group_of);
  std::vector<std::uint8_t> eights(w.q.size());  // [cols / 8, rows, 8]
  for (std::uint64_t k = 0; k < m.cols; k++) {
    for (std::uint64_t r = 0; r < m.rows; r++) eights[(k / 8 * m.rows + r) * 8 + k % 8] = w.q[k * m.rows + r];
  }
  for (std::uint8_t& zero : w.zeros) zero--;
  Bytes index(m.cols * 4);
  std::memcpy(index.data(), group_of.data(), index.size());
  out.add(stem + ".qweight", "I32", {m.cols / 8, m.rows}, packed(eights, kInOrder));
  out.add(stem + ".qzeros", "I32", {groups, m.rows / 8}, packed(w.zeros, kInOrder));
  out.add_floats(stem + ".scales", tensor::DType::f16, {groups, m.rows}, w.scales);
  out.add(stem + ".g_idx", "I32", {m.cols}, index);
}

void add_gptq(FolderWriter& out, const std::string& stem, const Matrix& m) {
  add_gptq(out, stem, m, groups_in_order(m.cols));
}

/// Neighbouring inputs lie in different groups.
void add_act_order(FolderWriter& out, const std::string& stem, const Matrix& m) {
  std::vector<std::uint32_t> group_of(m.cols);
  for (std::uint64_t k = 0; k < m.cols; k++) group_of[k] = static_cast<std::uint32_t>(k % (m.cols / kGroup));
  add_gptq(out, stem, m, group_of);
}

void add_f8(FolderWriter& out, const std::string& stem, const Matrix& m) {
  std::vector<float> scaled = m.values;
  std::vector<float> scales(m.rows);
  for (std::uint64_t r = 0; r < m.rows; r++) {
    const auto row = std::span(scaled).subspan(r * m.cols, m.cols);
    for (const float v : row) scales[r] = std::max(scales[r], std::fabs(v) / 448);
    for (float& v : row) v /= scales[r];
  }
  out.add_floats(stem + ".weight", tensor::DType::f8_e4m3, {m.rows, m.cols}, scaled);
  out.add_floats(stem + ".weight_scale", tensor::DType::f32, {m.rows, 1}, scales);
}

/// llama.cpp's interleaved pairs of a head back to Hugging Face's halves.
Matrix unpermuted(const Matrix& m, std::uint64_t heads) {
  Matrix out = m;
  const std::uint64_t head = m.rows / heads;
  for (std::uint64_t r = 0; r < m.rows; r++) {
    const std::uint64_t in = r % head;
    const std::uint64_t from = r - in + 2 * (in % (head / 2)) + in / (head / 2);
    std::copy_n(m.values.begin() + static_cast<std::ptrdiff_t>(from * m.cols), m.cols,
                out.values.begin() + static_cast<std::ptrdiff_t>(r * m.cols));
  }
  return out;
}

const std::map<std::string, std::string> kLayerNames = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};

std::string hf_stem(const std::string& name) {
  if (name == "token_embd.weight") return "model.embed_tokens";
  if (name == "output_norm.weight") return "model.norm";
  const std::size_t dot = name.find('.', 4);
  const std::string part = name.substr(dot + 1, name.rfind('.') - dot - 1);
  return "model.layers." + name.substr(4, dot - 4) + "." + kLayerNames.at(part);
}

std::string config(const formats::GgufFile& file, const std::string& quantisation) {
  const auto n = [&](const std::string& key) { return std::to_string(file.uint("llama." + key)); };
  return R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","tie_word_embeddings":true,)"
         R"("vocab_size":)" +
         std::to_string(file.find("token_embd.weight")->rows()) + R"(,"hidden_size":)" + n("embedding_length") +
         R"(,"intermediate_size":)" + n("feed_forward_length") + R"(,"num_hidden_layers":)" + n("block_count") +
         R"(,"num_attention_heads":)" + n("attention.head_count") + R"(,"num_key_value_heads":)" +
         n("attention.head_count_kv") + R"(,"max_position_embeddings":)" + n("context_length") + R"(,"rope_theta":)" +
         std::to_string(file.number("llama.rope.freq_base")) + R"(,"rms_norm_eps":)" +
         std::to_string(file.number("llama.attention.layer_norm_rms_epsilon")) + R"(,"quantization_config":)" +
         quantisation + "}";
}

double mean_nll(LanguageModel& model, std::span<const std::int32_t> tokens) {
  const auto vocab = static_cast<std::size_t>(model.info().vocab);
  const auto logits = testing::all_logits(model, tokens, 128, 32);
  double sum = 0;
  for (std::size_t i = 0; i + 1 < tokens.size(); i++) {
    const auto row = std::span(logits).subspan(i * vocab, vocab);
    sum += testing::log_partition(row) - static_cast<double>(row[static_cast<std::size_t>(tokens[i + 1])]);
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

void expect_same_perplexity(const std::string& label, const std::string& quantisation,
                            void (*add)(FolderWriter&, const std::string&, const Matrix&)) {
  const auto file = testing::open_smollm2();
  FolderWriter out;
  for (const auto& name : file.names()) {
    const tensor::View view = *file.find(name);
    Matrix m{view.rows(), view.cols(), tensor::values_of(view)};
    if (name.ends_with("attn_q.weight")) m = unpermuted(m, file.uint("llama.attention.head_count"));
    if (name.ends_with("attn_k.weight")) m = unpermuted(m, file.uint("llama.attention.head_count_kv"));
    if (name.starts_with("blk.") && view.shape.size() == 2) {
      add(out, hf_stem(name), m);
    } else {
      out.add_floats(hf_stem(name) + ".weight", tensor::DType::bf16, view.shape, m.values);
    }
  }
  const fs::path folder = fs::path(::testing::TempDir()) / ("glia_smollm2_" + label + "_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  out.write(folder, config(file, quantisation));
  const auto text = testing::Smollm2Expected().get<std::int32_t>("text");
  double nll[2] = {};
  for (const auto math : {kernels::MathMode::exact, kernels::MathMode::fast}) {
    const auto device = kernels::make_cpu_device({0, math, kernels::available_isas().front()});
    const auto model = load_language_model(formats::HfFolder::open(folder), *device);
    nll[math == kernels::MathMode::fast ? 1 : 0] = mean_nll(*model, std::span(text).subspan(512, 384));
  }
  fs::remove_all(folder);
  const double difference = std::exp(nll[1] - nll[0]) - 1;
  std::cout << label << ": perplexity " << std::exp(nll[0]) << " exact, fast off by " << 100 * difference << " %\n";
  EXPECT_LE(std::abs(difference), 0.005);
  EXPECT_LT(nll[0], 4.0);  // Q4_1 as published has 3 over this text
}

TEST(SmolLm2Folder, Awq) {
  expect_same_perplexity("awq", R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"})", add_awq);
}

TEST(SmolLm2Folder, Gptq) {
  expect_same_perplexity("gptq", R"({"quant_method":"gptq","bits":4,"group_size":32})", add_gptq);
}

TEST(SmolLm2Folder, GptqActOrder) {
  expect_same_perplexity("act_order", R"({"quant_method":"gptq","bits":4,"group_size":32,"desc_act":true})",
                         add_act_order);
}

TEST(SmolLm2Folder, Fp8) { expect_same_perplexity("fp8", R"({"quant_method":"fbgemm_fp8"})", add_f8); }

}  // namespace
}  // namespace glia::models
