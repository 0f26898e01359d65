// What the dialects share: the services, the guard, metrics and sessions. Kept alive by every call that still runs.
#pragma once

#include <memory>
#include <string>

#include "api/app.h"
#include "api/guard.h"
#include "api/metrics.h"
#include "api/rehearsal/pacer.h"
#include "api/sessions.h"
#include "tasks/work_queue.h"

namespace glia::api {

struct Context {
  Context(Services s, AppInfo i, tasks::WorkQueue& w, tasks::WorkQueue& l);

  const Clock& clock() const { return *services.clock; }
  const catalog::Catalog& catalog() const { return *services.catalog; }
  std::string new_id() const { return services.new_id(); }

  Services services;
  AppInfo info;
  Guard guard;
  Metrics metrics;
  Sessions sessions;
  std::shared_ptr<Pacer> pacer;  ///< for what a rehearsal holds back; closed with the App
  tasks::WorkQueue& work;   ///< for what must not run on the I/O thread: large bodies, the disk; outlives the server
  tasks::WorkQueue& loads;  ///< for what waits for a model: minutes, perhaps
};

}  // namespace glia::api
