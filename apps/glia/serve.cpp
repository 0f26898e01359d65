#include <unistd.h>

#include <atomic>
#include <future>
#include <iostream>
#include <map>
#include <set>

#include "address_file.h"
#include "api/app.h"
#include "base/log.h"
#include "commands.h"
#include "house.h"
#include "http/server.h"
#include "memory_split.h"
#include "signals.h"
#include "tasks/loaded_model.h"
#include "terminal.h"
#include "vectorize/vectorize.h"
#include "version.h"

namespace glia::cli {
namespace {

constexpr std::int64_t kLeaseGraceNs = 2'000'000'000;
constexpr std::int64_t kFirstLeaseNs = 60'000'000'000;  // whoever started this may have died before taking one
constexpr int kDrainMs = 10'000;

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warn") return log::Level::warn;
  if (name == "error") return log::Level::error;
  return log::Level::info;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

/// The weights to load before the first request, each once, with the entry of the id that asked first. Errors:
/// UsageError for an id that cannot be served.
std::map<std::filesystem::path, const catalog::ModelEntry*> preload_files(const House& house,
                                                                          const std::vector<std::string>& ids) {
  std::map<std::filesystem::path, const catalog::ModelEntry*> files;
  for (const auto& id : ids) {
    const auto* entry = house.catalog.find(id);
    if (entry == nullptr) throw UsageError("--preload: there is no model " + id);
    const auto weights = house.weights.resolve(*entry);
    if (!weights.available) throw UsageError("--preload " + id + ": " + weights.advice);
    files.emplace(weights.path, entry);
  }
  return files;
}

/// The vector indexes of the data folder.
struct Vectors {
  std::unique_ptr<vectorize::Vectorize> vectorize;
  std::string why_not;  ///< there are none
};

Vectors open_vectors(const Settings& settings, const Clock& clock) {
  vectorize::Options options;
  if (!settings.in_memory) options.folder = settings.data / "vectorize";
  options.delay_ms = settings.vector_delay_ms;
  if (!settings.vector_limits) options.limits = vectorize::Limits::none();
  options.threads = settings.threads;
  options.memory_bytes = split_memory(settings).vectors;
  options.keep_alive_ms = settings.keep_alive_ms;
  try {
    return {vectorize::Vectorize::open(options, clock), {}};
  } catch (const Error& error) {
    log::warn("Vectorize is not served", {{"reason", error.detail()}});
    return {nullptr, error.detail()};
  }
}

api::Services services(House& house, const Vectors& vectors, const std::atomic<bool>& ready) {
  return {.runner = &house.runner,
          .catalog = &house.catalog,
          .clock = &house.clock,
          .weights = [&house](const catalog::ModelEntry& entry) { return house.weights.resolve(entry); },
          .usage = [&house](std::string_view account, int days) { return house.ledger->usage(account, days); },
          .engine = house.engine.get(),
          .vectorize = vectors.vectorize.get(),
          .no_vectorize = vectors.why_not,
          .ready = [&ready] { return ready.load(); },
          .new_id = {}};
}

std::string url_of(const std::string& host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

void greet(const House& house, const Settings& settings, std::uint16_t port) {
  std::cout << styled(STDOUT_FILENO, Style::bold, "glia") << " " << kVersion << " listening on "
            << url_of(settings.host, port) << "\n";
  std::map<std::string, std::size_t> stand_ins;  // [name], ids
  std::set<std::string> advice;
  std::size_t own = 0;
  for (const auto& entry : house.catalog.models()) {
    const auto weights = house.weights.resolve(entry);
    if (weights.name.empty()) continue;
    if (!weights.available) advice.insert(weights.advice);
    if (weights.available && weights.stand_in) stand_ins[weights.name]++;
    own += weights.available && !weights.stand_in ? 1 : 0;
  }
  std::cout << "  " << house.engine->device_name() << ", plan " << settings.plan << ", profile " << settings.profile
            << "\n";
  for (const auto& [name, ids] : stand_ins) {
    std::cout << "  " << name << " stands in for " << ids << (ids == 1 ? " id\n" : " ids\n");
  }
  if (own > 0) std::cout << "  " << own << (own == 1 ? " id has" : " ids have") << " weights of your own\n";
  for (const auto& line : advice) std::cout << "  " << styled(STDOUT_FILENO, Style::yellow, line) << "\n";
  std::cout << std::flush;
}

/// Waits for a signal or, with `while_leased`, for the last lease to end. Returns the exit code.
int wait_for_the_end(const Signals& signals, const api::App& app, const Clock& clock, bool while_leased) {
  const std::int64_t start = clock.steady_ns();
  while (true) {
    const int signal = signals.wait(while_leased ? 200 : 3'600'000);
    if (signal == SIGINT) return 130;
    if (signal == SIGTERM) return 0;
    if (!while_leased) continue;
    const auto leases = app.leases();
    const std::int64_t now = clock.steady_ns();
    if (leases.abandoned(now, kLeaseGraceNs) || (!leases.ever && now - start >= kFirstLeaseNs)) return 0;
  }
}

}  // namespace

int serve(const Settings& settings, const ServeOptions& options) {
  const Signals signals;
  log::configure(level_of(settings.log_level), settings.log_json);
  if (!is_loopback(settings.host)) {
    throw UsageError("glia has no accounts and tokens yet, so it listens on loopback only; not on " + settings.host);
  }
  auto address = options.address_file.empty() ? std::nullopt : AddressFile::take(options.address_file);
  if (!address && !options.address_file.empty()) return 0;  // another one serves those who read it
  House house(settings);
  const Vectors vectors = open_vectors(settings, house.clock);
  const auto files = preload_files(house, options.preload);
  std::atomic<bool> ready{files.empty()};
  api::App app(services(house, vectors, ready), {.version = kVersion,
                                                 .device = std::string(house.engine->device_name()),
                                                 .profile = settings.profile,
                                                 .host = settings.host});
  http::ServerOptions http_options;
  http_options.host = settings.host;
  http_options.port = settings.port;
  http_options.refusal = app.refusal();
  // A quarter for bodies, a quarter for answers, half for parsed inputs (House). An upload of vectors may have 100 MB.
  const std::size_t requests = split_memory(settings).requests;
  http_options.max_buffered_bytes = requests / 4;
  http_options.max_body_bytes = std::min<std::size_t>(101'000'000, requests / 4);
  http_options.max_all_pending_bytes = requests / 4;
  http_options.max_pending_bytes = std::min(http_options.max_pending_bytes, requests / 8);
  const auto server = http::Server::start(http_options, app.handler());
  greet(house, settings, server->port());
  if (address) address->write(url_of(settings.host, server->port()), kVersion);

  const auto loading = std::async(std::launch::async, [&] {
    for (const auto& [file, entry] : files) {
      try {
        tasks::acquire(*house.engine, tasks::kind_of(*entry), file);
      } catch (const Error& e) {
        log::error("preload failed",
                   {{"model", entry->id}, {"file", file.filename().string()}, {"error", e.message()}});
      }
    }
    ready = true;
  });

  const int code = wait_for_the_end(signals, app, house.clock, options.while_leased);
  if (address) address->withdraw();
  log::info("draining", {{"open_connections", std::to_string(server->open_connections())}});
  app.close_sessions();
  server->drain(kDrainMs);
  return code;
}

}  // namespace glia::cli
