#include "tasks/late_interaction.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace glia::tasks {
namespace {

/// Mean over the query's tokens of the largest product with one of the context's; 0 where either has none.
double mean_of_nearest(std::span<const float> query, std::span<const float> context, std::size_t width) {
  const std::size_t asked = query.size() / width;
  const std::size_t tokens = context.size() / width;
  if (asked == 0 || tokens == 0) return 0;
  // Columns outermost: the inner loop runs over the context's tokens, side by side.
  std::vector<float> columns(context.size());
  for (std::size_t t = 0; t < tokens; t++) {
    for (std::size_t k = 0; k < width; k++) columns[k * tokens + t] = context[t * width + k];
  }
  std::vector<float> products(tokens);
  double sum = 0;
  for (std::size_t i = 0; i < asked; i++) {
    std::fill(products.begin(), products.end(), 0.0F);
    for (std::size_t k = 0; k < width; k++) {
      const float x = query[i * width + k];
      const float* column = &columns[k * tokens];
      for (std::size_t t = 0; t < tokens; t++) products[t] += x * column[t];
    }
    sum += static_cast<double>(*std::max_element(products.begin(), products.end()));
  }
  return sum / static_cast<double>(asked);
}

}  // namespace

double cosine(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

bool counts(std::string_view piece) {
  return std::any_of(piece.begin(), piece.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

double late_interaction(std::span<const float> query, std::span<const float> context, std::size_t width) {
  const double mean = mean_of_nearest(query, context, width);
  const auto tokens = static_cast<double>(std::max<std::size_t>(context.size() / width, 1));
  return 1 / (1 + std::exp(-(25 * mean - 0.5 * std::log(tokens) - 12)));
}

}  // namespace glia::tasks
