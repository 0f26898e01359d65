// What the hub answers: its list of files, which of them are chosen, and where each would lie. Whatever it says, a name
// stays inside its folder and a sum of sizes does not overflow.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "hub/choice.h"
#include "hub/listing.h"
#include "hub/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    static_cast<void>(glia::hub::Reference::parse(text.substr(0, 200)));
  } catch (const glia::Error&) {
  }
  try {
    const auto listing = glia::hub::parse_listing(text);
    if (!glia::hub::is_commit(listing.commit)) std::abort();
    std::vector<std::string> names;
    std::uint64_t bytes = 0;
    for (const auto& file : listing.files) {
      if (!glia::hub::is_safe_path(file.name) || !glia::hub::is_safe_path(file.blob)) std::abort();
      if (__builtin_add_overflow(bytes, file.bytes, &bytes)) std::abort();
      names.push_back(file.name);
    }
    for (const char* wanted : {"", "Q4_K_M", "model-Q8_0.gguf"}) {
      try {
        if (glia::hub::choose_files(names, wanted).files.size() > names.size()) std::abort();
      } catch (const glia::Error&) {
      }
    }
  } catch (const glia::Error&) {
  }
  return 0;
}
