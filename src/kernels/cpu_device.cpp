#include "kernels/cpu_device.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/cpu_product.h"

namespace glia::kernels {
namespace {

class CpuAllocation final : public Allocation {
 public:
  explicit CpuAllocation(std::size_t bytes) : buffer_(bytes) {}
  std::byte* data() override { return buffer_.as<std::byte>(); }
  std::size_t bytes() const override { return buffer_.bytes(); }

 private:
  PageBuffer buffer_;
};

float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

}  // namespace

CpuDevice::CpuDevice(const Isa& isa, const CpuOptions& options)
    : isa_(isa),
      kernels_(*isa.table),
      math_(options.math),
      kv_type_(options.math == MathMode::exact ? KvType::f32 : options.kv),
      int8_(options.activations == Activations::int8),
      rounded_(rounded_weights(options.math, options.activations)),
      pool_(options.threads) {
  row_scratch_.resize(static_cast<std::size_t>(pool_.size()));
  attention_scratch_.resize(static_cast<std::size_t>(pool_.size()));
}

CpuDevice::~CpuDevice() = default;

std::unique_ptr<Allocation> CpuDevice::allocate(std::size_t bytes) { return std::make_unique<CpuAllocation>(bytes); }

void CpuDevice::upload(float* device, std::span<const float> host) {
  if (!host.empty()) std::memcpy(device, host.data(), host.size_bytes());
}

void CpuDevice::download(std::span<float> host, const float* device) {
  if (!host.empty()) std::memcpy(host.data(), device, host.size_bytes());
}

std::unique_ptr<Matrix> CpuDevice::load_matrix(std::span<const tensor::View> parts, Rounding rounding) {
  const FloatWeights floats = rounding == Rounding::allowed ? rounded_ : FloatWeights::kept;
  return CpuMatrix::pack(parts, floats, pool_, store_);
}

std::unique_ptr<KvCache> CpuDevice::create_kv_cache(const KvShape& shape) {
  return std::make_unique<CpuKvCache>(shape, kv_type_);
}

void CpuDevice::embed(Tensor out, const Matrix& table, std::span<const std::int32_t> ids) {
  const auto& m = static_cast<const CpuMatrix&>(table);
  assert(out.cols == m.cols() && out.rows == static_cast<std::int64_t>(ids.size()));
  for_rows(out.rows, m.cols(), [&](std::int64_t r, int) { m.read_row(ids[static_cast<std::size_t>(r)], row(out, r)); });
}

void CpuDevice::rms_norm(Tensor out, Tensor x, Norm norm) {
  assert(out.cols == x.cols && out.rows == x.rows);
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) {
    const float factor = kernels_.rms_factor(row(x, r), x.cols, norm.eps);
    kernels_.scale_row(row(out, r), row(x, r), x.cols, factor, norm.weight);
  });
}

void CpuDevice::head_norm(Tensor x, std::int32_t head_dim, Norm norm) {
  assert(x.cols % head_dim == 0 && norm.weight != nullptr);
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) {
    for (float* head = row(x, r); head < row(x, r) + x.cols; head += head_dim) {
      kernels_.scale_row(head, head, head_dim, kernels_.rms_factor(head, head_dim, norm.eps), norm.weight);
    }
  });
}

void CpuDevice::layer_norm(Tensor out, Tensor x, const float* weight, const float* bias, float eps) {
  assert(out.cols == x.cols && out.rows == x.rows);
  for_rows(x.rows, x.cols,
           [&](std::int64_t r, int) { kernels_.layer_norm(row(out, r), row(x, r), x.cols, weight, bias, eps); });
}

void CpuDevice::gate(Tensor out, Tensor x, Gate gate) {
  const std::int64_t half = x.cols / 2;
  assert(out.cols == half && out.rows == x.rows);
  const GateKernel kernel = kernels_.gates[static_cast<std::size_t>(gate)];
  for_rows(x.rows, half, [&](std::int64_t r, int) { kernel(row(out, r), row(x, r), row(x, r) + half, half); });
}

void CpuDevice::activate(Tensor x, Gate gate) {
  const GateKernel kernel = kernels_.gates[static_cast<std::size_t>(gate)];
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) { kernel(row(x, r), row(x, r), nullptr, x.cols); });
}

void CpuDevice::scale(Tensor x, float factor) {
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) { kernels_.scale(row(x, r), x.cols, factor); });
}

void CpuDevice::softcap(Tensor x, float cap) {
  assert(cap > 0);
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) { kernels_.softcap(row(x, r), x.cols, cap); });
}

void CpuDevice::add(Tensor out, Tensor x) {
  assert(out.cols == x.cols && out.rows == x.rows);
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) { kernels_.add(row(out, r), row(x, r), x.cols, 1.0F); });
}

const float* CpuDevice::angles(const Rope& rope, std::span<const std::int32_t> positions) {
  const auto same = [](const auto& a, const auto& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); };
  if (same(positions, angle_positions_) && same(rope.inv_freq, angle_inv_freq_) &&
      angle_scale_ == rope.attention_scale) {
    return angles_.as<float>();
  }
  angle_positions_.assign(positions.begin(), positions.end());
  angle_inv_freq_.assign(rope.inv_freq.begin(), rope.inv_freq.end());
  angle_scale_ = rope.attention_scale;
  const std::int64_t half = rope.dims / 2;
  angles_.reserve(positions.size() * static_cast<std::size_t>(rope.dims) * sizeof(float));
  for_rows(static_cast<std::int64_t>(positions.size()), 16 * rope.dims, [&](std::int64_t r, int) {
    float* cosines = angles_.as<float>() + r * rope.dims;
    for (std::int64_t j = 0; j < half; j++) {
      // A float32 product, as the reference implementations of the models form it.
      const float angle =
          static_cast<float>(positions[static_cast<std::size_t>(r)]) * rope.inv_freq[static_cast<std::size_t>(j)];
      cosines[j] = static_cast<float>(std::cos(static_cast<double>(angle))) * rope.attention_scale;
      cosines[half + j] = static_cast<float>(std::sin(static_cast<double>(angle))) * rope.attention_scale;
    }
  });
  return angles_.as<float>();
}

void CpuDevice::rope(Tensor x, std::int32_t head_dim, const Rope& rope, std::span<const std::int32_t> positions) {
  assert(x.cols % head_dim == 0 && rope.dims <= head_dim && rope.dims % 2 == 0);
  assert(rope.inv_freq.size() == static_cast<std::size_t>(rope.dims / 2));
  assert(x.rows == static_cast<std::int64_t>(positions.size()));
  const float* cos_sin = angles(rope, positions);
  for_rows(x.rows, x.cols, [&](std::int64_t r, int) {
    kernels_.rope(row(x, r), x.cols / head_dim, head_dim, rope.dims, rope.layout == RopeLayout::interleaved,
                  cos_sin + r * rope.dims);
  });
}

std::size_t kv_page_bytes(MathMode math, KvType type, std::int32_t kv_heads, std::int32_t head_dim,
                          std::int32_t page_tokens) {
  const KvLayout layout = kv_layout(math == MathMode::exact ? KvType::f32 : type, head_dim, page_tokens);
  return static_cast<std::size_t>(layout.head_bytes) * static_cast<std::size_t>(kv_heads);
}

std::unique_ptr<Device> make_cpu_device(const CpuOptions& options) {
  return std::make_unique<CpuDevice>(choose_isa(options.isa), options);
}

}  // namespace glia::kernels
