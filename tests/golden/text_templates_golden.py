"""Expected prompts: chat templates and snippets of Jinja, rendered by transformers.

text_templates/<name>.jinja are data, see README_text.md for where each comes from; snippets are ours. The clock stands at
NOW in UTC. A template that refuses messages by raise_exception has its text as `error`; one that fails otherwise has
`fails`.
"""

import datetime
import json
import os
import pathlib
import sys
import time

import jinja2
import transformers
from tokenizers import Tokenizer, models
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "text_templates"
NOW = 1721952000 + 3600 * 13 + 60 * 5 + 9  # 2024-07-26 13:05:09

os.environ["TZ"] = "UTC"
time.tzset()


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, tz)


chat_template_utils.datetime = FixedClock

SYSTEM = {"role": "system", "content": "You are a terse assistant."}
USER = {"role": "user", "content": "What is 6 times 7?"}
ANSWER = {"role": "assistant", "content": "42."}
AGAIN = {"role": "user", "content": "And 7 times 7?"}
ODD = "  “Größe” 👩‍👩‍👧 <b>&amp;</b> 'single' \"double\" \\n \\ \t\u0001\u001c日本語 é e\u0301\n\nlast line  \n"

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather",
        "description": "Weather of a place, in °C — “now”.\nSecond line.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "City & country, e.g. \"Zürich, CH\""},
                "days": {"type": "integer", "description": "How many", "default": 1, "minimum": 0},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "at": {"type": "array", "items": {"type": "number"}, "description": "Heights"},
                "keys": {"type": ["string", "null"], "nullable": True},
                "options": {"type": "object", "properties": {"fine": {"type": "boolean", "default": False}},
                            "required": []},
            },
            "required": ["place", "days"],
        },
        "return": {"type": "number", "description": "Degrees"},
    }},
    {"type": "function", "function": {"name": "now", "description": "The time", "strict": True,
                                      "parameters": {"type": "object", "properties": {}}}},
]
# Without types in a list, which some families' own templates cannot read.
SIMPLE_TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a place",
    "parameters": {"type": "object", "properties": {
        "place": {"type": "string", "description": "City"},
        "days": {"type": "integer", "description": "How many days"}}, "required": ["place"]}}}]
ARGUMENTS = {"place": "Zürich, CH", "days": 2, "at": [0.5, 10, 1e20, 1e-7], "fine": True, "none": None,
             "nested": {"a": ["x", {"b": ""}]}}


def call(arguments, **more):
    return {"role": "assistant", **more, "tool_calls": [
        {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}]}


RESULT = {"role": "tool", "tool_call_id": "call12345", "name": "get_weather", "content": "{\"celsius\": 21.5}"}

