#include "models/blocks/weight_binder.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/quote_name.h"

namespace glia::models {
namespace {

template <typename T>
std::string shape_text(const T& shape) {
  std::string out = "[";
  for (const auto dim : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(dim);
  return out + "]";
}

}  // namespace

DeviceVector::DeviceVector(kernels::Device& device, std::span<const float> values)
    : memory_(device.allocate(values.size_bytes())) {
  device.upload(reinterpret_cast<float*>(memory_->data()), values);
}

tensor::View WeightBinder::view(const std::string& name, std::span<const std::int64_t> shape) {
  auto found = source_.find(name);
  if (!found) throw Error(ErrorCode::model_unavailable, "tensor " + formats::quote_name(name) + " is missing");
  const bool fits = std::equal(
      found->shape.begin(), found->shape.end(), shape.begin(), shape.end(),
      [](std::uint64_t have, std::int64_t want) { return want >= 0 && have == static_cast<std::uint64_t>(want); });
  if (!fits) {
    throw Error(ErrorCode::model_unavailable, "tensor " + formats::quote_name(name) + " has shape " +
                                                  shape_text(found->shape) + ", the configuration asks for " +
                                                  shape_text(shape));
  }
  used_.insert(name);
  return *std::move(found);
}

tensor::View WeightBinder::flat(const std::string& name, std::int64_t size) {
  const auto found = source_.find(name);
  if (!found || found->shape.size() != 1) return view(name, std::array<std::int64_t, 2>{1, size});
  tensor::View out = view(name, std::array{size});
  out.shape.insert(out.shape.begin(), 1);
  return out;
}

std::unique_ptr<kernels::Matrix> WeightBinder::matrix(std::span<const tensor::View> views, const std::string& name) {
  if (device_ == nullptr) return nullptr;
  try {
    auto packed = device_->load_matrix(views, rounding_);
    source_.drop_pages();
    return packed;
  } catch (const Error& e) {
    if (e.code() == ErrorCode::internal) throw;
    throw Error(ErrorCode::model_unavailable, "tensor " + formats::quote_name(name) + ": " + e.detail());
  }
}

std::unique_ptr<kernels::Matrix> WeightBinder::matrix(std::span<const Part> parts, std::int64_t cols) {
  std::vector<tensor::View> views;
  views.reserve(parts.size());
  for (const Part& part : parts) views.push_back(view(part.name, std::array{part.rows, cols}));
  return matrix(views, parts.empty() ? "" : parts.front().name);
}

std::unique_ptr<kernels::Matrix> WeightBinder::matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
  return matrix(std::array{Part{name, rows}}, cols);
}

std::vector<float> WeightBinder::host_values(const std::string& name, std::span<const std::int64_t> shape) {
  const tensor::View found = view(name, shape);
  if (tensor::is_integer(found.dtype)) {
    throw Error(ErrorCode::model_unavailable, "tensor " + formats::quote_name(name) + " holds integers");
  }
  return tensor::values_of(found);
}

std::vector<float> WeightBinder::host_vector(const std::string& name, std::int64_t size) {
  return host_values(name, std::array{size});
}

DeviceVector WeightBinder::upload(std::span<const float> values) const {
  return device_ == nullptr ? DeviceVector() : DeviceVector(*device_, values);
}

DeviceVector WeightBinder::vector(const std::string& name, std::int64_t size, float offset) {
  auto values = host_vector(name, size);
  for (float& v : values) v += offset;
  return upload(values);
}

DeviceVector WeightBinder::vector(std::span<const Part> parts) {
  std::vector<float> values;
  for (const Part& part : parts) {
    const auto more = host_vector(part.name, part.rows);
    values.insert(values.end(), more.begin(), more.end());
  }
  return upload(values);
}

void WeightBinder::ignore_prefix(std::string_view prefix) {
  for (auto& name : source_.names()) {
    if (name.starts_with(prefix)) used_.insert(std::move(name));
  }
}

void WeightBinder::check_all_used(std::string_view architecture) const {
  for (const auto& name : source_.names()) {
    if (!used_.contains(name)) {
      throw Error(ErrorCode::model_unavailable,
                  "tensor " + formats::quote_name(name) + " has no place in a " + std::string(architecture) + " model");
    }
  }
}

}  // namespace glia::models
