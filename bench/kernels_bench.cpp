// Micro benchmark of the kernels at a small model's shapes: medians, per op, in GOP/s (two per multiply-add) and GB/s
// of packed weights. Usage: kernels_bench [threads] [fast|exact] [isa] [filter] [kv] [int8]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"

namespace {

using namespace glia;
using kernels::Tensor;
using tensor::DType;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Timing {
  double median, best;  ///< seconds per call
};

/// Over 25 batches of calls of about a millisecond each. On a busy machine the best says more than the median.
Timing measure(const std::function<void()>& call) {
  call();
  const double once = seconds_now();
  call();
  const double guess = std::max(1e-7, seconds_now() - once);
  const int per_batch = std::clamp(static_cast<int>(0.001 / guess), 1, 2000);
  std::vector<double> times;
  for (int batch = 0; batch < 25; batch++) {
    const double start = seconds_now();
    for (int i = 0; i < per_batch; i++) call();
    times.push_back((seconds_now() - start) / per_batch);
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front()};
}

class Bench {
 public:
  Bench(kernels::Device& device, std::string filter) : d_(device), filter_(std::move(filter)) {}

  /// Rotates through `copies` matrices where the weights should come from memory, not from a cache.
  void matmul(const char* what, DType type, std::int64_t n, std::int64_t rows, std::int64_t cols, int copies,
              kernels::Rounding rounding = kernels::Rounding::none) {
    const std::string rounded = rounding == kernels::Rounding::allowed ? " rounded" : "";
    const std::string name = std::string(what) + " " + std::string(tensor::info(type).name) + rounded;
    if (name.find(filter_) == std::string::npos) return;
    std::vector<std::unique_ptr<kernels::Matrix>> w;
    for (int i = 0; i < copies; i++) w.push_back(weights(type, rows, cols, 1, rounding));
    const auto x = filled(n * cols);
    const auto y = filled(n * rows);
    int next = 0;
    const Timing t = measure([&] {
      d_.matmul(tensor_of(*y, n, rows), *w[static_cast<std::size_t>(next)], tensor_of(*x, n, cols));
      next = (next + 1) % copies;
    });
    const double ops = 2.0 * static_cast<double>(n) * static_cast<double>(rows) * static_cast<double>(cols);
    const auto bytes = static_cast<double>(w[0]->bytes());
    std::printf("%-20s n=%-4ld %5ldx%-5ld %9.1f us %7.1f GOP/s %6.1f GB/s   best %9.1f us %7.1f GOP/s %6.1f GB/s\n",
                name.c_str(), n, rows, cols, t.median * 1e6, ops / t.median / 1e9, bytes / t.median / 1e9, t.best * 1e6,
                ops / t.best / 1e9, bytes / t.best / 1e9);
  }

  void attention(const char* what, std::int32_t context, std::int32_t n) {
    if (std::string(what).find(filter_) == std::string::npos) return;
    constexpr std::int32_t kHeads = 9, kKvHeads = 3, kDim = 64, kPage = 32;
    const auto cache = d_.create_kv_cache({1, kKvHeads, kDim, kPage, context / kPage + 1});
    std::vector<std::int32_t> table, positions, sequences(static_cast<std::size_t>(context), 0);
    for (std::int32_t p = 0; p <= context / kPage; p++) table.push_back(p);
    for (std::int32_t p = 0; p < context; p++) positions.push_back(p);
    const std::vector<std::span<const std::int32_t>> tables = {table};
    const auto k = filled(std::int64_t{context} * kKvHeads * kDim);
    const auto kv = tensor_of(*k, context, kKvHeads * kDim);
    d_.kv_write(*cache, 0, kv, kv, {positions, sequences, tables});
    const auto q = filled(std::int64_t{n} * kHeads * kDim);
    const auto out = filled(std::int64_t{n} * kHeads * kDim);
    const auto first = static_cast<std::size_t>(context - n);
    const kernels::Rows rows = {std::span(positions).subspan(first), std::span(sequences).subspan(first), tables};
    const Timing t = measure([&] {
      d_.attention(tensor_of(*out, n, kHeads * kDim), tensor_of(*q, n, kHeads * kDim), *cache, 0, {0.125F}, rows);
    });
    double positions_seen = 0;
    for (const std::int32_t p : rows.positions) positions_seen += p + 1;
    const double ops = 4.0 * positions_seen * kHeads * kDim;
    std::printf("%-20s n=%-4d context %-5d %9.1f us %7.1f GFLOP/s   best %9.1f us %7.1f GFLOP/s\n", what, n, context,
                t.median * 1e6, ops / t.median / 1e9, t.best * 1e6, ops / t.best / 1e9);
  }