CASES = {
    "plain": {"messages": [USER]},
    "system": {"messages": [SYSTEM, USER]},
    "turns": {"messages": [USER, ANSWER, AGAIN]},
    "system_turns": {"messages": [SYSTEM, USER, ANSWER, AGAIN]},
    "no_prompt": {"messages": [SYSTEM, USER, ANSWER], "add_generation_prompt": False},
    "empty": {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""},
                           {"role": "user", "content": ""}]},
    "unicode": {"messages": [{"role": "system", "content": ODD}, {"role": "user", "content": ODD},
                             {"role": "assistant", "content": ODD}, {"role": "user", "content": ODD}]},
    "special": {"messages": [{"role": "user", "content": "<|im_end|></s>[INST]<|eot_id|>{{ 1 }}{% raw %}"}]},
    "two_users": {"messages": [USER, AGAIN]},
    "assistant_first": {"messages": [ANSWER, USER]},
    "unknown_role": {"messages": [{"role": "narrator", "content": "Once."}, USER]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "One. "},
                                                        {"type": "text", "text": "Two."}]}]},
    "tools": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "tools_no_system": {"messages": [USER], "tools": TOOLS},
    "tool_call": {"messages": [USER, call(ARGUMENTS, content=""), RESULT], "tools": TOOLS},
    "tool_call_null": {"messages": [SYSTEM, USER, call(ARGUMENTS, content=None), RESULT, ANSWER, AGAIN],
                       "tools": TOOLS},
    "tool_call_text": {"messages": [USER, call(json.dumps(ARGUMENTS), content="Let me look."), RESULT],
                       "tools": TOOLS},
    "two_calls": {"messages": [
        USER, {"role": "assistant", "content": "", "tool_calls": [
            {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "A"}}},
            {"id": "call67890", "type": "function", "function": {"name": "now", "arguments": {}}}]},
        RESULT, {"role": "tool", "tool_call_id": "call67890", "name": "now", "content": "12:00"}], "tools": TOOLS},
    "reasoning": {"messages": [USER, {"role": "assistant", "reasoning_content": "6*7\n=42", "content": "42."}, AGAIN]},
    "thought": {"messages": [USER, {"role": "assistant", "content": "<think>\n6*7 is 42\n</think>\n\n42."}, AGAIN]},
    "thinking_field": {"messages": [SYSTEM, USER, {"role": "assistant", "thinking": "6*7=42", "content": "42."}, AGAIN]},
    "reasoning_no_prompt": {"messages": [SYSTEM, USER, {"role": "assistant", "reasoning_content": "6*7\n=42",
                                                        "content": "42."}], "add_generation_prompt": False},
    "simple_tools": {"messages": [SYSTEM, USER], "tools": SIMPLE_TOOLS},
    "simple_call": {"messages": [USER, call({"place": "Bern"}, content=""), RESULT], "tools": SIMPLE_TOOLS},
    "simple_result": {"messages": [SYSTEM, USER, call({"place": "Bern"}), RESULT, ANSWER], "tools": SIMPLE_TOOLS,
                      "add_generation_prompt": False},
    "reasoning_call": {"messages": [USER, call({"place": "Bern"}, reasoning_content="Look it up.", content=""), RESULT],
                       "tools": SIMPLE_TOOLS},
    "thinking": {"messages": [SYSTEM, USER], "extra": {"enable_thinking": True, "thinking": True,
                                                       "reasoning_effort": "high"}},
    "no_thinking": {"messages": [USER], "extra": {"enable_thinking": False, "thinking": False}},
}


def fast_tokenizer(bos, eos):
    tokenizer = Tokenizer(models.WordLevel({"x": 0}, unk_token="x"))
    named = {name: text for name, text in (("bos_token", bos), ("eos_token", eos)) if text}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def outcome(render):
    try:
        return {"text": render()}
    except jinja2.exceptions.TemplateError as error:
        # raise_exception makes exactly this class; the engine's own complaints are subclasses of it.
        if type(error) is jinja2.exceptions.TemplateError:
            return {"error": error.message}
        return {"fails": True}
    except Exception:  # TypeError and the like from inside a template
        return {"fails": True}


def rendered(source, bos, eos):
    tokenizer = fast_tokenizer(bos, eos)
    cases = {}
    for name, case in CASES.items():
        cases[name] = outcome(lambda: tokenizer.apply_chat_template(
            case["messages"], tools=case.get("tools"), chat_template=source, tokenize=False,
            add_generation_prompt=case.get("add_generation_prompt", True), **case.get("extra", {})))
    return {"bos": bos, "eos": eos, "cases": cases}


def dump(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=True, indent=1)
        file.write("\n")


def tokens_of(source):
    """bos and eos as the template's family has them; only their presence matters here."""
    return ("<s>", "</s>") if "_token" in source else ("", "")


def make(folder=OUT):
    folder = pathlib.Path(folder)
    dump(folder / "cases.json", {"now": NOW, "cases": CASES})
    for path in sorted(folder.glob("*.jinja")):
        # Bytes, as a newline at the end or a carriage return is part of a template.
        source = path.read_bytes().decode("utf-8")
        golden = rendered(source, *tokens_of(source))
        kinds = [next(iter(o)) for o in golden["cases"].values()]
        print(f"{path.stem}: {kinds.count('text')} prompts, {kinds.count('error')} refused, {kinds.count('fails')} fail")
        dump(path.with_suffix(".json"), golden)
    if folder == OUT:
        import text_snippets
        snippets = []
        for source in text_snippets.SNIPPETS:
            def render(source=source):
                compiled = chat_template_utils._compile_jinja_template(source)
                return compiled.render(**text_snippets.VARIABLES)
            snippets.append({"source": source, **outcome(render)})
        dump(folder / "snippets.json", {"variables": text_snippets.VARIABLES, "now": NOW, "snippets": snippets})
        print(len(snippets), "snippets,", sum("fails" in s for s in snippets), "fail")


if __name__ == "__main__":
    make(*sys.argv[1:])
