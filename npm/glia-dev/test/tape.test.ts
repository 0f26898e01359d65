import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { canonical, identify, type Call } from "../src/tape/call.ts";
import {
  answer_of,
  CassetteError,
  file_name,
  kept_headers,
  Player,
  Recorder,
  type Answer,
} from "../src/tape/cassette.ts";
import { play, type ReplaySpeed } from "../src/tape/play.ts";
import { answer_lines, read_answer, request_lines } from "../src/tape/show.ts";
import { temporary_folder, until } from "./helpers.ts";

const kModel = "@cf/meta/llama-3.1-8b-instruct";

function binding(
  inputs: unknown,
  headers: http.IncomingHttpHeaders = {},
  url = "https://workers-binding.ai/run?version=3",
): Call {
  return identify({
    method: "POST",
    target: "/",
    headers: { "mf-url": url, "mf-header-cf-consn-model-id": kModel, ...headers },
    body: Buffer.from(JSON.stringify({ inputs, options: {} })),
  });
}

function plain(target: string, body: string, headers: http.IncomingHttpHeaders = {}): Call {
  return identify({ method: "POST", target, headers, body: Buffer.from(body) });
}

describe("what a call is", () => {
  test("the three dialects, with their models", () => {
    const calls = [
      binding({ prompt: "hi" }),
      plain(`/client/v4/accounts/local/ai/run/${kModel}`, '{"prompt":"hi"}'),
      plain("/v1/chat/completions", JSON.stringify({ model: kModel, messages: [] })),
      plain("/client/v4/accounts/a/ai/v1/chat/completions", JSON.stringify({ model: kModel, messages: [] })),
    ];
    assert.deepEqual(
      calls.map(({ dialect, route, model }) => [dialect, route, model]),
      [
        ["binding", "/run", kModel],
        ["rest", "/client/v4/accounts/:account/ai/run", kModel],
        ["openai", "/v1/chat/completions", kModel],
        ["openai", "/v1/chat/completions", kModel],
      ],
    );
    assert.equal(calls[2]!.key, calls[3]!.key);
    assert.equal(new Set(calls.map((call) => call.key)).size, 3);
  });

  test("equal calls have equal keys: order, account, credentials and versions do not matter", () => {
    const key = binding({ prompt: "hi", max_tokens: 5 }).key;
    assert.equal(binding({ max_tokens: 5, prompt: "hi" }).key, key);
    const other_headers = { "mf-header-authorization": "Bearer s", "mf-header-cf-consn-sdk-version": "9" };
    assert.equal(binding({ prompt: "hi", max_tokens: 5 }, other_headers).key, key);
    const prefixed = { "mf-header-cf-consn-model-id": `workers-ai:${kModel}` };
    assert.equal(binding({ prompt: "hi", max_tokens: 5 }, prefixed).key, key);
    assert.equal(binding({ prompt: "hi", max_tokens: 5 }, {}, "https://workers-binding.ai/run?version=4").key, key);
    assert.equal(
      plain(`/client/v4/accounts/a/ai/run/${encodeURIComponent(kModel)}`, "{}").key,
      plain(`/client/v4/accounts/b/ai/run/${kModel}`, "{}").key,
    );
  });

  test("what differs has another key", () => {
    const keys = [{ prompt: "hi" }, { prompt: "hi " }, { prompt: "hi", stream: true }, { prompt: "hi", seed: 1 }].map(
      (inputs) => binding(inputs).key,
    );
    keys.push(binding({ prompt: "hi" }, { "mf-header-cf-consn-model-id": "@cf/a/b" }).key);
    keys.push(plain("/client/v4/accounts/a/ai/run/@cf/a/b", "\x00\x01", { "content-type": "audio/wav" }).key);
    keys.push(plain("/client/v4/accounts/a/ai/run/@cf/a/b", "\x00\x02", { "content-type": "audio/wav" }).key);
    assert.equal(new Set(keys).size, keys.length);
  });

  test("a form is the same under another boundary", () => {
    const form = (boundary: string, text: string): string =>
      plain("/client/v4/accounts/a/ai/tomarkdown", `--${boundary}\r\n\r\n${text}\r\n--${boundary}--`, {
        "content-type": `multipart/form-data; boundary=${boundary}`,
      }).key;
    assert.equal(form("aaa", "x"), form("bbb", "x"));
    assert.notEqual(form("aaa", "x"), form("aaa", "y"));
  });

  test("canonical JSON", () => {
    assert.equal(canonical({ b: [1, { d: null, c: "é" }], a: true }), '{"a":true,"b":[1,{"c":"é","d":null}]}');
  });
});

const chunks = (...texts: Array<string | Buffer>): Array<{ ms: number; bytes: Buffer }> =>
  texts.map((text, index) => ({ ms: index * 10, bytes: Buffer.from(text) }));

