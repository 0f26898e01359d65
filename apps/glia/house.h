// Everything a running glia is made of, from the settings, in the order in which it must live and die.
#pragma once

#include <memory>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "ledger/ledger.h"
#include "ledger_meter.h"
#include "limited_runner.h"
#include "settings.h"
#include "tasks/local_runner.h"
#include "tasks/weights.h"

namespace glia::cli {

/// Members are destroyed from the last to the first. Thread rule: built and destroyed on one thread; the parts say
/// their own. Errors: UsageError for settings that cannot be, glia::Error for a ledger that cannot be opened.
struct House {
  explicit House(const Settings& settings);

  SystemClock clock;
  catalog::Catalog catalog;
  tasks::Weights weights;
  std::unique_ptr<ledger::Ledger> ledger;
  std::unique_ptr<engine::Engine> engine;
  LedgerMeter meter;
  tasks::LocalRunner local;
  LimitedRunner runner;  ///< what the dialects call
};

engine::EngineOptions engine_options(const Settings& settings);
tasks::WeightsOptions weights_options(const Settings& settings);
/// tasks::LocalRunnerOptions::retired_by.
std::string retired_by(const Settings& settings);
/// The ledger's file under settings.data.
std::filesystem::path ledger_path(const Settings& settings);

}  // namespace glia::cli
