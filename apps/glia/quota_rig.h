// For tests and benches: everything that `glia serve` is made of but the engine. A model that answers at once, with as
// many tokens as the request's seed says, stands in its place; HTTP, dialects, limits, tasks and ledger are the real
// ones.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "api/app.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"
#include "ledger/ledger.h"
#include "ledger_meter.h"
#include "limited_runner.h"
#include "tasks/fake_engine.h"
#include "tasks/local_runner.h"

namespace glia::cli {

struct QuotaRigOptions {
  ledger::Plan plan = ledger::Plan::free;
  bool metered = true;  ///< false: no ledger, for comparison
  bool rate_limits = false;
};

class QuotaRig {
 public:
  static constexpr std::string_view kModel = "@cf/meta/llama-3.1-8b-instruct";

  explicit QuotaRig(const QuotaRigOptions& options) {
    log::configure(log::Level::warn, false);
    std::ofstream(dir_ / "weights.gguf") << "x";
    model_->on_generate = [](tasks::fake::Generation& g) {
      const auto wanted = g.request().sampling.seed.value_or(1);
      const auto tokens = std::min<std::uint64_t>(wanted, static_cast<std::uint64_t>(g.request().max_tokens));
      g.say(std::string(tokens, 'a'));
      g.finish(tokens < wanted ? engine::FinishReason::length : engine::FinishReason::stop);
    };
    ledger_ = ledger::Ledger::open({.path = dir_ / "ledger.sqlite", .plan = options.plan}, clock_);
    meter_ = std::make_unique<LedgerMeter>(*ledger_);
    tasks::Meter& meter = options.metered ? static_cast<tasks::Meter&>(*meter_) : none_;
    local_ = std::make_unique<tasks::LocalRunner>(catalog_, engine_, meter, clock_, weights_);
    runner_ = std::make_unique<LimitedRunner>(*local_, catalog_, clock_, options.rate_limits);
    app_ = std::make_unique<api::App>(
        api::Services{.runner = runner_.get(),
                      .catalog = &catalog_,
                      .clock = &clock_,
                      .weights = [this](const catalog::ModelEntry& entry) { return weights_.resolve(entry); },
                      .usage = [this](std::string_view account, int days) { return ledger_->usage(account, days); },
                      .engine = nullptr,
                      .vectorize = nullptr,
                      .no_vectorize = {},
                      .ready = {},
                      .new_id = {}},
        api::AppInfo{.version = "0", .device = "none", .profile = "tiny", .host = "127.0.0.1"});
    http::ServerOptions http;
    http.port = 0;
    http.refusal = app_->refusal();
    server_ = http::Server::start(http, app_->handler());
  }
  ~QuotaRig() {
    server_.reset();
    app_.reset();
    runner_.reset();
    local_.reset();
    ledger_.reset();
    std::filesystem::remove_all(dir_);
  }
  QuotaRig(const QuotaRig&) = delete;
  QuotaRig& operator=(const QuotaRig&) = delete;

  std::uint16_t port() const { return server_->port(); }
  std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port()) + std::string(path);
  }
  std::string run_url(std::string_view account) const {
    return url("/client/v4/accounts/" + std::string(account) + "/ai/run/" + std::string(kModel));
  }
  ledger::Ledger& ledger() { return *ledger_; }
  const catalog::Catalog& catalog() const { return catalog_; }

 private:
  static std::filesystem::path folder_of_its_own() {
    std::string name = (std::filesystem::temp_directory_path() / "glia-quota-XXXXXX").string();
    return mkdtemp(name.data());
  }

  const std::filesystem::path dir_ = folder_of_its_own();
  SystemClock clock_;
  const catalog::Catalog catalog_ = catalog::Catalog::load();
  std::shared_ptr<tasks::fake::Model> model_ = std::make_shared<tasks::fake::Model>(tasks::fake::kChatMl, 1 << 20);
  tasks::fake::Engine engine_{model_};
  tasks::Weights weights_{
      catalog_, {.profile = "tiny", .models_dir = dir_, .overrides = {{std::string(kModel), dir_ / "weights.gguf"}}}};
  tasks::NoMeter none_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<LedgerMeter> meter_;
  std::unique_ptr<tasks::LocalRunner> local_;
  std::unique_ptr<LimitedRunner> runner_;
  std::unique_ptr<api::App> app_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace glia::cli
