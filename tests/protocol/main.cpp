// Runs the text-file protocol tests: against http and api on a fake Runner, or against the server at --url.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "api/app.h"
#include "base/log.h"
#include "case_file.h"
#include "fake_runner.h"
#include "http/client.h"
#include "match.h"

namespace glia::protocol {
namespace {

constexpr std::string_view kModel = "@cf/meta/llama-3.1-8b-instruct-fp8";

using Kept = std::map<std::string, std::string>;

/// $NAME, {{model}} and {{spaces N}}.
std::string filled(std::string text, const Kept& kept) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  };
  replace("{{model}}", std::string(kModel));
  for (const auto& [name, value] : kept) {
    std::string mark = "$";
    mark += name;
    replace(mark, value);
  }
  if (const auto at = text.find("{{spaces "); at != std::string::npos) {
    const auto end = text.find("}}", at);
    text.replace(at, end + 2 - at, std::string(std::stoul(text.substr(at + 9)), ' '));
  }
  return text;
}

std::string check(const Case& c, const http::ClientResponse& response, const Kept& kept) {
  if (response.status != c.status) {
    return "status " + std::to_string(response.status) + ", not " + std::to_string(c.status) + ": " + response.body;
  }
  for (const auto& [name, expected] : c.expected_headers) {
    const auto value = response.header(name);
    if (expected == "{{absent}}") {
      if (value) return "the header " + name + " is there: " + std::string(*value);
    } else if (!value) {
      return "the header " + name + " is missing";
    } else if (auto problem = text_mismatch(filled(expected, kept), *value); !problem.empty()) {
      return "the header " + name + " " + problem;
    }
  }
  return c.body_given ? body_mismatch(filled(c.expected_body, kept), response.body) : "";
}

std::string keep(const Case& c, const http::ClientResponse& response, Kept& kept) {
  for (const auto& [name, pointer] : c.keep) {
    boost::system::error_code ec;
    const json::value body = json::parse(response.body, ec);
    const json::value* found = ec ? nullptr : body.find_pointer(pointer, ec);
    if (found == nullptr || !found->is_string()) return "nothing to keep at " + pointer;
    kept[name] = std::string(found->get_string());
  }
  return {};
}

/// Empty when the case passes.
std::string run_case(const Case& c, const std::string& base, Kept& kept) {
  http::Headers headers;
  for (const auto& [name, value] : c.headers) headers.emplace_back(name, filled(value, kept));
  std::string body = filled(c.body, kept);
  if (const std::string mark = "{{crlf}}\n"; body.starts_with(mark)) {
    body.erase(0, mark.size());
    for (auto at = body.find('\n'); at != std::string::npos; at = body.find('\n', at + 2)) body.insert(at, "\r");
  }
  const std::string close_mark = "{{close}}";
  const bool leave = body.ends_with(close_mark);
  const std::string sent = leave ? body.substr(0, body.size() - close_mark.size()) : body;
  try {
    std::string collected;
    const auto response =
        http::request(c.method, base + filled(c.target, kept), headers, sent, [&](std::string_view piece) {
          collected += piece;
          return !leave;
        });
    http::ClientResponse whole = response;
    if (whole.body.empty()) whole.body = collected;
    std::string problem = check(c, whole, kept);
    return problem.empty() ? keep(c, whole, kept) : problem;
  } catch (const Error& error) {
    return error.detail();
  }
}

/// One model in memory that stays busy: a stop waits for it.
class FakeEngine final : public engine::Engine {
 public:
  std::shared_ptr<engine::ChatModel> acquire(const std::filesystem::path&, const engine::AcquireOptions&) override {
    Error error(ErrorCode::out_of_capacity, "the model needs about 900 MiB of memory, the budget is 800 MiB");
    error.retry_after_s = 5;
    throw error;
  }
  std::shared_ptr<engine::ChatModel> find(const std::filesystem::path&) override { return nullptr; }
  std::shared_ptr<engine::TextEncoder> acquire_encoder(const std::filesystem::path&,
                                                       const engine::AcquireOptions&) override {
    throw Error(ErrorCode::model_unavailable, "the fake engine has no encoder");
  }
  std::shared_ptr<engine::TextEncoder> find_encoder(const std::filesystem::path&) override { return nullptr; }
  engine::Stopped stop(const std::filesystem::path&) override { return engine::Stopped::when_idle; }
  std::vector<engine::ModelStatus> status() const override {
    engine::ModelStatus status;
    status.name = "Fake-Weights";
    status.path = "/a/folder/fake.gguf";
    status.running = 1;
    status.keep_alive_ms = 60'000;
    status.kv_pages_cached = 7;
    return {status};
  }
  engine::EngineFigures figures() const override { return {800, 700, status()}; }
  std::string_view device_name() const override { return "cpu fake"; }
};

