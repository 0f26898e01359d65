#include "tensor/view.h"

#include <gtest/gtest.h>

#include <numeric>

namespace glia::tensor {
namespace {

/// Row r holds 10 r, 10 r + 1, ...
class Counting final : public RowSource {
 public:
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    for (std::uint64_t i = 0; i < count * 3; i++) out[i] = static_cast<std::byte>(10 * (first + i / 3) + i % 3);
  }
};

TEST(View, SlicesAreTheSameWhetherRowsAreThereOrMade) {
  std::vector<std::byte> bytes(18);
  Counting().read(0, 6, bytes);
  const View there(DType::u8, {2, 3, 3}, bytes);
  const View made(DType::u8, {2, 3, 3}, std::make_shared<Counting>());
  EXPECT_EQ(made.bytes(), 18U);
  EXPECT_EQ(values_of(there), values_of(made));
  for (const View* view : {&there, &made}) {
    EXPECT_EQ(values_of(slice_rows(*view, 3, 3)), (std::vector<float>{30, 31, 32, 40, 41, 42, 50, 51, 52}));
    const View odd = slice_rows(*view, 1, 3, 2);
    EXPECT_EQ(odd.shape, (std::vector<std::uint64_t>{3, 3}));
    EXPECT_EQ(values_of(odd), (std::vector<float>{10, 11, 12, 30, 31, 32, 50, 51, 52}));
    EXPECT_EQ(values_of(slice_rows(odd, 1, 2)), (std::vector<float>{30, 31, 32, 50, 51, 52}));
  }
}

}  // namespace
}  // namespace glia::tensor
