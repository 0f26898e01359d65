// A device with a store: what was kept is used as it is, what was not is packed and kept.
#include "kernels/packed_store.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <set>

#include "base/error.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using tensor::DType;
using test::Weights;

/// Keeps everything in memory, and hands it out in the same order.
class MemoryStore final : public PackedStore {
 public:
  struct Kept {
    std::uint64_t key;
    std::shared_ptr<std::vector<std::uint8_t>> bytes;
  };

  std::shared_ptr<const std::uint8_t> find(std::uint64_t key, std::size_t bytes, ThreadPool&) override {
    if (next >= kept.size()) return nullptr;
    const Kept& entry = kept[next++];
    EXPECT_EQ(entry.key, key);
    EXPECT_EQ(entry.bytes->size(), bytes);
    ++found;
    return {entry.bytes, entry.bytes->data()};
  }
  void keep(std::uint64_t key, std::span<const std::uint8_t> packed) override {
    kept.push_back({key, std::make_shared<std::vector<std::uint8_t>>(packed.begin(), packed.end())});
    next = kept.size();
  }

  std::vector<Kept> kept;
  std::size_t next = 0;
  int found = 0;
};

/// A product, and its rows as the embedding reads them.
std::vector<float> results(Device& device, const Matrix& matrix) {
  const test::Owned x(device, 1, matrix.cols(), test::random_floats(static_cast<std::size_t>(matrix.cols()), 7));
  const test::Owned product(device, 1, matrix.rows());
  device.matmul(product, matrix, x);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(matrix.rows()));
  std::iota(ids.begin(), ids.end(), 0);
  const test::Owned rows(device, matrix.rows(), matrix.cols());
  device.embed(rows, matrix, ids);
  std::vector<float> all = product.values();
  const auto more = rows.values();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(PackedStore, every_type_multiplies_the_same_from_the_store) {
  for (const std::string_view isa : available_isas()) {
    for (const test::Way way : {test::Way::exact, test::Way::int16, test::Way::int8}) {
      const auto device = test::cpu({isa, way});
      MemoryStore store;
      for (const DType type : test::weight_types()) {
        SCOPED_TRACE(std::string(isa) + " " + std::string(tensor::info(type).name));
        const Weights ragged(type, 19, 512, 1);
        const Weights below(type, 32, 512, 2);
        const std::vector<tensor::View> stack = {ragged.view(), below.view()};
        const auto plain = device->load_matrix(stack);
        device->use_store(&store);
        const auto kept = device->load_matrix(stack);
        store.next = store.kept.size() - 1;
        const int found = store.found;
        const auto again = device->load_matrix(stack);
        device->use_store(nullptr);
        EXPECT_EQ(store.found, found + 1);
        EXPECT_EQ(again->bytes(), plain->bytes());
        EXPECT_TRUE(same_bits(results(*device, *kept), results(*device, *plain)));
        EXPECT_TRUE(same_bits(results(*device, *again), results(*device, *plain)));
      }
    }
  }
}

TEST(PackedStore, the_key_tells_shapes_types_and_stacks_apart) {
  const auto device = test::cpu({"", test::Way::int16}, 1);
  MemoryStore store;
  device->use_store(&store);
  const Weights a(DType::q4_0, 32, 256, 1);
  const Weights b(DType::q4_0, 16, 512, 1);
  const Weights c(DType::q8_0, 32, 256, 1);
  const Weights half(DType::q4_0, 16, 256, 1);
  const Weights other(DType::q4_1, 32, 256, 1);
  const std::vector<std::vector<tensor::View>> loads = {{a.view()},
                                                        {b.view()},
                                                        {c.view()},
                                                        {half.view(), half.view()},
                                                        {half.view(), a.view()},
                                                        {a.view(), half.view()},
                                                        {other.view()}};
  for (const auto& views : loads) (void)device->load_matrix(views);
  const Weights floats(DType::f32, 32, 256, 1);
  (void)device->load_matrix(std::array{floats.view()});
  (void)device->load_matrix(std::array{floats.view()}, Rounding::allowed);
  const auto by_bytes = test::cpu({"", test::Way::int8}, 1);
  by_bytes->use_store(&store);
  (void)by_bytes->load_matrix(std::array{floats.view()}, Rounding::allowed);
  std::set<std::uint64_t> keys;
  for (const auto& kept : store.kept) keys.insert(kept.key);
  EXPECT_EQ(keys.size(), loads.size() + 2) << "Q8_0 of its own and rounded to it are packed alike";
}

TEST(PackedStore, weights_that_cannot_be_used_are_not_kept) {
  const auto device = test::cpu({"", test::Way::int16}, 1);
  MemoryStore store;
  device->use_store(&store);
  Weights w(DType::f8_g32, 16, 32, 1);
  std::memset(w.bytes.data() + sizeof(float), 0x7F, 1);  // a NaN
  EXPECT_THROW((void)device->load_matrix(std::array{w.view()}), Error);
  EXPECT_TRUE(store.kept.empty());
}

}  // namespace
}  // namespace glia::kernels