describe("recordings", () => {
  const folder = temporary_folder();
  after(() => folder.remove());
  const at = (name: string): string => join(folder.path, name);
  const answer = (body: string): Answer => ({ status: 200, headers: { "content-type": "application/json" }, body });

  test("hold the answer and a hash, no prompt and no credential; and read well", async () => {
    const recorder = new Recorder(at("one"));
    const call = binding({ prompt: "PRIVATE words", stream: true }, { "mf-header-authorization": "Bearer SECRET" });
    recorder.begin(call)(
      answer_of(
        200,
        { "content-type": "text/event-stream" },
        chunks('data: {"response":"a"}\n\n', "data: [DONE]\n\n"),
        false,
      ),
    );
    await recorder.flush();
    const [name] = readdirSync(at("one"));
    assert.match(name!, /^cf-meta-llama-3\.1-8b-instruct\.binding\.[0-9a-f]{16}\.json$/);
    const text = readFileSync(join(at("one"), name!), "utf8");
    assert.doesNotMatch(text, /PRIVATE|SECRET|Bearer/);
    assert.match(text, /\n {8}\[10, "data: \[DONE\]\\n\\n"\]\n/);
    assert.deepEqual(Object.keys(JSON.parse(text) as object), [
      "format",
      "dialect",
      "request",
      "model",
      "key",
      "answers",
    ]);
  });

  test("answers of one call come back in the order in which the calls began; the last repeats", async () => {
    const recorder = new Recorder(at("order"));
    const call = binding({ prompt: "hi" });
    const ends = [recorder.begin(call), recorder.begin(call), recorder.begin(call)];
    ends[2]!(answer("third"));
    ends[0]!(answer("first"));
    ends[1]!(answer("second"));
    await recorder.flush();
    const player = new Player(at("order"));
    const played = [];
    for (let i = 0; i < 5; i++) played.push((await player.next(call))?.body);
    assert.deepEqual(played, ["first", "second", "third", "third", "third"]);
    player.reset();
    assert.equal((await player.next(call))?.body, "first");
    assert.equal(await player.next(binding({ prompt: "other" })), undefined);
  });

  test("a new recording takes the place of the old one", async () => {
    for (const body of ["old", "new"]) {
      const recorder = new Recorder(at("again"));
      recorder.begin(binding({ prompt: "hi" }))(answer(body));
      await recorder.flush();
    }
    const player = new Player(at("again"));
    assert.equal((await player.next(binding({ prompt: "hi" })))?.body, "new");
    assert.equal((await player.next(binding({ prompt: "hi" })))?.body, "new");
  });

  test("many at once, from several recorders, leave whole files only", async () => {
    const recorders = [1, 2, 3].map(() => new Recorder(at("many")));
    for (let i = 0; i < 60; i++) {
      const end = recorders[i % 3]!.begin(binding({ prompt: `p${i % 7}` }));
      setTimeout(() => end(answer(`a${i % 7}`)), Math.random() * 20);
    }
    await new Promise((resolve) => setTimeout(resolve, 60));
    await Promise.all(recorders.map((recorder) => recorder.flush()));
    assert.equal(readdirSync(at("many")).length, 7);
    for (let i = 0; i < 7; i++)
      assert.equal((await new Player(at("many")).next(binding({ prompt: `p${i}` })))?.body, `a${i}`);
  });

  test("bodies are exact: UTF-8 cut anywhere, bytes that are none, a connection that broke", () => {
    const euro = Buffer.from("data: €\n\n");
    const streamed = answer_of(
      200,
      { "content-type": "text/event-stream" },
      chunks(euro.subarray(0, 7), euro.subarray(7)),
      true,
    );
    assert.deepEqual(streamed.stream?.map(([, text]) => text).join(""), "data: €\n\n");
    assert.equal(streamed.cut, true);
    const bytes = answer_of(200, { "content-type": "image/png" }, chunks(Buffer.from([0x89, 0xff, 0x00])), false);
    assert.deepEqual(bytes, { status: 200, headers: { "content-type": "image/png" }, base64: "if8A" });
  });

  test("headers that a client can act on are kept, others are not", () => {
    const kept = kept_headers({
      "content-type": "application/json",
      "retry-after": "3",
      "x-glia-model": "m",
      "cf-ai-req-id": "i",
      "x-request-id": "i",
      date: "d",
      connection: "close",
      "set-cookie": ["a"],
      "access-control-allow-origin": "o",
    });
    assert.deepEqual(Object.keys(kept), [
      "content-type",
      "retry-after",
      "x-glia-model",
      "cf-ai-req-id",
      "x-request-id",
    ]);
  });

  test("a file that is no recording is said, not guessed at", async () => {
    const call = binding({ prompt: "hi" });
    new Recorder(at("bad"));
    for (const text of [
      "{",
      "[]",
      '{"format":"glia recording 2","answers":[]}',
      '{"format":"glia recording 1","answers":[{"status":9}]}',
    ]) {
      writeFileSync(join(at("bad"), file_name(call)), text);
      await assert.rejects(new Player(at("bad")).next(call), CassetteError, text);
    }
  });

  test("a folder that cannot be written is an error of flush, not of the call", async () => {
    const recorder = new Recorder(at("gone"));
    folder.remove();
    recorder.begin(binding({ prompt: "hi" }))(answer("x"));
    await assert.rejects(recorder.flush(), /could not be recorded/);
  });
});

