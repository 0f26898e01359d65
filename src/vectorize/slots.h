// The vectors of one index in memory, in numbered slots that are filled in order and never reused.
//
// A slot holds the values as float32 and the same as int8 with one scale, normalised first where the metric is cosine.
// All distances here are "lower is nearer": cosine -cos, euclidean the square, dot-product -dot. Between a prepared
// vector and a slot the int8 distance is bias + other_bias - factor * other_scale * scale * (integer product).
// Thread rule: add() and kill() need every other call excluded (a lock of the owner), but codes() and term() of
// slots below a size() that was read under that lock stay valid and constant without it.
// Ownership: memory is taken in chunks of kChunk slots and given back with the object.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/vector_kernels.h"
#include "vectorize/types.h"

namespace glia::vectorize {

using Slot = std::uint32_t;
inline constexpr Slot kNoSlot = 0xFFFFFFFF;

/// Anonymous memory, zeroed, that counts as it is written to. On large pages where the system has them, but for the
/// first `small` bytes: what holds little must not take a large page.
class Block {
 public:
  static constexpr std::size_t kLargePage = std::size_t{2} << 20;

  Block(std::size_t bytes, std::size_t small);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What the int8 form leaves out, per slot.
struct Term {
  float scale = 0;
  float bias = 0;
};

/// A vector to be compared with slots.
struct Prepared {
  std::vector<std::int16_t> q;  ///< padded with zeros
  float factor = 0;             ///< factor * its scale
  float bias = 0;
  float length = 0;           ///< Euclidean; 1 for cosine
  std::vector<float> values;  ///< as given
  float norm = 0;             ///< Euclidean length of values
};

class Slots {
 public:
  /// Of as many slots codes are whole large pages for every padding, and so are values of 16 or a multiple: a rest of a
  /// large page in every chunk would be memory for nothing.
  static constexpr Slot kChunk = 32'768;
  static constexpr Slot kMostSlots = 1U << 27;

  Slots(const IndexConfig& config, const kernels::VectorKernels& kernels);

  Slot size() const { return size_; }
  std::int64_t padded() const { return padded_; }
  Metric metric() const { return config_.metric; }
  const kernels::VectorKernels& kernels() const { return kernels_; }

  /// values: [dimensions], finite. `entry` is a number that stays the vector's own in other runs, too.
  /// Errors: glia::Error(vectorize_index_full); std::bad_alloc.
  Slot add(std::span<const float> values, std::int64_t entry);
  std::int64_t entry(Slot slot) const { return entries_[slot]; }
  /// What is found of it from now on is nothing; its codes stay for whoever passes through.
  void kill(Slot slot) { flags_[slot] = 0; }
  bool is_live(Slot slot) const { return flags_[slot] != 0; }

  const std::int8_t* codes(Slot slot) const {
    return reinterpret_cast<const std::int8_t*>(code_blocks_[slot / kChunk]->data()) + (slot % kChunk) * padded_;
  }
  const Term& term(Slot slot) const {
    return reinterpret_cast<const Term*>(term_blocks_[slot / kChunk]->data())[slot % kChunk];
  }
  std::span<const float> values(Slot slot) const {
    return {reinterpret_cast<const float*>(float_blocks_[slot / kChunk]->data()) +
                (slot % kChunk) * static_cast<std::size_t>(config_.dimensions),
            static_cast<std::size_t>(config_.dimensions)};
  }

  Prepared prepare(std::span<const float> values) const;
  /// A slot as the vector that others are compared with: of its int8 form.
  void prepare(Slot slot, std::int16_t* q) const;

  /// Distance by int8 of a prepared vector's integer product with a slot.
  float distance(const Prepared& p, Slot slot, std::int32_t product) const {
    const Term& t = term(slot);
    return p.bias + t.bias - p.factor * t.scale * static_cast<float>(product);
  }
  float distance(const Term& a, Slot slot, std::int32_t product) const {
    const Term& t = term(slot);
    return a.bias + t.bias - pair_factor_ * a.scale * t.scale * static_cast<float>(product);
  }
  /// Within which of the true distance that is, but for one in a billion.
  float margin(const Prepared& p, Slot slot) const { return 1.8F * pair_factor_ * p.length * term(slot).scale; }
  /// From the float32 values.
  float exact_distance(const Prepared& p, Slot slot) const;
  /// What clients see of an exact distance.
  double score(float distance) const;

  /// Of one slot in memory.
  std::size_t bytes_each() const;

 private:
  IndexConfig config_;
  const kernels::VectorKernels& kernels_;
  std::int64_t padded_;
  float pair_factor_;
  Slot size_ = 0;
  std::vector<std::unique_ptr<Block>> code_blocks_, term_blocks_, float_blocks_;
  std::vector<float> norms_;
  std::vector<std::int64_t> entries_;
  std::vector<std::uint8_t> flags_;
};

}  // namespace glia::vectorize
