// Zeroed memory straight from the system, page-aligned, in huge pages where it is large: weights, KV pages, scratch.
// Errors: the constructor throws glia::Error(out_of_capacity). Movable; the memory goes with the object.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glia::kernels {

class PageBuffer {
 public:
  PageBuffer() = default;
  explicit PageBuffer(std::size_t bytes);
  PageBuffer(PageBuffer&& other) noexcept;
  PageBuffer& operator=(PageBuffer&& other) noexcept;
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  ~PageBuffer();

  std::uint8_t* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  /// What a buffer of `bytes` has.
  static std::size_t whole_pages(std::size_t bytes);
  /// Room for at least `bytes`; what it held may be lost.
  void reserve(std::size_t bytes);
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace glia::kernels
