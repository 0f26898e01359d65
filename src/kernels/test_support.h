// What the kernel tests share: seeded data, weights of every type, and both devices side by side.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "kernels/kernel_table.h"
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

/// How a device multiplies quantised weights.
enum class Way { exact, int16, int8 };

/// Largest error of one output of a matrix product, x [cols] times w. Exact mode sums 32 products at a time, then the
/// block sums: with u = 2^-24 the error is at most (32 + cols / 32 + 4) u sum|x w| (Higham, Accuracy and Stability,
/// eq. 3.5; 4 for the product, the weight's and the output's own roundings). RMS normalisation adds (cols / 16 + 8) u
/// relative to every x. Fast mode rounds every x to a multiple of s = max|x| / 32512 of its 256 columns, with int8
/// activations of s = max|x| / 127 of its 32: an error uniform in +-s / 2, of variance s^2 / 12. An output's error then
/// has variance sum(w^2 s^2) / 12; six standard deviations are allowed (2e-9 of outputs would miss that by chance; the
/// data is seeded), plus the float32 error as above.
inline double tolerance(Way way, const float* x, const std::vector<float>& w, bool norm) {
  const std::size_t cols = w.size();
  const std::size_t shared = way == Way::int8 ? 32 : 256;  // columns of one scale
  double magnitude = 0;
  double variance = 0;
  double range = 0;
  for (std::size_t first = 0; first < cols; first += 32) {
    const std::size_t end = std::min(first + 32, cols);
    if (first % shared == 0) {
      range = 0;
      for (std::size_t k = first; k < std::min(first + shared, cols); k++) {
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
    if (way != Way::exact) {
      variance += squares * std::pow(range / (way == Way::int8 ? 127 : 32512), 2) / 12;
      magnitude += 64 * most * heaviest;  // d q and m apart may be twice the weight
    }
  }
  const auto n = static_cast<double>(cols);
  const double roundings = 32 + n / 32 + 4 + (norm ? n / 16 + 8 : 0);
  return 6 * std::sqrt(variance) + roundings * kUnit * magnitude + 1e-30;
}

/// What storing adds to the error of a score of normal vectors, and of a value.
struct StoredError {
  double score = 0;
  double value = 0;
};

/// `length`: the most of |q| and |k|, so scale length^2 bounds a score; `largest`: of an element.
/// Floats: relative to every element. int16: q and k are rounded to multiples of |q| / kMostLength, so each of the two
/// errors is at most sqrt(dim) / 2 of those long; a value by half of largest / kMostValue16. int8: a key is off by
/// sqrt(dim) / 2 of largest / 127. Weights of 32 positions are off by half of their largest / 8191 (32767 for int8): at
/// most 16 / 8191 of their sum.
inline StoredError stored_error(KvType kv, double dim, double scale, double length, double largest) {
  const double score = scale * length * length;
  const double query = std::sqrt(dim) / 2 / static_cast<double>(kMostLength);
  switch (kv) {
    case KvType::f32:
      return {};
    case KvType::f16:
      return {score * 0x1p-11, 0x1p-11 * largest};
    case KvType::bf16:
      return {score * 0x1p-8, 0x1p-8 * largest};
    case KvType::int16:
      return {2 * score * query, largest / 2 / kMostValue16 + largest * 16 / 8191};
    case KvType::int8:
      return {score * query + scale * length * std::sqrt(dim) * largest / 2 / kMostKey8,
              largest / 2 / kMostValue8 + largest * 16 / 32767};
  }
  return {};
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

/// What a test of products runs on.
struct Parameters {
  std::string_view isa;
  Way way;
  /// How weights of `type` are multiplied: only quantised ones by integers.
  Way way_for(tensor::DType type) const { return tensor::info(type).block > 1 ? way : Way::exact; }
};
inline std::string name_of(const Parameters& p) {
  const char* const ways[] = {"_exact", "_fast", "_int8"};
  return std::string(p.isa) + ways[static_cast<std::size_t>(p.way)];
}
inline void PrintTo(const Parameters& p, std::ostream* out) { *out << name_of(p); }
inline std::vector<Parameters> all_parameters() {
  std::vector<Parameters> all;
  for (const std::string_view isa : available_isas()) {
    for (const Way way : {Way::exact, Way::int16, Way::int8}) all.push_back({isa, way});
  }
  return all;
}

inline std::unique_ptr<Device> cpu(const Parameters& parameters, std::int32_t threads = 2) {
  CpuOptions options;
  options.isa = parameters.isa;
  options.math = parameters.way == Way::exact ? MathMode::exact : MathMode::fast;
  options.activations = parameters.way == Way::int8 ? Activations::int8 : Activations::int16;
  options.threads = threads;
  return make_cpu_device(options);
}

}  // namespace glia::kernels::test
