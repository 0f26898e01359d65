import assert from "node:assert/strict";
import { test } from "node:test";
import { filter_message } from "../src/adapters/wrangler.ts";
import { TableOnce } from "../src/adapters/wrangler_table.ts";
import { call_line, missing_lines, mode_label, style_for } from "../src/lines.ts";

const plain = style_for({ isTTY: false }, {});
const model = (id: string, weights: string, stand_in = true, available = true) => ({
  id,
  weights,
  stand_in,
  available,
});

test("the table names the weights and for which ids they answer", () => {
  assert.equal(
    mode_label([model("@cf/meta/llama-3.1-8b-instruct", "SmolLM2-135M-Instruct")]),
    "glia, SmolLM2-135M-Instruct for llama-3.1-8b-instruct",
  );
  assert.equal(mode_label([model("@cf/a/b", "S"), model("@cf/a/c", "S")]), "glia, S for all 2 model ids");
  assert.equal(mode_label([model("@cf/a/b", "S"), model("@cf/a/c", "T")]), "glia, S and 1 more for 2 model ids");
  assert.equal(mode_label([model("@cf/a/b", "b", false)]), "glia, b");
  assert.equal(
    mode_label([model("@cf/a/b", "S"), model("@cf/a/c", "")]),
    "glia, S for b",
    "an id without weights says so when it is called",
  );
  assert.equal(mode_label(undefined), "glia, not answering yet");
});

test("a call is one line", () => {
  const event = {
    model: "@cf/a/b",
    weights: "S",
    stand_in: true,
    status: "ok" as const,
    first_token_ms: 41.26,
    tokens_per_s: 118.4,
    prompt_tokens: 12,
    completion_tokens: 64,
    neurons: 5.117,
  };
  assert.equal(
    call_line(event, plain),
    "[glia] @cf/a/b ← S (stand-in)  41.3 ms to first token, 118 tok/s, 5.1 neurons",
  );
  assert.equal(
    call_line({ ...event, status: "cancelled" }, plain),
    "[glia] @cf/a/b ← S (stand-in)  cancelled, 41.3 ms to first token, 118 tok/s, 5.1 neurons",
  );
  const read = { first_token_ms: null, tokens_per_s: null, completion_tokens: 0, total_ms: 3.21, neurons: 0.073 };
  assert.equal(
    call_line({ ...event, ...read }, plain),
    "[glia] @cf/a/b ← S (stand-in)  12 tokens read in 3.2 ms, 0.073 neurons",
  );
  assert.equal(
    call_line({ model: "@cf/a/x", status: "error", code: 5007, message: "No such model" }, plain),
    "[glia] @cf/a/x  5007: No such model",
  );
});

test("a table of bindings that says nothing new is not printed again", async () => {
  const written: string[] = [];
  const table = new TableOnce((message) => written.push(message));
  const title = "Your Worker has access to the following bindings:\n";
  const write = (...messages: string[]): void => {
    for (const message of messages) if (!table.takes(message)) written.push(message);
  };
  write(title, "env.AI  AI  local\n", "\n");
  await Promise.resolve();
  write("a line\n", "\u2394 Connection status updated\n");
  write(title, "env.AI  AI  local\n", "\n");
  await Promise.resolve();
  assert.deepEqual(written, [title, "env.AI  AI  local\n", "\n", "a line\n"]);
  write("\u2394 Connection status updated\n", title, "env.AI  AI  local [connected]\n");
  await Promise.resolve();
  write("\u2394 Connection status updated\n", "a last line\n");
  assert.deepEqual(written.slice(4), [
    "\u2394 Connection status updated\n",
    title,
    "env.AI  AI  local [connected]\n",
    "\u2394 Connection status updated\n",
    "a last line\n",
  ]);
});

test("missing weights are said, once for all their ids", () => {
  const missing = { ...model("@cf/a/b", "S", true, false), advice: "Type: make weights" };
  const lines = missing_lines([missing, { ...missing, id: "@cf/a/c" }, model("@cf/a/d", "T")], plain);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /weights S are not on this machine yet\. Type: make weights/);
});

test("colours only where they are wanted", () => {
  assert.equal(style_for({ isTTY: true }, {}).red("x"), "\x1b[31mx\x1b[39m");
  assert.equal(style_for({ isTTY: true }, { NO_COLOR: "1" }).red("x"), "x");
  assert.equal(style_for({ isTTY: true }, { TERM: "dumb" }).red("x"), "x");
  assert.equal(style_for({ isTTY: false }, { FORCE_COLOR: "1" }).red("x"), "\x1b[31mx\x1b[39m");
});

test("of wrangler's messages only the untrue ones are changed", () => {
  const row = "\x1b[37menv.AI\x1b[39m               \x1b[31mAI          \x1b[39m      \x1b[2mnot supported\x1b[22m\n";
  assert.equal(
    filter_message(row, "glia, S"),
    "\x1b[37menv.AI\x1b[39m               \x1b[31mAI          \x1b[39m      \x1b[34mlocal\x1b[39m \x1b[2m(glia, S)\x1b[22m\n",
  );
  assert.equal(
    filter_message("env.MY_AI      AI      remote\n", "glia, S"),
    "env.MY_AI      AI      local (glia, S)\n",
  );
  assert.equal(
    filter_message("env.DOCS (docs)      Vectorize Index      not supported\n", "glia, S"),
    "env.DOCS (docs)      Vectorize Index      local (glia)\n",
  );
  const untrue = "Vectorize Index bindings do not support local development, and so parts of your Worker may not work";
  assert.equal(filter_message(`▲ [WARNING] ${untrue}\n\n`, "glia, S"), "");
  for (const kept of [
    "env.AIR (x)      KV Namespace      local\n",
    "env.IMAGES      Images      not supported\n",
    "▲ [WARNING] Something else\n",
    "▲ [WARNING] Browser bindings always access remote resources, and so may incur usage charges\n",
    "console.log of the Worker: env.AI is not supported by me\n",
  ]) {
    assert.equal(filter_message(kept, "glia, S"), kept);
  }
  assert.equal(
    filter_message(
      "\x1b[33m▲ \x1b[43;33m[\x1b[43;30mWARNING\x1b[43;33m]\x1b[0m \x1b[1mAI bindings always access remote resources, and so may incur usage charges\x1b[0m\n\n\n",
      "x",
    ),
    "",
  );
});
