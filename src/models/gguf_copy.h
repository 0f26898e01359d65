// For this room's tests: a golden GGUF with keys changed or tensors left out, as bytes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/gguf.h"
#include "formats/gguf_writer.h"

namespace glia::models::testing {

/// The file's arrays are left out.
class GgufCopy {
 public:
  explicit GgufCopy(const std::filesystem::path& path) : file_(formats::GgufFile::open(path)) {
    for (const auto& [key, value] : file_.metadata()) {
      std::visit([&, &k = key](const auto& v) { keep(k, v); }, value);
    }
  }

  std::map<std::string, formats::GgufWriter::Scalar> keys;
  std::set<std::string> left_out = {};  ///< tensors

  std::vector<std::byte> bytes() const {
    formats::GgufWriter out;
    for (const auto& [key, value] : keys) out.set(key, value);
    for (const auto& name : file_.names()) {
      if (left_out.contains(name)) continue;
      const auto view = file_.find(name).value();
      out.add_tensor(name, view.dtype, view.shape, view.data);
    }
    return out.bytes();
  }

 private:
  void keep(const std::string& key, std::string_view v) { keys[key] = std::string(v); }
  void keep(const std::string&, const formats::GgufArray&) {}
  template <typename T>
  void keep(const std::string& key, T v) {
    keys[key] = v;
  }

  formats::GgufFile file_;
};

}  // namespace glia::models::testing
