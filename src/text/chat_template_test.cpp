// Chat templates against transformers' (tests/golden/README_text.md), and what no template may do.

#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <initializer_list>
#include <set>

#include "base/error.h"
#include "base/sanitized.h"
#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::text {
namespace {

/// What a golden says: a prompt, the template's own complaint, or that transformers fails in another way.
struct Outcome {
  std::string kind;  // text, error, fails
  std::string text;
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << outcome.kind << ": " << outcome.text;
}

Outcome expected_of(const json::object& golden) {
  for (const char* kind : {"text", "error"}) {
    if (const json::value* text = golden.if_contains(kind)) return {kind, std::string(text->as_string())};
  }
  return {"fails", ""};
}

std::string serialized(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? "" : json::serialize(*value);
}

Outcome render(std::string_view source, std::string_view bos, std::string_view eos, const ChatTemplateInput& input) {
  try {
    return {"text", ChatTemplate(source, bos, eos).render(input)};
  } catch (const Error& error) {
    return {"error", error.detail()};
  }
}

std::vector<std::string> template_names() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_path("text_templates"))) {
    if (entry.path().extension() == ".jinja") names.insert(entry.path().stem().string());
  }
  return {names.begin(), names.end()};
}

TEST(ChatTemplate, ManyPublishedTemplatesMeetEveryKindOfConversation) {
  const json::object cases = parse_json(read_golden("text_templates/cases.json")).at("cases").as_object();
  int published = 0;
  for (const std::string& name : template_names()) {
    const json::object golden = parse_json(read_golden("text_templates/" + name + ".json")).at("cases").as_object();
    for (const auto& [kind, given] : cases) EXPECT_TRUE(golden.contains(kind)) << name << " without " << kind;
    published += name.starts_with("own-") ? 0 : 1;
  }
  EXPECT_GE(published, 50);
  for (const char* kind : {"plain", "system", "tools", "simple_tools", "tool_call", "simple_result", "reasoning"}) {
    EXPECT_TRUE(cases.contains(kind));
  }
}

class TemplateGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(TemplateGolden, PromptsAreThoseOfTransformers) {
  const json::value cases = parse_json(read_golden("text_templates/cases.json"));
  const json::value golden = parse_json(read_golden("text_templates/" + GetParam() + ".json"));
  const std::string source = read_golden("text_templates/" + GetParam() + ".jinja");
  // The engine makes a list of what Jinja leaves a generator, so that JSON of it is not refused.
  const bool lenient = GetParam() == "llama-cpp-deepseek-r1";
  for (const auto& [name, outcome] : golden.at("cases").as_object()) {
    SCOPED_TRACE(std::string(name));
    const json::object& given = cases.at("cases").at(name).as_object();
    const std::string messages = serialized(given, "messages");
    const std::string tools = serialized(given, "tools");
    const std::string extra = serialized(given, "extra");
    const Outcome got = render(source, golden.at("bos").as_string(), golden.at("eos").as_string(),
                               {.messages_json = messages,
                                .tools_json = tools,
                                .add_generation_prompt = !given.contains("add_generation_prompt"),
                                .now_unix_s = cases.at("now").as_int64(),
                                .extra_json = extra});
    const Outcome expected = expected_of(outcome.as_object());
    if (expected.kind != "fails") {
      EXPECT_EQ(got, expected);
    } else if (!lenient) {
      EXPECT_EQ(got.kind, "error") << got.text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TemplateGolden, ::testing::ValuesIn(template_names()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '-' || c == '.' ? '_' : c;
  return name;
});

TEST(ChatTemplate, SnippetsAreThoseOfTransformers) {
  const json::value golden = parse_json(read_golden("text_templates/snippets.json"));
  const std::string extra = json::serialize(golden.at("variables"));
  const std::string messages = json::serialize(golden.at("variables").at("messages"));
  ASSERT_GE(golden.at("snippets").as_array().size(), 150U);
  for (const json::value& snippet : golden.at("snippets").as_array()) {
    const std::string source(snippet.at("source").as_string());
    const Outcome got = render(source, "", "",
                               {.messages_json = messages,
                                .add_generation_prompt = false,
                                .now_unix_s = golden.at("now").as_int64(),
                                .extra_json = extra});
    const Outcome expected = expected_of(snippet.as_object());
    if (expected.kind == "fails") {
      EXPECT_EQ(got.kind, "error") << source << "\n" << got.text;
    } else {
      EXPECT_EQ(got, expected) << source;
    }
  }
}

TEST(ChatTemplate, SmolLM2CarriesItsOwn) {
  const formats::GgufFile file = formats::GgufFile::open(smollm2_path());
  EXPECT_EQ(chat_template_of(file), read_golden("text_templates/SmolLM2-135M-Instruct.jinja"));
}

TEST(ChatTemplate, IsFoundInATokenizerConfig) {
  EXPECT_EQ(chat_template_of(R"({"chat_template": "{{ 1 }}"})"), "{{ 1 }}");
  EXPECT_EQ(chat_template_of(R"({"chat_template": [{"name": "tool_use", "template": "t"},
                                                   {"name": "default", "template": "d"}]})"),
            "d");
  EXPECT_EQ(chat_template_of(R"({"chat_template": [7, {"name": 1}, {"template": "x"}]})"), std::nullopt);
  EXPECT_EQ(chat_template_of(R"({"chat_template": null})"), std::nullopt);
  EXPECT_EQ(chat_template_of("[]"), std::nullopt);
  EXPECT_THROW(chat_template_of("{"), Error);
}

