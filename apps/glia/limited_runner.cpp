#include "limited_runner.h"

#include <utility>

namespace glia::cli {

std::shared_ptr<tasks::Run> LimitedRunner::run(tasks::RunRequest request, std::shared_ptr<tasks::RunSink> sink) {
  if (everyone_ || request.rate_limits) {
    if (const auto* const entry = catalog_.find(request.model)) limiter_.admit(request.account, *entry);
  }
  return runner_.run(std::move(request), std::move(sink));
}

}  // namespace glia::cli
