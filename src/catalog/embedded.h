// The files of catalog/ as they were when the program was built (room.cmake makes the .cpp).
#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace glia::catalog {

/// Path below catalog/ ("models.json", "schemas/text-generation.json") and content. Lives as long as the program.
const std::vector<std::pair<std::string_view, std::string_view>>& embedded_files();

}  // namespace glia::catalog
