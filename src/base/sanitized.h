// For tests that hold something to a time: whether this program carries a sanitizer, and what that costs.
#pragma once

namespace glia {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// By how much a bound on time is wider there; hostile texts and templates took 4 to 8 times as long under ASan.
inline constexpr int kSanitizerTimes = kSanitized ? 10 : 1;

}  // namespace glia
