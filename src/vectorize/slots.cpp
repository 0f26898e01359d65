#include "vectorize/slots.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/error.h"

namespace glia::vectorize {
namespace {

constexpr int kMostCode = 127;
constexpr Slot kFewSlots = 4096;     // an index of no more is kept on small pages
constexpr float kSmallest = 1e-30F;  // shorter vectors have no direction
constexpr float kFurthest = 1e38F;   // sums beyond it are held there, so that no distance is infinite or no number

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

float held(float distance) { return std::isnan(distance) ? kFurthest : std::clamp(distance, -kFurthest, kFurthest); }

}  // namespace

Block::Block(std::size_t bytes, std::size_t small)
    : bytes_(static_cast<std::size_t>(round_up(static_cast<std::int64_t>(bytes), kLargePage))) {
  void* const p =
      ::mmap(nullptr, bytes_ + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(p);
  // Large pages need their own alignment: what lies before and after is given back.
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const std::size_t before = (kLargePage - address % kLargePage) % kLargePage;
  if (before > 0) ::munmap(p, before);
  if (before < kLargePage) ::munmap(data_ + before + bytes_, kLargePage - before);
  data_ += before;
  const auto from = static_cast<std::size_t>(round_up(static_cast<std::int64_t>(small), kLargePage));
  if (from > 0) ::madvise(data_, std::min(from, bytes_), MADV_NOHUGEPAGE);
  if (from < bytes_) ::madvise(data_ + from, bytes_ - from, MADV_HUGEPAGE);
}

Block::~Block() { ::munmap(data_, bytes_); }

Slots::Slots(const IndexConfig& config, const kernels::VectorKernels& kernels)
    : config_(config),
      kernels_(kernels),
      padded_(round_up(config.dimensions, kernels::kVectorPadding)),
      pair_factor_(config.metric == Metric::euclidean ? 2.0F : 1.0F) {
  // Never moved afterwards: readers without the lock use the tables.
  for (auto* table : {&code_blocks_, &term_blocks_, &float_blocks_}) table->reserve(kMostSlots / kChunk);
}

Slot Slots::add(std::span<const float> values, std::int64_t entry) {
  if (size_ == kMostSlots) throw Error(ErrorCode::vectorize_index_full);
  const Slot slot = size_;
  if (slot % kChunk == 0) {
    const auto block = [slot](std::size_t each) {
      return std::make_unique<Block>(kChunk * each, slot == 0 ? kFewSlots * each : 0);
    };
    auto codes = block(static_cast<std::size_t>(padded_));
    auto values = block(static_cast<std::size_t>(config_.dimensions) * sizeof(float));
    auto terms = std::make_unique<Block>(kChunk * sizeof(Term), kChunk * sizeof(Term));
    code_blocks_.push_back(std::move(codes));  // all three or none: whoever had no memory tries again
    float_blocks_.push_back(std::move(values));
    term_blocks_.push_back(std::move(terms));
  }
  const std::int64_t n = config_.dimensions;
  auto* const floats = const_cast<float*>(this->values(slot).data());
  std::memcpy(floats, values.data(), static_cast<std::size_t>(n) * sizeof(float));
  const float norm = std::sqrt(kernels_.dot(floats, floats, n));
  const float most = kernels_.largest(floats, n);
  Term term;
  const bool has_direction = norm > kSmallest && std::isfinite(norm);
  if (most > kSmallest && (has_direction || config_.metric != Metric::cosine)) {
    kernels_.to_int8(const_cast<std::int8_t*>(codes(slot)), floats, n, kMostCode / most);
    term.scale = most / kMostCode / (config_.metric == Metric::cosine ? norm : 1.0F);
  }
  if (config_.metric == Metric::euclidean) term.bias = std::min(norm * norm, kFurthest / 8);
  reinterpret_cast<Term*>(term_blocks_[slot / kChunk]->data())[slot % kChunk] = term;
  norms_.push_back(norm);
  entries_.push_back(entry);
  flags_.push_back(1);
  ++size_;
  return slot;
}

Prepared Slots::prepare(std::span<const float> values) const {
  Prepared p;
  p.values.assign(values.begin(), values.end());
  p.q.resize(static_cast<std::size_t>(padded_));
  const std::int64_t n = config_.dimensions;
  p.norm = std::sqrt(kernels_.dot(values.data(), values.data(), n));
  const float most = kernels_.largest(values.data(), n);
  float scale = 0;
  if (most > kSmallest) {
    kernels_.to_int16(p.q.data(), values.data(), n, kernels::kMostQueryValue / most);
    scale = most / kernels::kMostQueryValue;
  }
  p.length = p.norm;
  if (config_.metric == Metric::cosine) {
    const bool has_direction = p.norm > kSmallest && std::isfinite(p.norm);
    scale = has_direction ? scale / p.norm : 0;
    p.length = 1;
  }
  p.factor = pair_factor_ * scale;
  if (config_.metric == Metric::euclidean) p.bias = std::min(p.norm * p.norm, kFurthest / 8);
  return p;
}

void Slots::prepare(Slot slot, std::int16_t* q) const {
  const std::int8_t* const from = codes(slot);
  for (std::int64_t j = 0; j < padded_; ++j) q[j] = from[j];
}

float Slots::exact_distance(const Prepared& p, Slot slot) const {
  const float* const x = values(slot).data();
  const std::int64_t n = config_.dimensions;
  if (config_.metric == Metric::euclidean) return held(kernels_.squared_distance(x, p.values.data(), n));
  const float dot = kernels_.dot(x, p.values.data(), n);
  if (config_.metric == Metric::dot_product) return held(-dot);
  const float cosine = dot / (norms_[slot] * p.norm);  // no number where a length is 0 or infinite
  return std::isnan(cosine) ? 0.0F : -std::clamp(cosine, -1.0F, 1.0F);
}

double Slots::score(float distance) const {
  switch (config_.metric) {
    case Metric::cosine:
      return -static_cast<double>(distance) + 0.0;  // no -0
    case Metric::euclidean:
      return std::sqrt(std::max(0.0, static_cast<double>(distance)));
    case Metric::dot_product:
      break;
  }
  return static_cast<double>(distance) + 0.0;
}

std::size_t Slots::bytes_each() const {
  return static_cast<std::size_t>(padded_) + static_cast<std::size_t>(config_.dimensions) * sizeof(float) +
         sizeof(Term) + sizeof(float) + sizeof(std::int64_t) + 1;
}

}  // namespace glia::vectorize
