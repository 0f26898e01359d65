"""A replayed agent: four users of one program, twenty turns each, in turn. Every request has the whole conversation so far: the
program's instructions and tools, what the user and the tools said (recorded), and what the model answered. The same requests go to
a server with the prefix cache and to one without; both must give the same text."""
import contextlib
import json
import random
import statistics
import time

from .figures import MODEL, check, report, wanted
from .prompts import sentences
from .serve import server

NAMES = ["serve.agent_trace"]
USERS, TURNS = 4, 20
TOOLS = [{"name": "search_archive", "description": "Finds letters of the town archive by place, person or year.",
          "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "person": {"type": "string"}, "year": {"type": "integer"}}}},
         {"name": "read_letter", "description": "The text of one letter.",
          "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}},
         {"name": "add_note", "description": "Keeps a note for the report.",
          "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}]
SYSTEM = ("You are the archivist's assistant. You answer questions about the town's letters. Work in small steps: call one tool, read what "
          "it returns, then decide. Answer in one short sentence. Tools, as JSON:\n" + json.dumps(TOOLS, indent=1))


def recorded(user):
    """What the user says first, and what tools return before each later turn."""
    rng = random.Random(user)
    yield {"role": "user", "content": f"I am reader {user}. {sentences(rng, 2)} Which letters say more about it?"}
    for turn in range(1, TURNS):
        letters = [{"id": f"L{rng.randrange(1000, 9999)}", "year": rng.randrange(1810, 1930)} for _ in range(2)]
        yield {"role": "user", "content": f"Result of search_archive, call {turn}: {json.dumps(letters)} {sentences(rng, 1)} Go on."}


def ask(connection, conversation):
    """Milliseconds to the first piece, the text, and the usage."""
    body = json.dumps({"messages": conversation, "stream": True, "max_tokens": 24, "temperature": 0})
    start = time.perf_counter()
    connection.request("POST", f"/client/v4/accounts/agents/ai/run/{MODEL}", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"HTTP {answer.status}: {answer.read().decode()}")
    first, text, usage = None, "", {}
    for line in answer:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if first is None:
            first = (time.perf_counter() - start) * 1e3
        text += event.get("response") or ""
        usage = event.get("usage") or usage
    return first, text, usage, (time.perf_counter() - start) * 1e3


def run():
    if not wanted(NAMES[0]):
        return
    users = [([{"role": "system", "content": SYSTEM}], recorded(u)) for u in range(USERS)]
    firsts, wholes, cached, prompt = [], [], 0, 0
    with server() as on, server("--no-prefix-cache") as off, contextlib.closing(on.connect()) as a, contextlib.closing(off.connect()) as b:
        for turn in range(TURNS):
            for conversation, said in users:
                conversation.append(next(said))
                with_cache, without = ask(a, conversation), ask(b, conversation)
                check(NAMES[0], with_cache[1] == without[1], f"turn {turn}: the cache changed the text")
                conversation.append({"role": "assistant", "content": with_cache[1]})
                firsts.append((with_cache[0], without[0])), wholes.append((with_cache[3], without[3]))
                prompt += with_cache[2]["prompt_tokens"]
                cached += with_cache[2].get("prompt_tokens_details", {}).get("cached_tokens", 0)
    ours, plain = (sum(w) / 1e3 for w in zip(*wholes))
    report(NAMES[0], 100 * cached / prompt, unit="% of the prompt tokens cached",
           note=f"{USERS} users, {TURNS} turns, {prompt} prompt tokens; {plain - ours:.1f} s of {plain:.1f} s saved; first piece, median: "
                f"{statistics.median(f[0] for f in firsts):.0f} ms, without {statistics.median(f[1] for f in firsts):.0f} ms; the same text both ways")
