// libstdc++'s random_device, compiled on a newer glibc, calls arc4random, which glibc has from 2.36 on. With one of our
// own the program starts on 2.34 too.
#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

extern "C" std::uint32_t arc4random() noexcept {
  std::uint32_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != sizeof value) {
    if (errno != EINTR) std::abort();  // a kernel without getrandom, which glibc 2.34 does not run on
  }
  return value;
}
