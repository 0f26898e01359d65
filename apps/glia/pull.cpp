#include "hub/pull.h"

#include <atomic>
#include <future>
#include <iostream>
#include <stdexcept>

#include "base/error.h"
#include "commands.h"
#include "engine/packed_cache.h"
#include "hub/store.h"
#include "hub_reference.h"
#include "model_named.h"
#include "pull_view.h"
#include "signals.h"
#include "terminal.h"
#include "version.h"

namespace glia::cli {
namespace {

void check_served(const catalog::Catalog& catalog, const std::string& named) {
  if (!named.starts_with('@')) return;
  const auto& entry = model_named(catalog, named.substr(0, named.find_first_of(":@", 1)));
  if (!entry.served()) {
    throw std::runtime_error("the task of " + entry.id + " (" + entry.task +
                             ") is not built in this version; its weights would be of no use");
  }
}

void say_how_to_use(const std::string& named, const hub::Reference& reference) {
  const bool by_id = named.starts_with('@') && reference.file.empty() && reference.revision.empty();
  const std::string id = named.starts_with('@') ? named.substr(0, named.find_first_of(":@", 1)) : "ID";
  std::cerr << styled(STDERR_FILENO, Style::dim,
                      by_id ? "Served by: glia serve --profile full"
                            : "Served by: glia serve --model " + id + "=hf:" + reference.text())
            << "\n";
}

}  // namespace

int pull(const std::string& named, bool offline) {
  const Signals signals;
  const auto catalog = catalog::Catalog::load();
  check_served(catalog, named);
  const auto reference = hub_reference(catalog, named);
  std::atomic<bool> cancelled = false;
  hub::PullOptions options{.environment = hub::Environment::read()};
  options.environment.offline = options.environment.offline || offline;
  options.user_agent = std::string("glia/") + kVersion;
  options.cancelled = &cancelled;
  PullView view(PullView::standard_error());
  auto pulling = std::async(std::launch::async, [&] { return hub::pull(reference, options, view); });
  while (pulling.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    if (!cancelled && signals.wait(0) != 0) cancelled = true;
  }
  try {
    const auto pulled = pulling.get();
    view.close();
    std::cout << reference.text() << " at " << pulled.commit.substr(0, 12) << ", " << human_bytes(pulled.bytes)
              << ", in " << pulled.path.string() << std::endl;
    say_how_to_use(named, reference);
    return 0;
  } catch (const Error& error) {
    view.close();
    if (error.code() != ErrorCode::aborted) throw;
    std::cerr << "Stopped. `glia pull " << named << "` goes on from here.\n";
    return 130;
  }
}

int rm(const std::string& named, bool only_show) {
  const auto catalog = catalog::Catalog::load();
  const auto reference = hub_reference(catalog, named);
  const hub::Store store(hub::Environment::read().cache);
  const auto removal = store.plan_removal(reference);
  if (!removal) throw std::runtime_error(reference.text() + " is not here; `glia list` shows what is");
  for (const auto& commit : removal->commits) {
    std::cout << reference.repo << (reference.file.empty() ? "" : ":" + reference.file) << " at "
              << commit.substr(0, 12) << "\n";
  }
  const std::uint64_t bytes = removal->bytes + engine::remove_packed(packed_cache_folder(), removal->paths, only_show);
  std::cout << (only_show ? "would free " : "frees ") << human_bytes(bytes) << std::endl;
  if (!only_show) store.remove(*removal);
  return 0;
}

}  // namespace glia::cli
