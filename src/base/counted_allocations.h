// Counts every operator new of a test program. It replaces the global operators, which a program may do once: included
// by one file of the program, only ever a test.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace glia::counted {

inline std::atomic<std::int64_t> of_all_threads{0};
inline thread_local std::int64_t of_this_thread = 0;

inline void* allocate(std::size_t bytes) noexcept {
  of_all_threads.fetch_add(1, std::memory_order_relaxed);
  ++of_this_thread;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

inline void* allocate_or_throw(std::size_t bytes) {
  if (void* p = allocate(bytes)) return p;
  throw std::bad_alloc();
}

}  // namespace glia::counted

// All forms but the aligned ones: under a sanitizer a form left out would be the sanitizer's, and would not match.
void* operator new(std::size_t bytes) { return glia::counted::allocate_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return glia::counted::allocate_or_throw(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return glia::counted::allocate(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return glia::counted::allocate(bytes); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
