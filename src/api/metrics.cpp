#include "api/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "api/engine_metrics.h"
#include "api/vectorize_metrics.h"

namespace glia::api {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

const prometheus::Histogram::BucketBoundaries kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                          0.5,   1,      2.5,   5,    10,    30,   60,  300};

}  // namespace

struct Metrics::Impl {
  const engine::Engine* engine = nullptr;
  vectorize::Vectorize* vectorize = nullptr;
  mutable prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      BuildCounter().Name("glia_http_requests_total").Help("Answered requests.").Register(registry);
  prometheus::Family<prometheus::Histogram>& request_seconds =
      BuildHistogram().Name("glia_http_request_seconds").Help("First byte in to last byte out.").Register(registry);
  prometheus::Family<prometheus::Counter>& runs =
      BuildCounter().Name("glia_runs_total").Help("Model runs by how they ended.").Register(registry);
  prometheus::Family<prometheus::Counter>& tokens =
      BuildCounter().Name("glia_tokens_total").Help("Tokens of runs.").Register(registry);
  prometheus::Family<prometheus::Counter>& neurons =
      BuildCounter().Name("glia_neurons_total").Help("Neurons charged.").Register(registry);
  prometheus::Family<prometheus::Histogram>& first_token =
      BuildHistogram().Name("glia_run_first_token_seconds").Help("Run to first token.").Register(registry);
  prometheus::Gauge& in_flight =
      BuildGauge().Name("glia_runs_in_flight").Help("Runs that have not ended.").Register(registry).Add({});
  prometheus::Gauge& open_leases =
      BuildGauge().Name("glia_leases").Help("Sessions that follow their events.").Register(registry).Add({});
};

Metrics::Metrics(const engine::Engine* engine, vectorize::Vectorize* vectorize) : impl_(std::make_unique<Impl>()) {
  impl_->engine = engine;
  impl_->vectorize = vectorize;
}
Metrics::~Metrics() = default;

void Metrics::request(std::string_view dialect, int status, double seconds) {
  impl_->requests.Add({{"dialect", std::string(dialect)}, {"status", std::to_string(status)}}).Increment();
  impl_->request_seconds.Add({{"dialect", std::string(dialect)}}, kSeconds).Observe(seconds);
}

void Metrics::run_started() { impl_->in_flight.Increment(); }

void Metrics::run_ended(std::string_view model, std::string_view outcome, const tasks::RunResult& result) {
  const std::string id(model);
  impl_->in_flight.Decrement();
  impl_->runs.Add({{"model", id}, {"outcome", std::string(outcome)}}).Increment();
  const auto count = [&](const char* kind, std::int64_t tokens) {
    if (tokens > 0) impl_->tokens.Add({{"model", id}, {"kind", kind}}).Increment(static_cast<double>(tokens));
  };
  count("prompt", result.usage.prompt_tokens);
  count("completion", result.usage.completion_tokens);
  count("cached", result.usage.cached_tokens);
  if (result.neurons > 0) impl_->neurons.Add({{"model", id}}).Increment(result.neurons);
  if (result.first_token_ms > 0) {
    impl_->first_token.Add({{"model", id}}, kSeconds).Observe(result.first_token_ms / 1000);
  }
}

void Metrics::leases(std::size_t open) { impl_->open_leases.Set(static_cast<double>(open)); }

std::string Metrics::text() const {
  auto families = impl_->registry.Collect();
  const auto add = [&](std::vector<prometheus::MetricFamily> more) {
    families.insert(families.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  if (impl_->engine != nullptr) add(engine_families(impl_->engine->figures()));
  if (impl_->vectorize != nullptr) add(vectorize_families(impl_->vectorize->figures()));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace glia::api
