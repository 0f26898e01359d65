// Vectorize's own figures in Prometheus form, read at each scrape: of all accounts together. docs/metrics.md has the
// table.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "vectorize/figures.h"

namespace glia::api {

std::vector<prometheus::MetricFamily> vectorize_families(const vectorize::Figures& figures);

}  // namespace glia::api
