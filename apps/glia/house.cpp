#include "house.h"

#include "hub/environment.h"
#include "hub/store.h"
#include "memory_split.h"

namespace glia::cli {
namespace {

std::unique_ptr<ledger::Ledger> open_ledger(const Settings& settings, const Clock& clock) {
  std::error_code ec;
  if (!settings.in_memory) std::filesystem::create_directories(settings.data, ec);
  if (ec) throw UsageError("cannot make the data folder " + settings.data.string() + ": " + ec.message());
  return ledger::Ledger::open({.path = settings.in_memory ? std::filesystem::path() : ledger_path(settings),
                               .plan = settings.plan == "free" ? ledger::Plan::free : ledger::Plan::paid},
                              clock);
}

/// Settings are checked.
kernels::KvType kv_type(const std::string& name) {
  if (name == "int8") return kernels::KvType::int8;
  if (name == "f16") return kernels::KvType::f16;
  return name == "bf16" ? kernels::KvType::bf16 : kernels::KvType::int16;
}

}  // namespace

engine::EngineOptions engine_options(const Settings& settings) {
  engine::EngineOptions options;
  options.threads = settings.threads;
  options.math = settings.math == "exact" ? kernels::MathMode::exact : kernels::MathMode::fast;
  options.kv_type = kv_type(settings.kv);
  options.activations = settings.activations == "int8" ? kernels::Activations::int8 : kernels::Activations::int16;
  options.prefix_cache = settings.prefix_cache;
  options.speculation = settings.speculation;
  if (settings.packed_cache && !settings.in_memory) options.packed_cache = packed_cache_folder();
  options.memory_budget = split_memory(settings).models;
  options.keep_alive_ms = settings.keep_alive_ms;
  options.max_running = settings.max_running;
  options.max_queued = settings.max_queued;
  return options;
}

tasks::WeightsOptions weights_options(const Settings& settings) {
  return {.profile = settings.profile,
          .models_dir = settings.models_dir,
          .overrides = {settings.models.begin(), settings.models.end()},
          .hub = [store = hub::Store(hub::Environment::read().cache)](const std::string& reference) {
            auto located = store.locate(hub::Reference::parse(reference));
            return tasks::HubWeights{.path = std::move(located.path),
                                     .commit = std::move(located.commit),
                                     .available = located.available,
                                     .missing = std::move(located.missing)};
          }};
}

std::string retired_by(const Settings& settings) { return settings.deprecations == "off" ? "" : settings.deprecations; }

std::filesystem::path ledger_path(const Settings& settings) { return settings.data / "ledger.sqlite"; }

House::House(const Settings& settings)
    : catalog(catalog::Catalog::load()),
      weights(catalog, weights_options(settings)),
      ledger(open_ledger(settings, clock)),
      engine(engine::make_engine(engine_options(settings), clock)),
      meter(*ledger),
      local(catalog, *engine, meter, clock, weights,
            {.max_running = settings.max_running,
             .max_queued = settings.max_queued,
             .most_input_bytes = split_memory(settings).requests / 2,
             .retired_by = retired_by(settings)}),
      runner(local, catalog, clock, settings.rate_limits) {}

}  // namespace glia::cli
