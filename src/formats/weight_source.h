// Where a model's tensors come from, whatever the file format: names to checked read-only views.
// Ownership: the source owns the mapped files; views die with it. Thread rule: const access from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/view.h"

namespace glia::formats {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// The tensor of that name, if the file has it. Its bytes were checked against the file when it was opened. Its rows
  /// may have to be made (tensor::View::source): read them with tensor::read_rows or values_of.
  virtual std::optional<tensor::View> find(std::string_view name) const = 0;
  /// Names of all tensors, sorted.
  virtual std::vector<std::string> names() const = 0;
  /// Tells the system that what was read so far is not needed for now: while weights are packed one by one, file and
  /// packed copy are then never in memory together.
  virtual void drop_pages() const {}
};

}  // namespace glia::formats
