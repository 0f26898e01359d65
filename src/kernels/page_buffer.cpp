#include "kernels/page_buffer.h"

#include <sys/mman.h>

#include <utility>

#include "base/error.h"

namespace glia::kernels {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

PageBuffer::PageBuffer(std::size_t bytes) {
  if (bytes == 0) return;
  if (bytes > SIZE_MAX / 2) throw Error(ErrorCode::out_of_capacity, "not enough memory");
  bytes = whole_pages(bytes);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw Error(ErrorCode::out_of_capacity, "not enough memory");
  if (bytes >= kHugePage) madvise(at, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::uint8_t*>(at);
  bytes_ = bytes;
}

std::size_t PageBuffer::whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

PageBuffer::PageBuffer(PageBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

PageBuffer::~PageBuffer() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

void PageBuffer::reserve(std::size_t bytes) {
  if (bytes > bytes_) *this = PageBuffer(bytes > 2 * bytes_ ? bytes : 2 * bytes_);
}

}  // namespace glia::kernels
