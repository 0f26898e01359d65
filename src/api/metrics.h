// Figures for Prometheus, by prometheus-cpp's core. Labels are bounded: routes by dialect, models by catalogue id.
// Thread rule: safe from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "tasks/runner.h"
#include "vectorize/vectorize.h"

namespace glia::api {

class Metrics {
 public:
  /// Both outlive it; each may be null.
  Metrics(const engine::Engine* engine, vectorize::Vectorize* vectorize);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// One answered request; status 499 when the client left first.
  void request(std::string_view dialect, int status, double seconds);
  void run_started();
  /// `outcome`: "ok", "error", "cancelled". `model`: canonical id, "unknown" where there is none.
  void run_ended(std::string_view model, std::string_view outcome, const tasks::RunResult& result);
  void leases(std::size_t open);

  /// The text format, version 0.0.4.
  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::api
