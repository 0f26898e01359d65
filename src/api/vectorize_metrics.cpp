#include "api/vectorize_metrics.h"

#include <initializer_list>
#include <limits>
#include <utility>

namespace glia::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using vectorize::Figures;

/// One value of a family; its label's value, null where there is no label.
using Part = std::pair<const char*, double>;

MetricFamily family(MetricType type, const char* name, const char* help, const char* label,
                    std::initializer_list<Part> parts) {
  MetricFamily out{name, help, type, {}};
  for (const auto& [value, number] : parts) {
    ClientMetric metric;
    if (label != nullptr) metric.label.push_back({label, value});
    (type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = number;
    out.metric.push_back(std::move(metric));
  }
  return out;
}

MetricFamily gauge(const char* name, const char* help, std::size_t value) {
  return family(MetricType::Gauge, name, help, nullptr, {{nullptr, static_cast<double>(value)}});
}

MetricFamily counter(const char* name, const char* help, std::uint64_t value) {
  return family(MetricType::Counter, name, help, nullptr, {{nullptr, static_cast<double>(value)}});
}

Part part(const char* value, std::uint64_t number) { return {value, static_cast<double>(number)}; }

MetricFamily query_seconds(const Figures& f) {
  MetricFamily out{"glia_vectorize_query_seconds", "Time of a query that was answered.", MetricType::Histogram, {}};
  ClientMetric metric;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < f.query_counts.size(); ++i) {
    total += f.query_counts[i];
    const bool last = i == vectorize::kQuerySeconds.size();
    metric.histogram.bucket.push_back(
        {total, last ? std::numeric_limits<double>::infinity() : vectorize::kQuerySeconds[i]});
  }
  metric.histogram.sample_count = total;
  metric.histogram.sample_sum = f.query_seconds;
  out.metric.push_back(std::move(metric));
  return out;
}

}  // namespace

std::vector<MetricFamily> vectorize_families(const Figures& f) {
  return {
      gauge("glia_vectorize_indexes", "Vector indexes.", f.indexes),
      gauge("glia_vectorize_indexes_in_memory", "Vector indexes that are in memory.", f.indexes_in_memory),
      gauge("glia_vectorize_vectors", "Vectors of the indexes that are in memory.",
            static_cast<std::size_t>(f.vectors_in_memory)),
      gauge("glia_vectorize_memory_bytes", "Memory of vector indexes.", f.memory_bytes),
      gauge("glia_vectorize_memory_limit_bytes", "Memory that vector indexes may have together; 0: no limit.",
            f.memory_limit_bytes),
      gauge("glia_vectorize_pending_mutations", "Mutations that are answered and not seen by queries yet.",
            f.pending_mutations),
      family(MetricType::Counter, "glia_vectorize_mutations_total",
             "Mutations that were answered; failed: there was no room for them.", "kind",
             {part("insert", f.inserts), part("upsert", f.upserts), part("delete", f.deletes),
              part("metadata_index", f.metadata_indexes), part("failed", f.failed_mutations)}),
      counter("glia_vectorize_vectors_written_total", "Vectors of those mutations.", f.vectors_written),
      query_seconds(f),
      counter("glia_vectorize_failed_queries_total", "Queries that ended with an error.", f.failed_queries),
      family(MetricType::Counter, "glia_vectorize_reads_total", "Readings of an index into memory by how they went.",
             "outcome", {part("ok", f.reads), part("failed", f.failed_reads)}),
      family(MetricType::Counter, "glia_vectorize_drops_total",
             "Indexes that left memory: for another's sake, idle for the keep-alive.", "reason",
             {part("evicted", f.evicted), part("expired", f.expired)}),
  };
}

}  // namespace glia::api
