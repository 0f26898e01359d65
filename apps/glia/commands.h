// One function a verb. Each returns the exit code: 0 good, 1 failure, 130 after Ctrl-C. Failures throw glia::Error,
// wrong usage throws UsageError; main() says both and exits with 1 and 2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "settings.h"

namespace glia::cli {

struct ServeOptions {
  bool while_leased = false;         ///< end with the last lease (docs/protocol-internal.md)
  std::vector<std::string> preload;  ///< catalogue ids to load before the first request
  std::string address_file;          ///< where to say the address, and the lock of who serves for it; empty: none
};
int serve(const Settings& settings, const ServeOptions& options);

struct RunOptions {
  std::string model;
  std::string prompt;  ///< "-": standard input
  std::string system;
  std::optional<int> max_tokens;
  std::optional<double> temperature;
  std::optional<std::uint64_t> seed;
};
int run(const Settings& settings, const RunOptions& options);

int list(const Settings& settings, bool as_json);
/// `model`: a catalogue id or alias.
int show(const Settings& settings, const std::string& model, bool as_json);
int ps(const Settings& settings, bool as_json);
/// `keep_alive`: of this model alone, as long as it stays; empty: the server's.
int load(const Settings& settings, const std::string& model, const std::string& keep_alive, bool as_json);
int stop(const Settings& settings, const std::string& model, bool as_json);

/// `named`: owner/name[:file][@revision], or a catalogue id in place of the repository.
int pull(const std::string& named, bool offline);
/// `only_show`: nothing is removed.
int rm(const std::string& named, bool only_show);

struct UsageOptions {
  int days = 7;
  std::string account;  ///< empty: all
  std::string by = "day,model,task";
  bool as_json = false;
  bool as_csv = false;
};
int usage(const Settings& settings, const UsageOptions& options);

struct BenchOptions {
  std::string model = "@cf/meta/llama-3.1-8b-instruct";  ///< an id or alias, or the path of weights
  std::int32_t prompt = 256;                             ///< tokens
  std::int32_t answer = 128;
  std::vector<std::int32_t> concurrency = {1, 8, 32};
  int seconds = 60;  ///< a row that would not be over by then is left out; the first always runs
  bool as_json = false;
};
int bench(const Settings& settings, const BenchOptions& options);

int version(bool as_json);

}  // namespace glia::cli
