// A row's logits do not depend on how its sequence was cut into steps, on the threads, on which logits were asked for,
// or on the other sequences of the batch: equal bit for bit.
#include <gtest/gtest.h>

#include <cstring>

#include "formats/gguf.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using testing::DeviceCase;

std::vector<DeviceCase> devices() {
  auto out = testing::cpu_devices();
  out.push_back({"reference", true, "", kernels::MathMode::exact});
  return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

class LlamaBatch : public ::testing::TestWithParam<DeviceCase> {
 protected:
  /// Odd shapes in F32, or every quantised type.
  static std::unique_ptr<LanguageModel> load(const char* name, kernels::Device& device) {
    return load_language_model(formats::GgufFile::open(testing::golden_folder() / (std::string(name) + ".gguf")),
                               device);
  }
  static std::vector<std::int32_t> tokens_of(const char* name) { return testing::read_golden(name).inputs(); }
};

TEST_P(LlamaBatch, PrefillInOnePieceIsPrefillInChunksIsTokenByToken) {
  const auto device = GetParam().make();
  for (const auto* name : {"odd", "quant"}) {
    const auto model = load(name, *device);
    const auto tokens = tokens_of(name);
    const auto whole = testing::all_logits(*model, tokens, 1000);
    for (const std::int32_t chunk : {1, 2, 7, 16, 33}) {
      EXPECT_TRUE(same_bits(whole, testing::all_logits(*model, tokens, chunk))) << name << " in chunks of " << chunk;
    }
    EXPECT_TRUE(same_bits(whole, testing::all_logits(*model, tokens, 1000, 64))) << name << " in larger pages";
  }
}

TEST_P(LlamaBatch, ThreadsChangeNothing) {
  const auto one = GetParam().make(1);
  const auto three = GetParam().make(3);
  for (const auto* name : {"odd", "quant"}) {
    const auto tokens = tokens_of(name);
    EXPECT_TRUE(same_bits(testing::all_logits(*load(name, *one), tokens, 20),
                          testing::all_logits(*load(name, *three), tokens, 20)))
        << name;
  }
}

TEST_P(LlamaBatch, WantedRowsChangeNothing) {
  const auto device = GetParam().make();
  const auto model = load("odd", *device);
  const auto vocab = static_cast<std::size_t>(model->info().vocab);
  const auto tokens = tokens_of("odd");
  const auto all = testing::all_logits(*model, tokens, 1000, 100);
  const auto cache = model->create_kv_cache(1, 100);
  const std::int32_t page = 0;
  const std::span<const std::int32_t> table(&page, 1);
  std::vector<std::int32_t> positions(tokens.size());
  for (std::size_t i = 0; i < positions.size(); i++) positions[i] = static_cast<std::int32_t>(i);
  const std::vector<std::int32_t> sequences(tokens.size(), 0);
  const auto last = static_cast<std::int32_t>(tokens.size()) - 1;
  for (const std::vector<std::int32_t>& wanted :
       {std::vector<std::int32_t>{}, {0}, {last}, {3, 4, 5}, {0, 2, 3, 40, last}}) {
    std::vector<float> logits(wanted.size() * vocab);
    model->forward({tokens, {positions, sequences, {&table, 1}}, wanted}, *cache, logits);
    for (std::size_t i = 0; i < wanted.size(); i++) {
      EXPECT_TRUE(same_bits(std::span(logits).subspan(i * vocab, vocab),
                            std::span(all).subspan(static_cast<std::size_t>(wanted[i]) * vocab, vocab)))
          << "row " << wanted[i];
    }
  }
}

/// Keys and values must be complete in every layer after a step that wanted no logits at all.
TEST_P(LlamaBatch, AStepWithoutLogitsStillFillsTheCache) {
  const auto device = GetParam().make();
  const auto model = load("quant", *device);
  const auto tokens = tokens_of("quant");
  const auto whole = testing::all_logits(*model, tokens, 1000, 100);
  const auto cache = model->create_kv_cache(1, 100);
  const std::int32_t page = 0;
  const std::span<const std::int32_t> table(&page, 1);
  std::vector<std::int32_t> positions(tokens.size() - 1);
  for (std::size_t i = 0; i < positions.size(); i++) positions[i] = static_cast<std::int32_t>(i);
  const std::vector<std::int32_t> zeros(tokens.size(), 0);
  const std::span all(tokens);
  model->forward({all.first(positions.size()), {positions, std::span(zeros).first(positions.size()), {&table, 1}}, {}},
                 *cache, {});
  const auto position = static_cast<std::int32_t>(positions.size());
  const auto vocab = static_cast<std::size_t>(model->info().vocab);
  std::vector<float> logits(vocab);
  model->forward({all.last(1), {{&position, 1}, std::span(zeros).first(1), {&table, 1}}, std::span(zeros).first(1)},
                 *cache, logits);
  EXPECT_TRUE(same_bits(logits, std::span(whole).last(vocab)));
}

/// Three sequences in one batch, one decoding, two in the middle of a prompt, their rows interleaved, their pages
/// mixed.
TEST_P(LlamaBatch, NeighboursChangeNothing) {
  constexpr std::int32_t kPageTokens = 8;
  const auto device = GetParam().make();
  for (const auto* name : {"odd", "quant"}) {
    const auto model = load(name, *device);
    const auto vocab = static_cast<std::size_t>(model->info().vocab);
    const auto tokens = tokens_of(name);
    const std::span all(tokens);
    // Sequence s holds `before` tokens from `first` and gets `now` more.
    struct Part {
      std::size_t first, before, now;
    };
    const std::vector<Part> parts = {{0, 30, 1}, {11, 9, 14}, {40, 0, 5}};
    const std::vector<std::vector<std::int32_t>> pages = {{7, 2, 9, 0}, {1, 8, 3}, {5}};
    const auto cache = model->create_kv_cache(10, kPageTokens);

    std::vector<std::vector<float>> alone;
    std::vector<std::int32_t> batch, positions, sequences, wanted;
    for (std::size_t s = 0; s < parts.size(); s++) {
      const Part& p = parts[s];
      const auto own = model->create_kv_cache(10, kPageTokens);
      testing::Sequence one(*model, *own, {0, 1, 2, 3});
      testing::Sequence mixed(*model, *cache, pages[s]);
      if (p.before > 0) {
        one.append_last(all.subspan(p.first, p.before));
        mixed.append_last(all.subspan(p.first, p.before));
      }
      alone.push_back(one.append(all.subspan(p.first + p.before, p.now)));
    }
    for (std::size_t i = 0; i < 14; i++) {  // round robin over the sequences
      for (std::size_t s = 0; s < parts.size(); s++) {
        if (i >= parts[s].now) continue;
        batch.push_back(tokens[parts[s].first + parts[s].before + i]);
        positions.push_back(static_cast<std::int32_t>(parts[s].before + i));
        sequences.push_back(static_cast<std::int32_t>(s));
        wanted.push_back(static_cast<std::int32_t>(wanted.size()));
      }
    }
    const std::vector<std::span<const std::int32_t>> tables(pages.begin(), pages.end());
    std::vector<float> logits(wanted.size() * vocab);
    model->forward({batch, {positions, sequences, tables}, wanted}, *cache, logits);
    for (std::size_t r = 0; r < batch.size(); r++) {
      const auto s = static_cast<std::size_t>(sequences[r]);
      const auto i = static_cast<std::size_t>(positions[r]) - parts[s].before;
      EXPECT_TRUE(same_bits(std::span(logits).subspan(r * vocab, vocab), std::span(alone[s]).subspan(i * vocab, vocab)))
          << name << ", sequence " << s << ", token " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, LlamaBatch, ::testing::ValuesIn(devices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace glia::models
