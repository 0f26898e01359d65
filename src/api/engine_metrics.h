// The engine's own figures in Prometheus form, read at each scrape.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "engine/engine.h"

namespace glia::api {

std::vector<prometheus::MetricFamily> engine_families(const std::vector<engine::ModelStatus>& models);

}  // namespace glia::api