  /// Texts of one length, as a sentence encoder has them.
  void text_attention(const char* what, std::int64_t texts, std::int32_t length) {
    if (std::string(what).find(filter_) == std::string::npos) return;
    constexpr std::int32_t kHeads = 12, kDim = 32;
    const std::int64_t n = texts * length;
    const auto qkv = filled(n * 3 * kHeads * kDim);
    const auto out = filled(n * kHeads * kDim);
    const std::vector<std::int32_t> lengths(static_cast<std::size_t>(texts), length);
    const Tensor all = tensor_of(*qkv, n, 3 * kHeads * kDim);
    const auto part = [&](std::int64_t i) { return all.slice_cols(i * kHeads * kDim, kHeads * kDim); };
    const Timing t = measure([&] {
      d_.text_attention(tensor_of(*out, n, kHeads * kDim), part(0), part(1), part(2), lengths,
                        {.kv_heads = kHeads, .head_dim = kDim, .scale = 0.177F});
    });
    const double ops = 4.0 * static_cast<double>(n) * length * kHeads * kDim;
    std::printf("%-20s %ld texts of %-5d %9.1f us %7.1f GFLOP/s   best %9.1f us %7.1f GFLOP/s\n", what, texts, length,
                t.median * 1e6, ops / t.median / 1e9, t.best * 1e6, ops / t.best / 1e9);
  }

  /// A layer of a mixture of experts; every row chooses at random.
  void experts(const char* what, DType type, std::int64_t n, std::int64_t hidden, std::int64_t ff, std::int32_t count,
               std::int32_t used) {
    const std::string name = std::string(what) + " " + std::string(tensor::info(type).name);
    if (name.find(filter_) == std::string::npos) return;
    const auto gate_up = weights(type, 2 * ff, hidden, count);
    const auto down = weights(type, hidden, ff, count);
    kernels::Experts block;
    block.gate_up = gate_up.get();
    block.down = down.get();
    block.count = count;
    block.used = used;
    const auto x = filled(n * hidden);
    const auto y = filled(n * hidden);
    const int kRouters = 8;
    const auto logits = filled(kRouters * n * count);
    int next = 0;
    const Timing t = measure([&] {
      const Tensor router = tensor_of(*logits, kRouters * n, count).slice_rows(next * n, n);
      d_.experts(tensor_of(*y, n, hidden), block, tensor_of(*x, n, hidden), {}, router, false);
      next = (next + 1) % kRouters;
    });
    const double ops = 6.0 * static_cast<double>(n * used * ff * hidden);
    std::printf("%-20s n=%-4ld %d of %d experts %9.1f us %7.1f GOP/s   best %9.1f us %7.1f GOP/s\n", name.c_str(), n,
                used, count, t.median * 1e6, ops / t.median / 1e9, t.best * 1e6, ops / t.best / 1e9);
  }

  void rows(const char* what, std::int64_t n, std::int64_t cols, const std::function<void(Tensor, Tensor)>& op) {
    if (std::string(what).find(filter_) == std::string::npos) return;
    const auto x = filled(n * cols);
    const auto y = filled(n * cols);
    const Timing t = measure([&] { op(tensor_of(*y, n, cols), tensor_of(*x, n, cols)); });
    const double elements = static_cast<double>(n * cols);
    std::printf("%-20s n=%-4ld %5ld %9.1f us %7.2f ns/element   best %7.2f ns/element\n", what, n, cols, t.median * 1e6,
                t.median * 1e9 / elements, t.best * 1e9 / elements);
  }

  std::unique_ptr<kernels::Matrix> weights(DType type, std::int64_t rows, std::int64_t cols, int copies = 1,
                                           kernels::Rounding rounding = kernels::Rounding::none) {
    const auto row_bytes = tensor::row_bytes(type, static_cast<std::uint64_t>(cols));
    std::vector<float> values(static_cast<std::size_t>(cols));
    for (float& v : values) v = normal_(random_);
    std::vector<std::byte> bytes(static_cast<std::size_t>(rows) * row_bytes);
    const std::span<std::byte> first = std::span(bytes).first(row_bytes);
    tensor::quantize_row(type, values, first);
    for (std::size_t r = 1; r < static_cast<std::size_t>(rows); r++) {
      std::memcpy(bytes.data() + r * row_bytes, first.data(), row_bytes);
    }
    const tensor::View view = {type, {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols)}, bytes};
    const std::vector<tensor::View> stack(static_cast<std::size_t>(copies), view);
    const double start = seconds_now();
    auto matrix = d_.load_matrix(stack, rounding);
    load_seconds_ += seconds_now() - start;
    load_weights_ += static_cast<double>(rows * cols * copies);
    return matrix;
  }

