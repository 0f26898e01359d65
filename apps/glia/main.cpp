// glia: Workers AI on this machine.
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/log.h"
#include "commands.h"
#include "settings.h"
#include "terminal.h"
#include "vector_verbs.h"
#include "version.h"

namespace {

using namespace glia;
using namespace glia::cli;

void add_settings(CLI::App& app, GivenSettings& given) {
  app.add_option("--config", given.config, "Settings file (default: ./glia.toml, then ~/.config/glia/glia.toml)")
      ->envname("GLIA_CONFIG");
  app.add_option("--profile", given.profile, "Which weights answer for an id: tiny or full")->envname("GLIA_PROFILE");
  app.add_option("--model", given.models,
                 "Your own weights for an id: ID=PATH to a .gguf or a Hugging Face folder, or "
                 "ID=hf:owner/name[:Q4_K_M] as pulled")
      ->allow_extra_args(false)
      ->type_name("ID=PATH");
  app.add_option("--models-dir", given.models_dir, "Where the weights are (default: ~/.local/share/glia/models)")
      ->envname("GLIA_MODELS");
  app.add_option("--data", given.data, "Where the ledger and vector indexes are (default: ~/.local/share/glia)")
      ->envname("GLIA_DATA");
  app.add_option("--deprecations", given.deprecations,
                 "Refuse ids that the service retires: off (default), now, or by a day (2026-12-01)")
      ->envname("GLIA_DEPRECATIONS");
  app.add_option("--threads", given.threads, "Threads of the engine (default: every core)")->envname("GLIA_THREADS");
  app.add_option("--memory-mib", given.memory_mib,
                 "Most memory of all but vector indexes (default: 3/4 of the machine)")
      ->envname("GLIA_MEMORY_MIB");
  app.add_flag("--no-prefix-cache", given.no_prefix_cache,
               "Compute every prompt whole, also where it begins like another")
      ->envname("GLIA_NO_PREFIX_CACHE");
  app.add_flag("--no-speculation", given.no_speculation,
               "One token of an answer a step, also where it repeats the prompt")
      ->envname("GLIA_NO_SPECULATION");
  app.add_flag("--no-packed-cache", given.no_packed_cache,
               "Pack weights at every start; none are kept in ~/.cache/glia/packed")
      ->envname("GLIA_NO_PACKED_CACHE");
  app.add_option("--kv", given.kv, "Keys and values as int16 (default), f16, bf16 or int8 (half the memory)")
      ->envname("GLIA_KV");
  app.add_option("--activations", given.activations,
                 "Activations in products as int16 (default) or int8: faster, and another best token now and then")
      ->envname("GLIA_ACTIVATIONS");
  app.add_option("--math", given.math, "fast (integer products) or exact (float32)")->envname("GLIA_MATH");
  app.add_option("--log-level", given.log_level, "debug, info, warn or error")->envname("GLIA_LOG_LEVEL");
  app.add_flag("--log-json", given.log_json, "One JSON object a log line")->envname("GLIA_LOG_JSON");
}

void add_address(CLI::App& app, GivenSettings& given) {
  app.add_option("--host", given.host, "Address (default: 127.0.0.1)")->envname("GLIA_HOST");
  app.add_option("--port", given.port, "Port (default: 7843; 0 takes a free one)")
      ->envname("GLIA_PORT")
      ->check(CLI::Range(0, 65535));
}

struct Program {
  CLI::App app{"glia runs Workers AI on this machine: the same ids, answers, errors and neurons, offline.", "glia"};
  GivenSettings given;
  ServeOptions serve_options;
  RunOptions run_options;
  UsageOptions usage_options;
  BenchOptions bench_options;
  std::string shown_model;
  std::string load_keep_alive;
  std::string hub_model;
  bool offline = false;
  bool only_show = false;
  bool as_json = false;
  std::function<int()> verb;

  Program() {
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("glia ") + kVersion);
    add_serve();
    add_run();
    add_hub();
    add_looks();
    add_bench();
    add_vector_verbs(
        app, given, [this](CLI::App& c) { add_address(c, given); }, verb);
    app.footer(
        "Examples:\n"
        "  glia serve\n"
        "  glia run @cf/meta/llama-3.1-8b-instruct \"Write a haiku about rain\"\n"
        "  glia serve --model @cf/meta/llama-3.1-8b-instruct=llama.gguf\n"
        "  glia usage --days 30");
  }

