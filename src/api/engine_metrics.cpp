#include "api/engine_metrics.h"

#include <limits>
#include <string>

namespace glia::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric labelled(const engine::ModelStatus& model) {
  ClientMetric metric;
  metric.label.push_back({"weights", model.name});
  return metric;
}

template <class Read>
MetricFamily gauge(const std::vector<engine::ModelStatus>& models, const char* name, const char* help, Read read) {
  MetricFamily family{name, help, MetricType::Gauge, {}};
  for (const auto& model : models) {
    ClientMetric metric = labelled(model);
    metric.gauge.value = static_cast<double>(read(model));
    family.metric.push_back(std::move(metric));
  }
  return family;
}

template <class Read>
MetricFamily counter(const std::vector<engine::ModelStatus>& models, const char* name, const char* help, Read read) {
  MetricFamily family{name, help, MetricType::Counter, {}};
  for (const auto& model : models) {
    ClientMetric metric = labelled(model);
    metric.counter.value = static_cast<double>(read(model));
    family.metric.push_back(std::move(metric));
  }
  return family;
}

template <class Read>
MetricFamily histogram(const std::vector<engine::ModelStatus>& models, const char* name, const char* help, Read read) {
  MetricFamily family{name, help, MetricType::Histogram, {}};
  for (const auto& model : models) {
    const engine::Histogram& from = read(model);
    ClientMetric metric = labelled(model);
    metric.histogram.sample_count = from.count;
    metric.histogram.sample_sum = from.sum;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < from.counts.size(); i++) {
      total += from.counts[i];
      const double bound = i < from.bounds.size() ? from.bounds[i] : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({total, bound});
    }
    family.metric.push_back(std::move(metric));
  }
  return family;
}

MetricFamily endings(const std::vector<engine::ModelStatus>& models) {
  MetricFamily family{"glia_engine_generations_total", "Generations by how they ended.", MetricType::Counter, {}};
  for (const auto& model : models) {
    const auto add = [&](const char* end, std::uint64_t count) {
      ClientMetric metric = labelled(model);
      metric.label.push_back({"end", end});
      metric.counter.value = static_cast<double>(count);
      family.metric.push_back(std::move(metric));
    };
    add("stop", model.figures.stopped);
    add("length", model.figures.out_of_tokens);
    add("cancelled", model.figures.cancelled);
    add("failed", model.figures.failed);
    add("refused", model.figures.refused);
  }
  return family;
}

}  // namespace

std::vector<MetricFamily> engine_families(const std::vector<engine::ModelStatus>& models) {
  using Status = const engine::ModelStatus&;
  std::vector<MetricFamily> out;
  out.push_back(gauge(models, "glia_engine_model_bytes", "Memory of a model, weights and KV pages.",
                      [](Status m) { return m.bytes; }));
  out.push_back(gauge(models, "glia_engine_running", "Generations in the batch.", [](Status m) { return m.running; }));
  out.push_back(gauge(models, "glia_engine_queued", "Generations that wait.", [](Status m) { return m.queued; }));
  out.push_back(
      gauge(models, "glia_engine_kv_pages_used", "KV pages in use.", [](Status m) { return m.kv_pages_used; }));
  out.push_back(gauge(models, "glia_engine_kv_pages_cached", "KV pages kept for prompts that begin alike.",
                      [](Status m) { return m.kv_pages_cached; }));
  out.push_back(gauge(models, "glia_engine_kv_pages", "KV pages in all.", [](Status m) { return m.kv_pages; }));
  out.push_back(counter(models, "glia_engine_prompt_tokens_total", "Prompt tokens computed.",
                        [](Status m) { return m.prompt_tokens; }));
  out.push_back(counter(models, "glia_engine_cached_tokens_total", "Prompt tokens found in the prefix cache.",
                        [](Status m) { return m.cached_tokens; }));
  out.push_back(counter(models, "glia_engine_generated_tokens_total", "Tokens sampled.",
                        [](Status m) { return m.generated_tokens; }));
  out.push_back(counter(models, "glia_engine_steps_total", "Batches computed.", [](Status m) { return m.steps; }));
  out.push_back(endings(models));
  const auto add = [&](const char* name, const char* help, engine::Histogram engine::ModelFigures::*which) {
    out.push_back(
        histogram(models, name, help, [which](Status m) -> const engine::Histogram& { return m.figures.*which; }));
  };
  add("glia_engine_queued_milliseconds", "Submit to first scheduled step.", &engine::ModelFigures::queued_ms);
  add("glia_engine_first_token_milliseconds", "Submit to first sampled token.", &engine::ModelFigures::first_token_ms);
  add("glia_engine_tokens_per_second", "Of one generation after its first token.", &engine::ModelFigures::tokens_per_s);
  add("glia_engine_step_milliseconds", "Time of one batch.", &engine::ModelFigures::step_ms);
  add("glia_engine_batch_rows", "Rows of one batch.", &engine::ModelFigures::batch_rows);
  return out;
}

}  // namespace glia::api
