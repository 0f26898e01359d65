// SmolLM2's weights rounded again to every quantised type: the fast path's perplexity against that of the same weights
// exactly dequantised, within 0.5 % (architecture, decision 2). The rounding itself is plain (tensor::quantize_row), so
// the perplexity itself is worse than that of published files; the comparison does not depend on it.
//
// ctest runs every type at once: layer i holds type i of the list. With GLIA_LONG=1 each type has a model of its own
// and reads all four windows of the text (scripts/test-long).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string_view>
#include <variant>

#include "formats/gguf_writer.h"
#include "models/llama/smollm2_fixture.h"

namespace glia::models {
namespace {

using tensor::DType;

constexpr DType kTypes[] = {DType::q4_0,   DType::q4_1,   DType::q5_0, DType::q5_1, DType::q8_0,
                            DType::q2_k,   DType::q3_k,   DType::q4_k, DType::q5_k, DType::q6_k,
                            DType::iq4_nl, DType::iq4_xs, DType::mxfp4};

/// Fits rows of `cols`? Super-blocks need a multiple of 256: of SmolLM2's matrices ffn_down alone has one. The others
/// then are Q8_0, as llama.cpp also falls back to another type.
DType fitting(DType wanted, std::uint64_t cols) {
  return cols % tensor::info(wanted).block == 0 ? wanted : DType::q8_0;
}

/// "blk.7.ffn_up.weight" -> 7; nothing for what belongs to no layer.
std::optional<std::size_t> layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  return std::stoul(std::string(name.substr(4)));
}

void copy_scalars(const formats::GgufFile& from, formats::GgufWriter& to) {
  for (const auto& [key, value] : from.metadata()) {
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, std::string_view>) {
            to.set(key, std::string(v));
          } else if constexpr (!std::is_same_v<T, formats::GgufArray>) {
            to.set(key, v);
          }
        },
        value);
  }
}

/// The file's matrices in layers rounded to type_of(layer); the embedding and the vectors stay as they are.
std::vector<std::byte> rounded(const formats::GgufFile& file, const std::function<DType(std::size_t)>& type_of) {
  formats::GgufWriter out;
  copy_scalars(file, out);
  for (const auto& name : file.names()) {
    const tensor::View view = *file.find(name);
    const auto layer = layer_of(name);
    if (layer && view.shape.size() == 2) {
      const auto values = tensor::values_of(view);
      out.add_tensor(name, fitting(type_of(*layer), view.cols()), view.shape, std::span<const float>(values));
    } else {
      out.add_tensor(name, view.dtype, view.shape, view.data);
    }
  }
  return out.bytes();
}

/// Mean -log p of every token behind the first of each window.
double mean_nll(LanguageModel& model, std::span<const std::int32_t> text, std::size_t window) {
  const auto vocab = static_cast<std::size_t>(model.info().vocab);
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t first = 0; first + window <= text.size(); first += window) {
    const auto tokens = text.subspan(first, window);
    const auto logits = testing::all_logits(model, tokens, 128, 32);
    for (std::size_t i = 0; i + 1 < window; i++, count++) {
      const auto row = std::span(logits).subspan(i * vocab, vocab);
      sum += testing::log_partition(row) - static_cast<double>(row[static_cast<std::size_t>(tokens[i + 1])]);
    }
  }
  return sum / static_cast<double>(count);
}

void expect_same_perplexity(const std::string& label, const std::vector<std::byte>& gguf,
                            std::span<const std::int32_t> text, std::size_t window) {
  const auto isa = kernels::available_isas().front();
  double nll[2] = {};
  for (const auto math : {kernels::MathMode::exact, kernels::MathMode::fast}) {
    const auto device = kernels::make_cpu_device({0, math, isa});
    const auto model = load_language_model(formats::GgufFile::parse(gguf), *device);
    nll[math == kernels::MathMode::fast ? 1 : 0] = mean_nll(*model, text, window);
  }
  const double difference = std::exp(nll[1] - nll[0]) - 1;
  std::cout << label << ": perplexity " << std::exp(nll[0]) << " exact, fast off by " << 100 * difference << " %\n";
  EXPECT_LE(std::abs(difference), 0.005) << label;
  EXPECT_LT(nll[0], 12.0) << label << ": the weights say nothing any more";  // a vocabulary of even odds has 10.8
}

TEST(SmolLm2Types, FastPerplexityIsThatOfTheDequantisedWeights) {
  const auto text = testing::Smollm2Expected().get<std::int32_t>("text");
  const auto file = testing::open_smollm2();
  const char* wanted = std::getenv("GLIA_LONG");
  if (wanted == nullptr || std::string_view(wanted) != "1") {
    // One window; every type in at least two layers.
    const auto mixed = rounded(file, [](std::size_t layer) { return kTypes[layer % std::size(kTypes)]; });
    expect_same_perplexity("every type", mixed, std::span(text).subspan(512, 384), 384);
    return;
  }
  for (const DType type : kTypes) {
    const auto one = rounded(file, [&](std::size_t) { return type; });
    expect_same_perplexity(std::string(tensor::info(type).name), one, text, 512);
  }
}

}  // namespace
}  // namespace glia::models