 private:
  void add_serve() {
    auto* c = app.add_subcommand("serve", "Answer the binding, the REST API and OpenAI clients over HTTP");
    add_address(*c, given);
    add_settings(*c, given);
    c->add_option("--plan", given.plan, "paid counts and shows; free refuses past 10,000 neurons a day")
        ->envname("GLIA_PLAN");
    c->add_flag("--rate-limits", given.rate_limits, "Refuse past the service's requests a minute")
        ->envname("GLIA_RATE_LIMITS");
    c->add_option("--preload", serve_options.preload, "Ids to load before the first request")
        ->delimiter(',')
        ->envname("GLIA_PRELOAD");
    c->add_option("--keep-alive", given.keep_alive,
                  "How long an idle model or vector index stays in memory (default: 30m; 0: not at all, -1: for good)")
        ->envname("GLIA_KEEP_ALIVE");
    c->add_option("--max-running", given.max_running, "Answers of one model at once (default: 64)")
        ->envname("GLIA_MAX_RUNNING");
    c->add_option("--max-queued", given.max_queued, "Requests that wait beside them; above: 429 (default: 512)")
        ->envname("GLIA_MAX_QUEUED");
    c->add_flag("--in-memory", given.in_memory,
                "Keep the ledger and vector indexes in memory; nothing is written to disk");
    c->add_option("--vector-delay", given.vector_delay,
                  "Between the answer to a change of vectors and its being seen (default: 500ms; 0: at once)")
        ->envname("GLIA_VECTOR_DELAY");
    c->add_option("--vector-memory-mib", given.vector_memory_mib,
                  "Most memory of vector indexes (default: 3/16 of the machine)")
        ->envname("GLIA_VECTOR_MEMORY_MIB");
    c->add_flag("--no-vector-limits", given.no_vector_limits, "Vectorize takes more than the service does")
        ->envname("GLIA_NO_VECTOR_LIMITS");
    c->add_option("--address-file", serve_options.address_file,
                  "Write the address there; end at once when another glia serve does already");
    c->add_flag("--while-leased", serve_options.while_leased,
                "End when the last glia-dev that uses this server has ended");
    c->callback([this] { verb = [this] { return serve(settle_settings(given), serve_options); }; });
  }

  void add_run() {
    auto* c = app.add_subcommand("run", "Answer one prompt here in the terminal");
    c->add_option("model", run_options.model, "A catalogue id, for example @cf/meta/llama-3.1-8b-instruct")->required();
    c->add_option("prompt", run_options.prompt, "The prompt; `-` reads it from standard input")->required();
    c->add_option("--system", run_options.system, "A system message before it");
    c->add_option("--max-tokens", run_options.max_tokens, "Most tokens of the answer (default: 256)");
    c->add_option("--temperature", run_options.temperature,
                  "0 to 5 (default: 0.6; 0 always takes the likeliest token)");
    c->add_option("--seed", run_options.seed, "The same seed gives the same answer");
    add_settings(*c, given);
    c->callback([this] { verb = [this] { return run(settle_settings(given), run_options); }; });
  }

  void add_hub() {
    constexpr const char* kWhat =
        "A catalogue id, or owner/name of the Hugging Face hub; :Q4_K_M or :FILE picks a GGUF, "
        "@REVISION a branch, tag or commit";
    auto* pull_command = app.add_subcommand("pull", "Fetch a model's own weights into the shared Hugging Face cache");
    pull_command->add_option("model", hub_model, kWhat)->required();
    pull_command->add_flag("--offline", offline, "Only look: an error where something is missing (HF_HUB_OFFLINE)");
    pull_command->callback([this] { verb = [this] { return pull(hub_model, offline); }; });

    auto* rm_command = app.add_subcommand("rm", "Remove weights from the cache, and say what that frees");
    rm_command->add_option("model", hub_model, kWhat)->required();
    rm_command->add_flag("--dry-run", only_show, "Only say what it would free");
    rm_command->callback([this] { verb = [this] { return rm(hub_model, only_show); }; });
  }