describe("playing", () => {
  let to_play: { answer: Answer; speed: ReplaySpeed };
  const server = http.createServer(
    (_, response) => void play(to_play.answer, to_play.speed, response, { extra: "yes" }),
  );
  let base = "";
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const stream = (second_ms: number): Answer => ({
    status: 200,
    headers: { "content-type": "text/event-stream" },
    stream: [
      [0, "data: a\n\n"],
      [second_ms, "data: b\n\n"],
    ],
  });

  test("at once, or in its own time", async () => {
    for (const [speed, second_ms] of [
      ["instant", 60_000],
      ["real", 150],
    ] as const) {
      to_play = { answer: stream(second_ms), speed };
      const start = performance.now();
      const response = await fetch(base);
      assert.equal(await response.text(), "data: a\n\ndata: b\n\n");
      assert.equal(response.headers.get("extra"), "yes");
      const took = performance.now() - start;
      assert.ok(speed === "real" ? took >= 145 : took < 30_000, `${speed}: ${took} ms`);
    }
  });

  test("an error with its status and headers, bytes, and a cut", async () => {
    to_play = { answer: { status: 429, headers: { "retry-after": "7" }, body: "{}" }, speed: "instant" };
    const refused = await fetch(base);
    assert.deepEqual([refused.status, refused.headers.get("retry-after"), await refused.text()], [429, "7", "{}"]);
    to_play = { answer: { status: 200, headers: {}, base64: "if8A" }, speed: "instant" };
    assert.deepEqual(Buffer.from(await (await fetch(base)).arrayBuffer()), Buffer.from([0x89, 0xff, 0]));
    to_play = { answer: { ...stream(0), cut: true }, speed: "instant" };
    const cut = await fetch(base);
    await assert.rejects(cut.text());
  });

  test("a client that leaves ends it", async () => {
    to_play = {
      answer: stream(60_000),
      speed: "real",
    };
    const leave = new AbortController();
    const response = await fetch(base, { signal: leave.signal });
    await response.body!.getReader().read();
    leave.abort();
    await until(
      "the connection is gone",
      async () => (await new Promise<number>((resolve) => server.getConnections((_, n) => resolve(n)))) === 0,
    );
  });
});

test("what --show-io prints", () => {
  const call = binding({
    messages: [
      { role: "user", content: "line one\nline two" },
      { role: "user", content: [{ type: "text", text: "part" }] },
    ],
  });
  assert.deepEqual(request_lines(call), [
    `→ ${kModel} (binding)`,
    "    user: line one",
    "    line two",
    "    user: part",
  ]);
  assert.deepEqual(request_lines(binding({ prompt: "hi" })).at(-1), "    hi");
  const answer = (type: string, body: string, status = 200): string[] =>
    answer_lines(call, status, type, Buffer.from(body));
  assert.deepEqual(answer("application/json", '{"response":"a\\nb"}'), [`← ${kModel}`, "    a", "    b"]);
  assert.deepEqual(answer("application/json", '{"errors":[]}', 429), [`← ${kModel} (status 429)`, '    {"errors":[]}']);
  assert.deepEqual(answer("image/png", "x"), [`← ${kModel}: 1 bytes of image/png`]);
});

test("text and usage of an answer, in any dialect", () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2 };
  for (const [type, body] of [
    ["application/json", JSON.stringify({ response: "ab", usage })],
    ["application/json", JSON.stringify({ result: { response: "ab", usage }, success: true })],
    ["application/json", JSON.stringify({ choices: [{ message: { content: "ab" } }], usage })],
    [
      "text/event-stream",
      `data: {"response":"a"}\n\ndata: {"response":"b"}\n\ndata: ${JSON.stringify({ response: "", usage })}\n\ndata: [DONE]\n\n`,
    ],
    [
      "text/event-stream",
      `data: {"choices":[{"delta":{"content":"ab"}}]}\n\ndata: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`,
    ],
  ] as const)
    assert.deepEqual(read_answer(type, body), { text: "ab", usage }, body);
});