struct FakeServer {
  explicit FakeServer(std::uint16_t port = 0, const std::string& version = "9.9.9") {
    api::Services services;
    services.runner = &runner;
    services.catalog = &catalog;
    services.clock = &clock;
    services.weights = [](const catalog::ModelEntry&) {
      tasks::ResolvedWeights weights;
      weights.name = "Fake-Weights";
      weights.stand_in = true;
      weights.available = true;
      weights.path = "/a/folder/fake.gguf";
      weights.file = "fake.gguf";
      weights.package = "fake 1.0";
      return weights;
    };
    services.usage = [](std::string_view account, int) {
      ledger::UsageRow row;
      row.day = "2026-11-24";
      row.model = std::string(kModel);
      row.task = "Text Generation";
      row.calls = account.empty() ? 3 : 1;
      row.prompt_tokens = 10;
      row.completion_tokens = 5;
      row.neurons = 0.5;
      row.stand_in = true;
      return std::vector<ledger::UsageRow>{row};
    };
    services.engine = &engine;
    services.vectorize = vectorize.get();
    app = std::make_unique<api::App>(services, api::AppInfo{version, "cpu fake", "tiny", "127.0.0.1"});
    http::ServerOptions options;
    options.port = port;
    options.max_body_bytes = 1 << 20;
    options.refusal = app->refusal();
    server = http::Server::start(options, app->handler());
  }

  SystemClock clock;
  catalog::Catalog catalog = catalog::Catalog::load();
  FakeRunner runner{catalog};
  FakeEngine engine;
  std::unique_ptr<vectorize::Vectorize> vectorize = vectorize::Vectorize::open({}, clock);  // in memory, at once
  std::unique_ptr<api::App> app;
  std::unique_ptr<http::Server> server;
};

int run_all(std::string base, const std::string& filter) {
  std::optional<FakeServer> fake;
  if (base.empty()) {
    fake.emplace();
    base = "http://127.0.0.1:" + std::to_string(fake->server->port());
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(GLIA_CASES)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  int passed = 0, failed = 0, left_out = 0;
  for (const auto& file : files) {
    Kept kept;
    for (const Case& c : read_cases(file)) {
      if (!filter.empty() && (c.file + " " + c.title).find(filter) == std::string::npos) continue;
      if (c.fake_only && !fake) {
        left_out++;
        continue;
      }
      const std::string problem = run_case(c, base, kept);
      problem.empty() ? passed++ : failed++;
      if (!problem.empty()) {
        std::printf("FAILED %s:%d: %s\n       %s\n", c.file.c_str(), c.line, c.title.c_str(), problem.c_str());
      }
    }
  }
  std::printf("%d protocol cases passed, %d failed, %d for the fake only left out\n", passed, failed, left_out);
  return failed == 0 && passed > 0 ? 0 : 1;
}

/// For trying clients by hand: serves until it is killed.
int serve(const std::string& port, const std::string& version) {
  const FakeServer fake(static_cast<std::uint16_t>(std::stoul(port)), version);
  std::printf("a fake Runner answers at http://127.0.0.1:%d\n", fake.server->port());
  std::fflush(stdout);
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace
}  // namespace glia::protocol

int main(int argc, char** argv) {
  std::string base, filter;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--url") base = argv[i + 1];
    if (std::string_view(argv[i]) == "--filter") filter = argv[i + 1];
  }
  while (base.ends_with('/')) base.pop_back();
  try {
    if ((argc == 3 || argc == 4) && std::string_view(argv[1]) == "--serve") {
      return glia::protocol::serve(argv[2], argc == 4 ? argv[3] : "9.9.9");
    }
    glia::log::configure(glia::log::Level::error, false);
    return glia::protocol::run_all(base, filter);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
