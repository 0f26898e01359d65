// Which of a repository's files are needed to run its model: never the same weights twice.
// Thread rule: functions of their arguments. Errors: glia::Error(model_unavailable) saying what there is instead.
// Source: transformers' file names; llama.cpp's gguf-split and its names of quantisations.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace glia::hub {

struct Choice {
  std::vector<std::string> files;  ///< all to fetch, in the order of `names`
  std::string gguf;                ///< the .gguf to open (the first of a split one); empty: the folder itself
};

/// `names`: what the repository has. `wanted`: as Reference::file. Without it, the safetensors where there are some,
/// else the GGUF whose quantisation comes first of kPreferred, else the only one.
Choice choose_files(const std::vector<std::string>& names, std::string_view wanted);

/// "Q4_K_M" of "Llama-3.2-1B-Instruct-Q4_K_M.gguf"; empty when the name says none.
std::string quantisation_of(std::string_view file);

}  // namespace glia::hub
