// Settings of glia: a flag beats the environment (GLIA_*), that beats glia.toml, that beats the default.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace glia::cli {

/// Wrong usage: said to the user, exit 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr std::uint16_t kDefaultPort = 7843;

struct Settings {
  std::string host = "127.0.0.1";
  std::uint16_t port = kDefaultPort;
  std::string profile = "tiny";        ///< which weights answer for an id
  std::string plan = "paid";           ///< "paid" counts and shows, "free" refuses past the day's allocation
  bool rate_limits = false;            ///< everyone is held to the service's requests a minute
  std::string deprecations = "off";    ///< "off", "now" or a day: ids that the service retires by then answer 5028
  std::filesystem::path data;          ///< the ledger and the vector indexes live here
  bool in_memory = false;              ///< both are gone with the process; nothing is written under `data`
  std::int64_t vector_delay_ms = 500;  ///< between a mutation's answer and its being seen by queries; 0: before it
  bool vector_limits = true;           ///< Vectorize refuses what the service refuses
  std::filesystem::path models_dir;    ///< the weights live here
  int threads = 0;                     ///< 0: every core
  std::string math = "fast";           ///< "fast" or "exact"
  std::string activations = "int16";   ///< what fast mode rounds activations to: "int16", "int8"
  std::string kv = "int16";            ///< what fast mode keeps keys and values as: "f16", "bf16", "int16", "int8"
  bool speculation = true;             ///< answers that repeat what was said are guessed and checked
  bool prefix_cache = true;            ///< prompts that begin alike are computed once (by account)
  bool packed_cache = true;            ///< packed weights are kept on disk, so that a second start maps them
  std::uint64_t memory_mib = 0;        ///< of all but vectors (memory_split.h); 0: three quarters of the machine
  std::int64_t keep_alive_ms =
      std::int64_t{30} * 60 * 1000;  ///< idle models and vectors go after it; 0: at once; -1: never
  int max_running = 64;              ///< generations of one model at once
  int max_queued = 512;              ///< that wait beside them; further ones are refused
  std::string log_level = "info";
  bool log_json = false;
  /// Of vector indexes in memory; 0: three sixteenths of the machine.
  std::uint64_t vector_memory_mib = 0;
  /// The user's own weights by catalogue id; "hf:owner/name" means the hub's cache.
  std::map<std::string, std::filesystem::path> models;
};

/// What the command line and the environment gave; empty where they said nothing.
struct GivenSettings {
  std::optional<std::string> config;
  std::optional<std::string> host, profile, plan, deprecations, data, models_dir, math, kv, activations, log_level,
      keep_alive;
  std::optional<int> port, threads, max_running, max_queued;
  std::optional<std::uint64_t> memory_mib, vector_memory_mib;
  std::optional<std::string> vector_delay;
  bool no_vector_limits = false;
  bool log_json = false;
  bool in_memory = false;
  bool rate_limits = false;
  bool no_prefix_cache = false;
  bool no_speculation = false;
  bool no_packed_cache = false;
  std::vector<std::string> models;  ///< "ID=PATH"
};

/// Reads glia.toml (the given one, else ./glia.toml, else $XDG_CONFIG_HOME/glia/glia.toml, where there is one) and puts
/// what was given above it. Errors: UsageError naming the file, line and key, or the flag.
Settings settle_settings(const GivenSettings& given);

/// Milliseconds of "30m", "0" or "-1". Errors: UsageError.
std::int64_t keep_alive_of(const std::string& text);

/// Milliseconds of "500ms" or "0". Errors: UsageError.
std::int64_t vector_delay_of(const std::string& text);

/// XDG base directories with their defaults.
std::filesystem::path xdg_data_home();
std::filesystem::path xdg_config_home();
std::filesystem::path xdg_cache_home();
/// Where packed weights are kept.
std::filesystem::path packed_cache_folder();

}  // namespace glia::cli
