// Takes tensors out of a weight file by name, with the shape that the configuration asks for, onto a device. Remembers
// what was taken: a tensor that nobody asked for means a model that this code would compute wrongly.
// Errors: glia::Error(model_unavailable) naming the tensor that is missing, misshapen or left over.
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/weight_source.h"
#include "kernels/device.h"
#include "tensor/view.h"

namespace glia::models {

/// A float32 vector in device memory (norm weights, biases).
class DeviceVector {
 public:
  DeviceVector() = default;
  DeviceVector(kernels::Device& device, std::span<const float> values);
  /// Null when empty.
  const float* data() const { return memory_ ? reinterpret_cast<const float*>(memory_->data()) : nullptr; }
  std::size_t bytes() const { return memory_ ? memory_->bytes() : 0; }

 private:
  std::unique_ptr<kernels::Allocation> memory_;
};

class WeightBinder {
 public:
  /// One tensor of a stacked matrix: [rows, cols of the stack].
  struct Part {
    std::string name;
    std::int64_t rows;
  };

  /// Without a device nothing is packed: matrices are null and vectors empty, but every check is made. So a file is
  /// checked whole before the first tensor is packed. `rounding`: of float matrices.
  explicit WeightBinder(const formats::WeightSource& source, kernels::Device* device = nullptr,
                        kernels::Rounding rounding = kernels::Rounding::none)
      : source_(source), device_(device), rounding_(rounding) {}

  bool has(std::string_view name) const { return source_.find(name).has_value(); }
  /// Of a tensor that is there; nothing otherwise.
  std::optional<tensor::DType> type_of(std::string_view name) const {
    const auto found = source_.find(name);
    return found ? std::optional(found->dtype) : std::nullopt;
  }
  /// The tensors, each [rows, cols], stacked by rows.
  std::unique_ptr<kernels::Matrix> matrix(std::span<const Part> parts, std::int64_t cols);
  std::unique_ptr<kernels::Matrix> matrix(const std::string& name, std::int64_t rows, std::int64_t cols);
  /// [size], on the device and on the host; `offset` is added to every value.
  DeviceVector vector(const std::string& name, std::int64_t size, float offset = 0);
  /// Several vectors, one behind the other.
  DeviceVector vector(std::span<const Part> parts);
  std::vector<float> host_vector(const std::string& name, std::int64_t size);
  /// A tensor of that shape as the file has it; it counts as taken.
  tensor::View view(const std::string& name, std::span<const std::int64_t> shape);
  /// A tensor [1, size] or [size] as the former.
  tensor::View flat(const std::string& name, std::int64_t size);
  /// Its values as floats.
  std::vector<float> host_values(const std::string& name, std::span<const std::int64_t> shape);
  /// Matrices that view() found or that were made of them, stacked; `name` is for messages.
  std::unique_ptr<kernels::Matrix> matrix(std::span<const tensor::View> views, const std::string& name);
  DeviceVector upload(std::span<const float> values) const;
  kernels::Rounding rounding() const { return rounding_; }
  /// Whether there is a device: what is not packed need not be rearranged either.
  bool packs() const { return device_ != nullptr; }
  /// Marks a tensor that may stand in the file and is rightly not used.
  void ignore(const std::string& name) { used_.insert(name); }
  /// The same for every name that begins so.
  void ignore_prefix(std::string_view prefix);
  /// Errors: when the file has a tensor that was neither taken nor ignored.
  void check_all_used(std::string_view architecture) const;

 private:
  const formats::WeightSource& source_;
  kernels::Device* device_;
  kernels::Rounding rounding_;
  std::set<std::string, std::less<>> used_;
};

}  // namespace glia::models