TEST(ChatTemplate, ForToolsIsTakenWhereThereAreTools) {
  const std::string config = R"({"chat_template": [{"name": "tool_use", "template": "with {{ tools | length }}"},
                                                   {"name": "default", "template": "without"}]})";
  EXPECT_EQ(tool_use_template_of(config), "with {{ tools | length }}");
  EXPECT_EQ(tool_use_template_of(R"({"chat_template": "x"})"), std::nullopt);
  const ChatTemplate chat(*chat_template_of(config), "", "", *tool_use_template_of(config));
  EXPECT_EQ(chat.render({.messages_json = "[]"}), "without");
  EXPECT_EQ(chat.render({.messages_json = "[]", .tools_json = "[1, 2]"}), "with 2");
}

TEST(ChatTemplate, ThatDoesNotParseIsUnavailable) {
  for (const std::string source : {"{% if %}", "{{", "{% for x in y %}", "{{ 1 + }}", "\xff"}) {
    try {
      const ChatTemplate parsed(source, "", "");
      FAIL() << source;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
    }
  }
  // Deeper than a stack, or longer than the time there is; each of these is 250,000 bytes.
  for (const auto& [begin, unit, end] :
       std::initializer_list<std::array<std::string_view, 3>>{{"{{ ", "(", "1 }}"},
                                                              {"", "{% if 1 %}", ""},
                                                              {"{{ 1", "+1", " }}"},
                                                              {"{{ 1", "~1", " }}"},
                                                              {"{{ x", ".a", " }}"},
                                                              {"{{ x", "|list", " }}"},
                                                              {"{{ x", "()", " }}"},
                                                              {"{{ ", "not ", "1 }}"},
                                                              {"{{ 1", " if 1 else 1", " }}"},
                                                              {"{{ x", "[:]", " }}"},
                                                              {"{% set x", ".a", " = 1 %}"},
                                                              {"{% filter upper", "|upper", " %}{% endfilter %}"},
                                                              {"{{ ", "[", ""},
                                                              {"{{ ", "-", "1 }}"},
                                                              {"{{ 1", "**1", " }}"}}) {
    std::string source(begin);
    while (source.size() + unit.size() + end.size() < 250'000) source += unit;
    EXPECT_THROW(ChatTemplate(source + std::string(end), "", ""), Error) << unit;
  }
  std::string elif = "{% if 0 %}";
  while (elif.size() < 250'000) elif += "{% elif 0 %}";
  EXPECT_EQ(ChatTemplate(elif + "{% endif %}", "", "").render({.messages_json = "[]"}), "");
  EXPECT_THROW(ChatTemplate(std::string(1U << 20, 'x'), "", ""), Error);
}

TEST(ChatTemplate, BadMessagesAreInvalidInput) {
  const ChatTemplate chat("{{ messages[0].content.upper() }}", "", "");
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  for (const std::string& messages : {std::string(), std::string("{}"), std::string("[1]"), std::string("["),
                                      std::string("[{}]"), std::string(R"([{"content": 5}])"), deep,
                                      "[{\"content\": " + deep + "}]", std::string("[{\"content\": \"\xff\"}]")}) {
    try {
      chat.render({.messages_json = messages});
      FAIL() << messages.substr(0, 40);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_input);
    }
  }
  EXPECT_THROW(chat.render({.messages_json = "[]", .tools_json = "{"}), Error);
  EXPECT_THROW(chat.render({.messages_json = "[]", .extra_json = "[]"}), Error);
}

/// Templates that would run, grow or recurse without end.
const char* const kHostile[] = {
    "{% for i in range(90000) %}{% for j in range(90000) %}{% for k in range(90000) %}{% endfor %}{% endfor %}{% "
    "endfor %}",
    "{% for i in range(90000) %}{% for j in range(90000) %}xxxxxxxx{% endfor %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(80) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s='ab') %}{% for i in range(80) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(80) %}{% set ns.s = ns.s.replace('a', 'aaaa') %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(80) %}{% set ns.s = ns.s.join('aaaa') %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(80) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(80) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson "
    "}}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(80) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | string "
    "}}",
    "{% set ns = namespace(l={}) %}{% for i in range(80) %}{% set ns.l = {'a': ns.l, 'b': ns.l} %}{% endfor %}{{ ns.l "
    "| tojson(indent=2) }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(20000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
    "{{ 'a' * 1000000000 }}",
    "{{ 'a' * 90000000 ~ 'a' * 90000000 ~ 'a' * 90000000 ~ 'a' * 90000000 ~ 'a' * 90000000 ~ 'a' * 90000000 }}",
    "{{ [0] * 90000000 }}",
    "{{ ([0] * 90000000) | tojson }}",
    "{{ range(1000000000000) | list }}",
    "{{ 'a'.ljust(1000000000) }}",
    "{{ 'a'.zfill(99999999999999) }}",
    "{{ '{:>1000000000}'.format('a') }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ 'a\\nb' | indent(1000000000) }}",
    "{{ messages | tojson(indent='x' * 10000000) }}",
    "{% set t = 'ab' * 1000000 %}{% for i in range(90000) %}{% for j in range(90) %}{% set x = t.find('zz') %}{% "
    "endfor %}{% endfor %}",
    "{% set t = 'ab' * 1000000 %}{% for i in range(90000) %}{% for j in range(90) %}{% set x = 'zz' in t %}{% endfor "
    "%}{% endfor %}",
    "{% set t = ('ab ' * 1000000).split() %}{% for i in range(90000) %}{% set x = t.count('zz') %}{% endfor %}",
    "{% set t = range(90000) | list %}{% for i in range(90000) %}{% set x = t | sort(reverse=true) | first %}{% endfor "
    "%}",
    // Values that share their parts, and values nested or lazy without end.
    "{% set ns = namespace(l=[1]) %}{% for i in range(80) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | length "
    "}}",
    "{% set ns = namespace(l=(1,)) %}{% for i in range(80) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(80) %}{% set ns.l = ns.l * 2 %}{% endfor %}{{ ns.l | length }}",
    "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(28) %}{% set ns.l = [ns.l, ns.l] %}"
    "{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(28) %}{% set ns.l = {'a': ns.l, 'b': ns.l} %}{% endfor %}{{ 'x' "
    "~ ns.l }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(90000) %}{% set ns.l = ns.l | batch(1) | list %}{% endfor %}",
    "{% set ns = namespace() %}{% set ns.me = ns %}{{ 'x' ~ ns }}",
    "{% set ns = namespace() %}{% set ns.me = [{'a': ns}] %}{{ ns == ns }}",
    "{% set ns = namespace() %}{% macro m() %}{{ ns }}{% endmacro %}{% set ns.m = m %}",
};

TEST(ChatTemplate, NoneCanHangOrFillTheMemory) {
  for (const char* source : kHostile) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(ChatTemplate(source, "", "").render({.messages_json = R"([{"role": "user"}])"}), Error) << source;
    EXPECT_LT(std::chrono::steady_clock::now() - start, kSanitizerTimes * std::chrono::seconds(20)) << source;
  }
}

TEST(ChatTemplate, ALongConversationIsWithinTheBudget) {
  const ChatTemplate chat(read_golden("text_templates/Qwen-Qwen3-0.6B.jinja"), "", "");
  std::string messages = "[";
  for (int i = 0; i < 4000; i++) {
    messages += std::string(i == 0 ? "" : ",") + R"({"role":")" + (i % 2 == 0 ? "user" : "assistant") +
                R"(","content":")" + std::string(500, 'x') + R"("})";
  }
  EXPECT_GT(chat.render({.messages_json = messages + "]"}).size(), 2'000'000U);
}

}  // namespace
}  // namespace glia::text
