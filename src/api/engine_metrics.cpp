#include "api/engine_metrics.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace glia::api {
namespace {

using engine::LoadFigures;
using engine::ModelFigures;
using engine::ModelStatus;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Read = std::function<double(const ModelStatus&)>;

/// What one label's values are read from: {"stop", …}, {"length", …}.
using Parts = std::vector<std::pair<const char*, Read>>;

class Families {
 public:
  explicit Families(const std::vector<ModelStatus>& models) : models_(models) {
    std::map<std::string, int> seen;
    for (const ModelStatus& model : models) {
      const int n = ++seen[model.name];
      names_.push_back(n == 1 ? model.name : model.name + " (" + std::to_string(n) + ")");
    }
  }

  void add(MetricType type, const char* name, const char* help, const Read& read) {
    add_parts(type, name, help, nullptr, {{nullptr, read}});
  }

  void add_parts(MetricType type, const char* name, const char* help, const char* label, const Parts& parts) {
    MetricFamily family{name, help, type, {}};
    for (std::size_t i = 0; i < models_.size(); ++i) {
      for (const auto& [value, read] : parts) {
        ClientMetric metric = labelled(i);
        if (label != nullptr) metric.label.push_back({label, value});
        (type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = read(models_[i]);
        family.metric.push_back(std::move(metric));
      }
    }
    out_.push_back(std::move(family));
  }

  /// `scale`: of the values, into the unit that the name says.
  void add_histogram(const char* name, const char* help, double scale,
                     const std::function<const engine::Histogram&(const ModelStatus&)>& read) {
    MetricFamily family{name, help, MetricType::Histogram, {}};
    for (std::size_t i = 0; i < models_.size(); ++i) {
      const engine::Histogram& from = read(models_[i]);
      ClientMetric metric = labelled(i);
      metric.histogram.sample_count = from.count;
      metric.histogram.sample_sum = from.sum * scale;
      std::uint64_t total = 0;
      for (std::size_t b = 0; b < from.counts.size(); ++b) {
        total += from.counts[b];
        const double bound = b < from.bounds.size() ? from.bounds[b] * scale : std::numeric_limits<double>::infinity();
        metric.histogram.bucket.push_back({total, bound});
      }
      family.metric.push_back(std::move(metric));
    }
    out_.push_back(std::move(family));
  }

  void add_one(const char* name, const char* help, double value) {
    MetricFamily family{name, help, MetricType::Gauge, {ClientMetric{}}};
    family.metric.front().gauge.value = value;
    out_.push_back(std::move(family));
  }

  std::vector<MetricFamily> take() { return std::move(out_); }

 private:
  ClientMetric labelled(std::size_t i) const {
    ClientMetric metric;
    metric.label.push_back({"weights", names_[i]});
    return metric;
  }

  const std::vector<ModelStatus>& models_;
  std::vector<std::string> names_;
  std::vector<MetricFamily> out_;
};

template <class T>
Read of(T ModelStatus::*which) {
  return [which](const ModelStatus& m) { return static_cast<double>(m.*which); };
}
Read of(std::uint64_t ModelFigures::*which) {
  return [which](const ModelStatus& m) { return static_cast<double>(m.figures.*which); };
}
Read of(std::uint64_t LoadFigures::*which) {
  return [which](const ModelStatus& m) { return static_cast<double>(m.loads.*which); };
}

void add_memory(Families& f) {
  f.add(MetricType::Gauge, "glia_engine_in_memory", "1 for a model that is in memory, else 0.",
        of(&ModelStatus::in_memory));
  f.add_parts(MetricType::Gauge, "glia_engine_model_bytes", "Memory of a model.", "part",
              {{"weights", of(&ModelStatus::weight_bytes)},
               {"kv", of(&ModelStatus::kv_bytes)},
               {"scratch", of(&ModelStatus::scratch_bytes)}});
  f.add(MetricType::Gauge, "glia_engine_kv_pages", "KV pages in all.", of(&ModelStatus::kv_pages));
  f.add(MetricType::Gauge, "glia_engine_kv_pages_used", "KV pages of what runs.", of(&ModelStatus::kv_pages_used));
  f.add(MetricType::Gauge, "glia_engine_kv_pages_cached", "KV pages kept for prompts that begin alike.",
        of(&ModelStatus::kv_pages_cached));
  f.add_parts(MetricType::Counter, "glia_engine_loads_total", "Loads by how they went.", "outcome",
              {{"ok", of(&LoadFigures::loads)}, {"failed", of(&LoadFigures::failed)}});
  f.add_parts(MetricType::Counter, "glia_engine_drops_total",
              "Models that left memory: for another's sake, idle for the keep-alive, stopped, their file changed.",
              "reason",
              {{"evicted", of(&LoadFigures::evicted)},
               {"expired", of(&LoadFigures::expired)},
               {"stopped", of(&LoadFigures::stopped)},
               {"replaced", of(&LoadFigures::replaced)}});
  f.add_histogram("glia_engine_load_seconds", "Time of a load that went well.", 1e-3,
                  [](const ModelStatus& m) -> const engine::Histogram& { return m.loads.load_ms; });
}

void add_work(Families& f) {
  f.add(MetricType::Gauge, "glia_engine_running", "Generations in the batch.", of(&ModelStatus::running));
  f.add(MetricType::Gauge, "glia_engine_queued", "Generations that wait.", of(&ModelStatus::queued));
  f.add_parts(MetricType::Counter, "glia_engine_generations_total",
              "Generations by how they ended; refused: the queue was full.", "end",
              {{"stop", of(&ModelFigures::stopped)},
               {"length", of(&ModelFigures::out_of_tokens)},
               {"cancelled", of(&ModelFigures::cancelled)},
               {"failed", of(&ModelFigures::failed)},
               {"refused", of(&ModelFigures::refused)}});
  const auto count = [&](const char* name, const char* help, const Read& read) {
    f.add(MetricType::Counter, name, help, read);
  };
  count("glia_engine_steps_total", "Batches computed.", of(&ModelStatus::steps));
  count("glia_engine_prompt_tokens_total", "Prompt tokens computed.", of(&ModelStatus::prompt_tokens));
  count("glia_engine_cached_tokens_total", "Prompt tokens found in the prefix cache.", of(&ModelStatus::cached_tokens));
  count("glia_engine_prefix_hits_total", "Prompts that found a beginning of theirs in the prefix cache.",
        of(&ModelFigures::prefix_hits));
  count("glia_engine_generated_tokens_total", "Tokens sampled.", of(&ModelStatus::generated_tokens));
  count("glia_engine_drafted_tokens_total", "Tokens guessed and put to the model.", of(&ModelStatus::drafted_tokens));
  count("glia_engine_accepted_tokens_total", "Guessed tokens that the model says itself.",
        of(&ModelStatus::accepted_tokens));
  count("glia_engine_set_back_total", "Times that a generation made room for others and waited.",
        of(&ModelStatus::set_back));
  count("glia_engine_recomputed_tokens_total", "Tokens computed again because of that.",
        of(&ModelStatus::recomputed_tokens));
  const auto histogram = [&](const char* name, const char* help, double scale, engine::Histogram ModelFigures::*which) {
    f.add_histogram(name, help, scale,
                    [which](const ModelStatus& m) -> const engine::Histogram& { return m.figures.*which; });
  };
  histogram("glia_engine_queued_seconds", "Submit to first scheduled step.", 1e-3, &ModelFigures::queued_ms);
  histogram("glia_engine_first_token_seconds", "Submit to first sampled token.", 1e-3, &ModelFigures::first_token_ms);
  histogram("glia_engine_tokens_per_second", "Of one generation after its first token.", 1,
            &ModelFigures::tokens_per_s);
  histogram("glia_engine_step_seconds", "Time of one batch.", 1e-3, &ModelFigures::step_ms);
  histogram("glia_engine_batch_rows", "Rows of one batch.", 1, &ModelFigures::batch_rows);
}

}  // namespace

std::vector<MetricFamily> engine_families(const engine::EngineFigures& figures) {
  Families families(figures.models);
  families.add_one("glia_engine_memory_budget_bytes", "Memory that all models may have together.",
                   static_cast<double>(figures.memory_budget));
  families.add_one("glia_engine_memory_used_bytes", "Memory that is promised to models.",
                   static_cast<double>(figures.memory_used));
  add_memory(families);
  add_work(families);
  return families.take();
}

}  // namespace glia::api
