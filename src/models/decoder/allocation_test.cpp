// The token loop allocates nothing: neither the model's forward nor the device's operations below it, on any thread,
// once a batch of that size has been seen.
#include <gtest/gtest.h>

#include "base/counted_allocations.h"
#include "formats/gguf.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

constexpr std::int32_t kSequences = 3;
constexpr std::int32_t kPageTokens = 32;

class TokenLoop : public ::testing::TestWithParam<testing::DeviceCase> {};

TEST_P(TokenLoop, AllocatesNothing) {
  const auto device = GetParam().make();
  const auto model = load_language_model(formats::GgufFile::open(testing::golden_folder() / "quant.gguf"), *device);
  const auto cache = model->create_kv_cache(kSequences, kPageTokens);
  const std::vector<std::int32_t> pages = {2, 0, 1};
  std::vector<std::span<const std::int32_t>> tables;
  std::vector<std::int32_t> sequences, tokens, wanted;
  for (std::int32_t s = 0; s < kSequences; s++) {
    tables.push_back(std::span(pages).subspan(static_cast<std::size_t>(s), 1));
    sequences.push_back(s);
    tokens.push_back(s);
    wanted.push_back(s);
  }
  std::vector<float> logits(static_cast<std::size_t>(kSequences * model->info().vocab));
  std::vector<std::int32_t> positions(kSequences);
  for (std::int32_t step = 0; step < kPageTokens; step++) {
    positions.assign(kSequences, step);
    const std::int64_t before = counted::of_all_threads.load();
    model->forward({tokens, {positions, sequences, tables}, wanted}, *cache, logits);
    const std::int64_t made = counted::of_all_threads.load() - before;
    if (step >= 2) {
      EXPECT_EQ(made, 0) << "step " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, TokenLoop, ::testing::ValuesIn(testing::cpu_devices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace glia::models
