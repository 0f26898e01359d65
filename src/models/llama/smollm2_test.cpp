// SmolLM2-135M-Instruct in Q4_1, real weights. The exact path against transformers on the dequantised weights
// (tests/golden/make_smollm2.py), the fast path against the exact one over real text.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "models/llama/smollm2_fixture.h"

namespace glia::models {
namespace {

using testing::DeviceCase;
using testing::log_partition;

constexpr int kPrompts = 4;
constexpr std::size_t kWindows = 4;
constexpr std::size_t kWindow = 512;

class SmolLm2 : public ::testing::TestWithParam<DeviceCase> {};

/// As in golden_test.cpp: 8 rounding points in each of 30 layers and the head, products of up to 1536 terms, two
/// float32 computations, logits of magnitude up to 30.
TEST_P(SmolLm2, ExactIsTransformers) {
  const auto device = GetParam().make();
  const auto model = load_language_model(testing::open_smollm2(), *device);
  const testing::Smollm2Expected expected;
  const auto vocab = static_cast<std::size_t>(model->info().vocab);
  double worst = 0;
  for (int i = 0; i < kPrompts; i++) {
    const std::string n = std::to_string(i);
    const auto prompt = expected.get<std::int32_t>("prompt." + n);
    const auto greedy = expected.get<std::int32_t>("greedy." + n);
    EXPECT_EQ(testing::greedy_tokens(*model, prompt, static_cast<std::int32_t>(greedy.size())), greedy)
        << "prompt " << n;

    auto inputs = prompt;
    inputs.insert(inputs.end(), greedy.begin(), greedy.end() - 1);
    const auto logits = testing::all_logits(*model, inputs, 64, 32);
    const auto rows = expected.get<std::int32_t>("top." + n + ".rows");
    const auto ids = expected.get<std::int32_t>("top." + n + ".ids");
    const auto best = expected.get<float>("top." + n + ".logits");
    const std::size_t kept = ids.size() / rows.size();
    for (std::size_t k = 0; k < ids.size(); k++) {
      const float mine = logits[static_cast<std::size_t>(rows[k / kept]) * vocab + static_cast<std::size_t>(ids[k])];
      worst = std::max(worst, std::abs(static_cast<double>(mine) - static_cast<double>(best[k])));
    }
  }
  const double tolerance =
      2 * std::sqrt(8.0 * model->info().layers + 1) * std::sqrt(1536.0 / 16) * std::ldexp(1.0, -24) * 30;
  std::cout << "largest logit difference to transformers " << worst << " (bar " << tolerance << ")\n";
  EXPECT_LE(worst, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Exact, SmolLm2, ::testing::ValuesIn([] {
                           auto devices = testing::exact_devices();
                           devices.erase(devices.begin());  // the reference takes a minute per prompt
                           return devices;
                         }()),
                         [](const auto& info) { return info.param.name; });

struct Agreement {
  double top1 = 0;  ///< share of positions with the same best token
  double kl = 0;    ///< mean KL(exact || fast), nats
  double worst_kl = 0;
  double perplexity = 0;  ///< fast / exact - 1
  double exact_nll = 0;   ///< largest difference of a window's mean NLL to transformers'
};

std::vector<Agreement> compare(LanguageModel& exact, std::span<const std::unique_ptr<LanguageModel>> fast) {
  const testing::Smollm2Expected expected;
  const auto text = expected.get<std::int32_t>("text");
  const auto known_nll = expected.get<float>("text.nll");
  const auto vocab = static_cast<std::size_t>(exact.info().vocab);
  std::vector<Agreement> out(fast.size());
  std::vector<double> fast_nll(fast.size());
  double exact_nll = 0;
  for (std::size_t w = 0; w < kWindows; w++) {
    const auto window = std::span(text).subspan(w * kWindow, kWindow);
    const auto a = testing::all_logits(exact, window, 128, 32);
    std::vector<double> partitions;
    double window_nll = 0;
    for (std::size_t i = 0; i < kWindow; i++) {
      const auto p = std::span(a).subspan(i * vocab, vocab);
      partitions.push_back(log_partition(p));
      if (i + 1 < kWindow)
        window_nll += partitions[i] - static_cast<double>(p[static_cast<std::size_t>(window[i + 1])]);
    }
    exact_nll += window_nll;
    for (std::size_t f = 0; f < fast.size(); f++) {
      const auto b = testing::all_logits(*fast[f], window, 128, 32);
      for (std::size_t i = 0; i < kWindow; i++) {
        const auto p = std::span(a).subspan(i * vocab, vocab);
        const auto q = std::span(b).subspan(i * vocab, vocab);
        const double zq = log_partition(q);
        double kl = 0;
        for (std::size_t j = 0; j < vocab; j++) {
          const double lp = static_cast<double>(p[j]) - partitions[i];
          kl += std::exp(lp) * (lp - (static_cast<double>(q[j]) - zq));
        }
        out[f].kl += kl;
        out[f].worst_kl = std::max(out[f].worst_kl, kl);
        out[f].top1 += testing::argmax(p) == testing::argmax(q) ? 1 : 0;
        if (i + 1 < kWindow) fast_nll[f] += zq - static_cast<double>(q[static_cast<std::size_t>(window[i + 1])]);
      }
      out[f].exact_nll =
          std::max(out[f].exact_nll, std::abs(window_nll / (kWindow - 1) - static_cast<double>(known_nll[w])));
    }
  }
  constexpr double kPositions = kWindows * kWindow;
  for (std::size_t f = 0; f < fast.size(); f++) {
    out[f].top1 /= kPositions;
    out[f].kl /= kPositions;
    out[f].perplexity = std::exp((fast_nll[f] - exact_nll) / (kWindows * (kWindow - 1))) - 1;
  }
  return out;
}

/// Architecture, decision 2, over 2,048 tokens of real text: top-1 agreement 99 %, KL 0.01, perplexity within 0.5 %.
/// And no worse than the fast path's roundings alone make transformers (text.fast): twice their KL and a tenth of a
/// point of agreement are left to the draw of the rounding noise. With 8 bits per activation those roundings would cost
/// this model 3.5 % of its best tokens, whoever computes them: at 8 % of the positions the best token leads by less
/// than 0.1.
/// With every type of keys and values: 16-bit ones as above, bf16 within the bounds of 99 %, 0.01 and 0.5 %, int8
/// within those of KL and perplexity (it loses 2.3 % of the best tokens; docs/settings.md says so). Activations of 8
/// bits are held to those 3.5 % and what the draw of the noise leaves (thrice sqrt(0.035 * 0.965 / 2048) = 0.4 %), KL
/// 0.01 and perplexity within 1 %.
TEST(SmolLm2Text, FastAgreesWithExact) {
  using kernels::KvType;
  struct Kind {
    const char* name;
    KvType kv = kernels::kDefaultKvType;
    kernels::Activations activations = kernels::Activations::int16;
    double top1 = 0.99;
    double perplexity = 0.005;
    bool roundings = true;  ///< held to those alone
  };
  const Kind kinds[] = {{"int16", KvType::int16},
                        {"f16", KvType::f16},
                        {.name = "bf16", .kv = KvType::bf16, .roundings = false},
                        {.name = "int8", .kv = KvType::int8, .top1 = 0.97, .roundings = false},
                        {.name = "activations int8",
                         .activations = kernels::Activations::int8,
                         .top1 = 0.953,
                         .perplexity = 0.01,
                         .roundings = false}};
  const auto isa = kernels::available_isas().front();
  const auto exact_device = kernels::make_cpu_device({.math = kernels::MathMode::exact, .isa = isa});
  const auto exact = load_language_model(testing::open_smollm2(), *exact_device);
  std::vector<std::unique_ptr<kernels::Device>> devices;
  std::vector<std::unique_ptr<LanguageModel>> fast;
  for (const Kind& kind : kinds) {
    devices.push_back(kernels::make_cpu_device(
        {.math = kernels::MathMode::fast, .isa = isa, .kv = kind.kv, .activations = kind.activations}));
    fast.push_back(load_language_model(testing::open_smollm2(), *devices.back()));
  }
  const std::vector<Agreement> agreements = compare(*exact, fast);
  const auto roundings = testing::Smollm2Expected().get<float>("text.fast");
  for (std::size_t i = 0; i < fast.size(); i++) {
    const Kind& kind = kinds[i];
    SCOPED_TRACE(kind.name);
    const Agreement& a = agreements[i];
    std::cout << devices[i]->name() << " " << kind.name << ": top-1 agreement " << a.top1 << " (roundings alone "
              << roundings[0] << "), mean KL " << a.kl << " (" << roundings[1] << "), worst KL " << a.worst_kl
              << ", perplexity " << 100 * a.perplexity << " % (" << 100 * roundings[2]
              << " %), exact NLL off transformers by " << a.exact_nll << "\n";
    EXPECT_GE(a.top1, kind.top1);
    EXPECT_LE(a.kl, 0.01);
    EXPECT_LE(std::abs(a.perplexity), kind.perplexity);
    EXPECT_LE(a.exact_nll, 1e-4);
    if (!kind.roundings) continue;
    EXPECT_GE(a.top1, static_cast<double>(roundings[0]) - 0.001);
    EXPECT_LE(a.kl, 2 * static_cast<double>(roundings[1]));
  }
}

}  // namespace
}  // namespace glia::models
