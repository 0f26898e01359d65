// The engine's own figures in Prometheus form, read at each scrape. docs/metrics.md has the table of them.
// Every file that was ever loaded keeps its series; of two files of one name the second is "name (2)".
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "engine/engine.h"

namespace glia::api {

std::vector<prometheus::MetricFamily> engine_families(const engine::EngineFigures& figures);

}  // namespace glia::api