  void add_looks() {
    auto* list_command = app.add_subcommand("list", "Ids served here, and which weights answer for each")->alias("ls");
    add_address(*list_command, given);
    add_settings(*list_command, given);
    list_command->add_flag("--json", as_json, "As JSON");
    list_command->callback([this] { verb = [this] { return list(settle_settings(given), as_json); }; });

    auto* show_command = app.add_subcommand("show", "One id: its task, limits, price, and which weights answer for it");
    add_address(*show_command, given);
    add_settings(*show_command, given);
    show_command->add_option("model", shown_model, "A catalogue id or alias")->required();
    show_command->add_flag("--json", as_json, "As JSON");
    show_command->callback([this] { verb = [this] { return show(settle_settings(given), shown_model, as_json); }; });

    auto* ps_command = app.add_subcommand("ps", "Models in memory of a running glia serve");
    add_address(*ps_command, given);
    ps_command->add_flag("--json", as_json, "As JSON");
    ps_command->callback([this] { verb = [this] { return ps(settle_settings(given), as_json); }; });

    auto* load_command = app.add_subcommand("load", "Bring a model into the memory of a running glia serve");
    add_address(*load_command, given);
    load_command->add_option("model", shown_model, "A catalogue id or alias")->required();
    load_command->add_option("--keep-alive", load_keep_alive,
                             "How long it stays when idle, instead of the server's (30m; 0: not at all, -1: for good)");
    load_command->add_flag("--json", as_json, "As JSON");
    load_command->callback(
        [this] { verb = [this] { return load(settle_settings(given), shown_model, load_keep_alive, as_json); }; });

    auto* stop_command = app.add_subcommand("stop", "Take a model out of the memory of a running glia serve");
    add_address(*stop_command, given);
    stop_command->add_option("model", shown_model, "A catalogue id or alias")->required();
    stop_command->add_flag("--json", as_json, "As JSON");
    stop_command->callback([this] { verb = [this] { return stop(settle_settings(given), shown_model, as_json); }; });

    auto* usage_command = app.add_subcommand("usage", "Calls, tokens and neurons by day and model");
    add_settings(*usage_command, given);
    usage_command->add_option("--days", usage_options.days, "How many days, today included (default: 7)")
        ->check(CLI::Range(1, 3660));
    usage_command->add_option("--account", usage_options.account, "One account (default: all)");
    usage_command->add_option("--by", usage_options.by, "What is told apart: day, model and task, or some of them")
        ->type_name("COLUMNS");
    auto* const usage_json = usage_command->add_flag("--json", usage_options.as_json, "As JSON");
    usage_command->add_flag("--csv", usage_options.as_csv, "As CSV")->excludes(usage_json);
    usage_command->callback([this] { verb = [this] { return usage(settle_settings(given), usage_options); }; });

    auto* version_command = app.add_subcommand("version", "Version, instruction sets and the one in use");
    version_command->add_flag("--json", as_json, "As JSON");
    version_command->callback([this] { verb = [this] { return version(as_json); }; });
  }

  void add_bench() {
    auto* c = app.add_subcommand("bench", "How fast a model answers on this machine, alone and with many at once");
    c->add_option("model", bench_options.model,
                  "A catalogue id, or a .gguf or Hugging Face folder (default: @cf/meta/llama-3.1-8b-instruct)");
    c->add_option("--prompt", bench_options.prompt, "Tokens of a prompt (default: 256)")
        ->check(CLI::Range(1, 1'000'000));
    c->add_option("--answer", bench_options.answer, "Tokens of an answer (default: 128)")
        ->check(CLI::Range(1, 1'000'000));
    c->add_option("--concurrency", bench_options.concurrency, "Streams at once, a row each (default: 1,8,32)")
        ->delimiter(',')
        ->check(CLI::Range(1, 512));
    c->add_option("--seconds", bench_options.seconds, "Leave out rows that would take longer (default: 60)")
        ->check(CLI::Range(1, 86'400));
    c->add_flag("--json", bench_options.as_json, "As JSON");
    add_settings(*c, given);
    c->callback([this] { verb = [this] { return bench(settle_settings(given), bench_options); }; });
  }
};

/// CLI11 says of a misspelt verb only that one is required.
void check_verb(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string verb = argv[1];
  std::string verbs;
  for (const CLI::App* known : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (known->check_name(verb)) return;
    verbs += (verbs.empty() ? "" : ", ") + known->get_name();
  }
  throw UsageError("there is no verb `" + verb + "`; there are " + verbs);
}

void complain(std::string_view message) { std::cerr << styled(STDERR_FILENO, Style::red, "glia: ") << message << "\n"; }

}  // namespace

int main(int argc, char** argv) {
  Program program;
  try {
    check_verb(program.app, argc, argv);
    program.app.parse(argc, argv);
    return program.verb();
  } catch (const CLI::Success& e) {
    return program.app.exit(e);
  } catch (const CLI::ParseError& e) {
    complain(e.what());
    std::cerr << "Try `glia --help`.\n";
    return 2;
  } catch (const UsageError& e) {
    complain(e.what());
    return 2;
  } catch (const Error& e) {
    complain(e.detail().empty() ? e.message() : e.detail());  // the code's default text is for API clients
    return 1;
  } catch (const std::exception& e) {
    complain(e.what());
    return 1;
  }
}
