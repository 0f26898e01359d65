// Products for vector search, on every instruction set, against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/cpu_isa.h"
#include "kernels/device.h"
#include "kernels/test_support.h"
#include "kernels/vector_kernels.h"

namespace glia::kernels {
namespace {

struct Rows {
  std::vector<std::int8_t> bytes;
  std::vector<std::int16_t> q;
  std::int64_t n, values;

  Rows(std::int64_t rows, std::int64_t width, unsigned seed, int most_row, int most_q) : n(rows), values(width) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> row(-most_row, most_row);
    std::uniform_int_distribution<int> query(-most_q, most_q);
    for (std::int64_t i = 0; i < n * values; i++) bytes.push_back(static_cast<std::int8_t>(row(random)));
    for (std::int64_t i = 0; i < values; i++) q.push_back(static_cast<std::int16_t>(query(random)));
  }
  std::int64_t product(std::int64_t r) const {
    std::int64_t total = 0;
    for (std::int64_t j = 0; j < values; j++) {
      total += std::int64_t{bytes[static_cast<std::size_t>(r * values + j)]} * q[static_cast<std::size_t>(j)];
    }
    return total;
  }
};

void expect_products(const VectorKernels& kernels, const Rows& rows) {
  std::vector<std::int32_t> run(static_cast<std::size_t>(rows.n));
  std::vector<std::int32_t> gathered(static_cast<std::size_t>(rows.n));
  std::vector<const std::int8_t*> which;
  for (std::int64_t i = 0; i < rows.n; i++) which.push_back(rows.bytes.data() + (rows.n - 1 - i) * rows.values);
  kernels.dot_run(run.data(), rows.bytes.data(), rows.n, rows.q.data(), rows.values);
  kernels.dot_rows(gathered.data(), which.data(), rows.n, rows.q.data(), rows.values);
  for (std::int64_t i = 0; i < rows.n; i++) {
    EXPECT_EQ(run[static_cast<std::size_t>(i)], rows.product(i)) << i;
    EXPECT_EQ(gathered[static_cast<std::size_t>(i)], rows.product(rows.n - 1 - i)) << i;
  }
}

TEST(Vectors, ProductsOfBytesAreExactOnEverySet) {
  for (const std::string_view isa : available_isas()) {
    const VectorKernels& kernels = *choose_isa(isa).table->vectors;
    for (const std::int64_t n : {0, 1, 2, 5, 33}) {
      for (const std::int64_t values : {64, 384, 1536}) {
        expect_products(kernels, Rows(n, values, static_cast<unsigned>(n + values), 127, 8191));
      }
    }
  }
}

TEST(Vectors, TheLargestProductsStayWithinInt32) {
  for (const std::string_view isa : available_isas()) {
    Rows rows(2, kMostVectorValues, 1, 127, kMostQueryValue);
    for (auto& b : rows.bytes) b = 127;
    for (auto& v : rows.q) v = kMostQueryValue;
    for (std::int64_t j = 0; j < rows.values; j++) rows.bytes[static_cast<std::size_t>(j)] = -127;
    expect_products(*choose_isa(isa).table->vectors, rows);
  }
}

/// 16 sums of n / 16 products each: with u = 2^-24 the error is at most (n / 16 + 5) u sum|a b| (Higham, eq. 3.5).
TEST(Vectors, FloatsAreWithinTheirRoundings) {
  for (const std::string_view isa : available_isas()) {
    const VectorKernels& kernels = *choose_isa(isa).table->vectors;
    for (const std::int64_t n : {1, 15, 16, 17, 384, 768, 1000, 1536}) {
      const auto a = test::random_floats(static_cast<std::size_t>(n), 1);
      const auto b = test::random_floats(static_cast<std::size_t>(n), 2);
      double dot = 0, dot_size = 0, distance = 0;
      for (std::size_t i = 0; i < a.size(); i++) {
        dot += double{a[i]} * b[i];
        dot_size += std::fabs(double{a[i]} * b[i]);
        distance += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
      }
      const double roundings = (static_cast<double>(n) / 16 + 5) * test::kUnit;
      EXPECT_NEAR(kernels.dot(a.data(), b.data(), n), dot, roundings * dot_size);
      EXPECT_NEAR(kernels.squared_distance(a.data(), b.data(), n), distance, (roundings + 2 * test::kUnit) * distance);
    }
  }
}

}  // namespace
}  // namespace glia::kernels
