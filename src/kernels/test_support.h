// What the kernel tests share: seeded data, weights of every type, and both devices side by side.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "tensor/dtype.h"

namespace glia::kernels::test {

inline constexpr double kUnit = 0x1p-24;  ///< float32's unit roundoff

inline const std::vector<tensor::DType>& weight_types() {
  using tensor::DType;
  static const std::vector<DType> types = {
      DType::f32,    DType::f16,   DType::bf16,     DType::q4_0,      DType::q4_1,   DType::q5_0,   DType::q5_1,
      DType::q8_0,   DType::q4_k,  DType::q5_k,     DType::q6_k,      DType::q2_k,   DType::q3_k,   DType::iq4_nl,
      DType::iq4_xs, DType::mxfp4, DType::int4_g32, DType::int4_g128, DType::f8_g32, DType::f8_g128};
  return types;
}

inline std::vector<float> random_floats(std::size_t n, std::uint32_t seed, float scale = 1.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

/// A weight matrix as a file holds it.
struct Weights {
  tensor::DType type;
  std::int64_t rows, cols;
  std::vector<std::byte> bytes;

  Weights(tensor::DType t, std::int64_t r, std::int64_t c, std::uint32_t seed, float scale = 1.0F)
      : type(t), rows(r), cols(c) {
    const auto row_bytes = tensor::row_bytes(t, static_cast<std::uint64_t>(c));
    bytes.resize(static_cast<std::size_t>(r) * row_bytes);
    const auto width = static_cast<std::size_t>(c);
    const std::vector<float> values = random_floats(static_cast<std::size_t>(r) * width, seed, scale);
    for (std::size_t i = 0; i < static_cast<std::size_t>(r); i++) {
      tensor::quantize_row(t, std::span(values).subspan(i * width, width),
                           std::span(bytes).subspan(i * row_bytes, row_bytes));
    }
  }
  tensor::View view() const {
    return {type, {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)}, bytes};
  }
  std::vector<float> row(std::int64_t r) const {
    std::vector<float> out(static_cast<std::size_t>(cols));
    const auto n = tensor::row_bytes(type, static_cast<std::uint64_t>(cols));
    tensor::dequantize_row(type, std::span(bytes).subspan(static_cast<std::size_t>(r) * n, n), out);
    return out;
  }
};

/// Largest error of one output of a matrix product, x [cols] times w. Exact mode sums 32 products at a time, then the
/// block sums: with u = 2^-24 the error is at most (32 + cols / 32 + 4) u sum|x w| (Higham, Accuracy and Stability,
/// eq. 3.5; 4 for the product, the weight's and the output's own roundings). RMS normalisation adds (cols / 16 + 8) u
/// relative to every x. Fast mode rounds every x to a multiple of s = max|x| / 32512 of its 256 columns: an error
/// uniform in +-s / 2, of variance s^2 / 12. An output's error then has variance sum(w^2 s^2) / 12; six standard
/// deviations are allowed (2e-9 of outputs would miss that by chance; the data is seeded), plus the float32 error as
/// above.
inline double tolerance(bool int8, const float* x, const std::vector<float>& w, bool norm) {
  const std::size_t cols = w.size();
  double magnitude = 0;
  double variance = 0;
  double range = 0;
  for (std::size_t first = 0; first < cols; first += 32) {
    const std::size_t end = std::min(first + 32, cols);
    if (first % 256 == 0) {
      range = 0;
      for (std::size_t k = first; k < std::min(first + 256, cols); k++) {
        range = std::max(range, std::fabs(static_cast<double>(x[k])));
      }
    }
    double most = 0;
    double squares = 0;
    double heaviest = 0;
    for (std::size_t k = first; k < end; k++) {
      const auto xk = std::fabs(static_cast<double>(x[k]));
      const auto wk = std::fabs(static_cast<double>(w[k]));
      magnitude += xk * wk;
      most = std::max(most, xk);
      heaviest = std::max(heaviest, wk);
      squares += wk * wk;
    }
    if (int8) {
      variance += squares * std::pow(range / 32512, 2) / 12;
      magnitude += 64 * most * heaviest;  // d q and m apart may be twice the weight
    }
  }
  const auto n = static_cast<double>(cols);
  const double roundings = 32 + n / 32 + 4 + (norm ? n / 16 + 8 : 0);
  return 6 * std::sqrt(variance) + roundings * kUnit * magnitude + 1e-30;
}

/// A tensor in a device's memory that a test owns.
class Owned {
 public:
  Owned(Device& device, std::int64_t rows, std::int64_t cols)
      : device_(device),
        memory_(device.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float))),
        tensor_{reinterpret_cast<float*>(memory_->data()), rows, cols, cols} {}
  Owned(Device& device, std::int64_t rows, std::int64_t cols, const std::vector<float>& values)
      : Owned(device, rows, cols) {
    device.upload(tensor_.data, values);
  }
  operator Tensor() const { return tensor_; }
  const float* data() const { return tensor_.data; }
  std::vector<float> values() const {
    std::vector<float> out(static_cast<std::size_t>(tensor_.rows * tensor_.cols));
    device_.download(out, tensor_.data);
    return out;
  }

 private:
  Device& device_;
  std::unique_ptr<Allocation> memory_;
  Tensor tensor_;
};

inline std::unique_ptr<Device> cpu(std::string_view isa, MathMode math, std::int32_t threads = 2) {
  CpuOptions options;
  options.isa = isa;
  options.math = math;
  options.threads = threads;
  return make_cpu_device(options);
}

}  // namespace glia::kernels::test