  void report_loading() const {
    if (load_weights_ > 0) {
      std::printf("load_matrix: %.0f M weights/s (135 M in %.0f ms)\n", load_weights_ / load_seconds_ / 1e6,
                  135e6 / (load_weights_ / load_seconds_) * 1e3);
    }
  }

 private:
  std::unique_ptr<kernels::Allocation> filled(std::int64_t floats) {
    auto memory = d_.allocate(static_cast<std::size_t>(floats) * sizeof(float));
    std::vector<float> values(static_cast<std::size_t>(floats));
    for (float& v : values) v = normal_(random_);
    d_.upload(reinterpret_cast<float*>(memory->data()), values);
    return memory;
  }
  static Tensor tensor_of(kernels::Allocation& memory, std::int64_t rows, std::int64_t cols) {
    return {reinterpret_cast<float*>(memory.data()), rows, cols, cols};
  }

  kernels::Device& d_;
  std::string filter_;
  std::mt19937 random_{1};
  std::normal_distribution<float> normal_;
  double load_seconds_ = 0;
  double load_weights_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  kernels::CpuOptions options;
  if (argc > 1) options.threads = std::atoi(argv[1]);
  if (argc > 2) options.math = std::string(argv[2]) == "exact" ? kernels::MathMode::exact : kernels::MathMode::fast;
  if (argc > 3) options.isa = argv[3];
  if (argc > 5) {
    const std::string kv = argv[5];
    using kernels::KvType;
    options.kv = kv == "int8" ? KvType::int8 : kv == "f16" ? KvType::f16 : kv == "bf16" ? KvType::bf16 : KvType::int16;
  }
  if (argc > 6 && std::string(argv[6]) == "int8") options.activations = kernels::Activations::int8;
  const auto device = kernels::make_cpu_device(options);
  std::printf("%s\n", std::string(device->name()).c_str());
  Bench bench(*device, argc > 4 ? argv[4] : "");

  for (const std::int64_t n : {512, 64, 8, 4, 1}) {
    const int copies = n > 8 ? 1 : 30;
    bench.matmul("qkv", DType::q4_1, n, 960, 576, copies);
    bench.matmul("attn_out", DType::q4_1, n, 576, 576, copies);
    bench.matmul("gate_up", DType::q4_1, n, 3072, 576, copies);
    bench.matmul("down", DType::q4_1, n, 576, 1536, copies);
    if (n <= 8) bench.matmul("head", DType::q8_0, n, 49152, 576, 1);
  }
  for (const DType type :
       {DType::q4_0, DType::q5_1, DType::q8_0, DType::q4_k, DType::q5_k, DType::q6_k, DType::q2_k, DType::q3_k,
        DType::iq4_nl, DType::iq4_xs, DType::mxfp4, DType::int4_g128, DType::f8_g128, DType::f16}) {
    bench.matmul("prefill", type, 512, 2048, 2048, 1);
    bench.matmul("decode", type, 1, 2048, 2048, 20);
  }
  for (const std::int64_t n : {1, 8, 256, 2048}) {
    const auto allowed = kernels::Rounding::allowed;
    bench.matmul("encoder qkv", DType::f32, n, 1152, 384, 1, allowed);
    bench.matmul("encoder out", DType::f32, n, 384, 384, 1, allowed);
    bench.matmul("encoder up", DType::f32, n, 1536, 384, 1, allowed);
    bench.matmul("encoder down", DType::f32, n, 384, 1536, 1, allowed);
  }
  bench.text_attention("encoder attention", 32, 64);
  bench.text_attention("encoder attention", 8, 256);
  bench.rows("encoder layer_norm", 2048, 384,
             [&](Tensor y, Tensor x) { device->layer_norm(y, x, x.data, x.data, 1e-12F); });
  bench.rows("encoder gelu", 256, 1536, [&](Tensor y, Tensor) { device->activate(y, glia::kernels::Gate::gelu); });
  for (const std::int64_t n : {1, 8, 512}) bench.experts("experts", DType::q4_k, n, 2048, 768, 128, 8);
  bench.attention("attention prefill", 512, 512);
  bench.attention("attention prefill", 2048, 512);
  bench.attention("attention decode", 128, 1);
  bench.attention("attention decode", 2048, 1);
  bench.attention("attention decode", 8192, 1);
  bench.rows("rms_norm", 512, 576, [&](Tensor y, Tensor x) { device->rms_norm(y, x, {x.data, 1e-5F}); });
  bench.rows("gate silu", 512, 3072, [&](Tensor y, Tensor x) {
    device->gate({y.data, y.rows, y.cols / 2, y.stride}, x, glia::kernels::Gate::silu);
  });
  bench.report_loading();
  return 0;
}
