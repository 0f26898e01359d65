// workerd's own Ai class, of Miniflare 4 and 5, through glia-dev's relay: what a Worker sees after success, after each kind of
// error, when it aborts, and of the methods that are not served. Against test_protocol's server, whose answers can be chosen;
// the last part against the real program.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { adapter_for } from "../../npm/glia-dev/src/adapters/miniflare.ts";
import { Glia } from "../../npm/glia-dev/src/glia/glia.ts";
import type { CallEvent } from "../../npm/glia-dev/src/glia/session.ts";
import { Relay } from "../../npm/glia-dev/src/relay.ts";
import { free_port, temporary_folder, until } from "../../npm/glia-dev/test/helpers.ts";
import { kLongQuestion, kModel, program } from "./world.ts";

const kRoot = resolve(import.meta.dirname, "../..");
const kScript = readFileSync(join(import.meta.dirname, "probe_worker.js"), "utf8");

interface Seen {
  value?: any;
  error?: { name: string; message: string };
  lastRequestId: string | null;
  aiGatewayLogId: string | null;
  lastRequestHttpStatusCode: number | null;
  lastRequestInternalStatusCode: number | null;
  ms: number;
}

function fake_server(port: number): ChildProcess {
  const path = process.env.GLIA_TEST_PROTOCOL ?? join(kRoot, "build/tests/protocol/test_protocol");
  if (!existsSync(path)) throw new Error(`${path} is missing: build it (make build), or set GLIA_TEST_PROTOCOL`);
  const { version } = JSON.parse(readFileSync(join(kRoot, "npm/glia-dev/package.json"), "utf8")) as { version: string };
  return spawn(path, ["--serve", String(port), version], { stdio: "ignore" });
}

/** A Worker on workerd whose env.AI goes through a relay to a server at `port`. */
class Bound {
  readonly calls: CallEvent[] = [];
  readonly #glia: Glia;
  readonly #relay: Relay;
  #instance!: {
    dispatchFetch(url: string, init: object): Promise<{ json(): Promise<unknown> }>;
    dispose(): Promise<void>;
  };

  constructor(port: number) {
    this.#glia = new Glia({
      url: new URL(`http://127.0.0.1:${port}`),
      may_start: false,
      env: {},
      folder: "/",
      project: "test",
      on_call: (event) => this.calls.push(event),
      on_connected() {},
      on_lost() {},
    });
    this.#relay = new Relay({ glia: this.#glia, on_refused() {} });
  }

  async start(wrangler: string): Promise<this> {
    this.#glia.start();
    await until("glia-dev has its session", async () => "session" in (await this.#glia.ready_within(1000)));
    const require = createRequire(join(kRoot, "npm/glia-dev/package.json"));
    const from = createRequire(require.resolve(`${wrangler}/package.json`));
    const { Miniflare, convertV4MiniflareOptions } = from("miniflare");
    const { version } = from("miniflare/package.json") as { version: string };
    const adapter = adapter_for(version);
    const worker = {
      name: "main",
      modules: true,
      script: kScript,
      compatibilityDate: "2026-04-01",
      ai: { binding: "AI" },
    };
    const options = { workers: [worker] };
    const bind = new URL(`${await this.#relay.listen()}/bind/${adapter.major}`);
    this.#instance = new Miniflare(
      adapter.point_at_glia(adapter.major === 5 ? convertV4MiniflareOptions(options) : options, () => bind),
    );
    return this;
  }

  async call(told: object): Promise<Seen> {
    const response = await this.#instance.dispatchFetch("http://main/", { method: "POST", body: JSON.stringify(told) });
    return (await response.json()) as Seen;
  }

  run(prompt: string, rest: { inputs?: object; options?: object } & Record<string, unknown> = {}): Promise<Seen> {
    return this.call({ model: kModel, ...rest, inputs: { prompt, ...rest.inputs } });
  }

  async close(): Promise<void> {
    await this.#instance?.dispose();
    await this.#glia.close();
    this.#relay.close();
  }
}

const kId = /^[0-9a-f]{32}$/;

for (const wrangler of ["wrangler-486", "wrangler"]) {
  describe(`the Ai class of ${wrangler}`, () => {
    let server: ChildProcess;
    let bound: Bound;
    before(async () => {
      const port = await free_port();
      server = fake_server(port);
      bound = await new Bound(port).start(wrangler);
    });
    after(async () => {
      await bound?.close();
      server?.kill();
    });

    test("after success", async () => {
      const seen = await bound.run("echo hello there");
      assert.deepEqual(seen.value, {
        response: "hello there",
        usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
      });
      assert.match(seen.lastRequestId!, kId);
      assert.equal(seen.aiGatewayLogId, null);
      assert.equal(seen.lastRequestHttpStatusCode, 200);
      assert.equal(seen.lastRequestInternalStatusCode, null);
    });

    test("vectors, scores and labels are what run() gives", async () => {
      const call = (model: string, inputs: object): Promise<Seen> => bound.call({ model, inputs });
      const vectors = await call("@cf/baai/bge-base-en-v1.5", { text: ["a b", "a"] });
      assert.deepEqual(vectors.value, {
        shape: [2, 3],
        data: [
          [2, 3, -0.5],
          [1, 1, -0.5],
        ],
        pooling: "mean",
      });
      assert.equal(vectors.lastRequestHttpStatusCode, 200);
      const scores = await call("@cf/baai/bge-reranker-base", {
        query: "bus",
        contexts: [{ text: "tea" }, { text: "bus" }],
      });
      assert.deepEqual(scores.value, {
        response: [
          { id: 1, score: 1 },
          { id: 0, score: 0 },
        ],
      });
      const labels = await call("@cf/huggingface/distilbert-sst-2-int8", { text: "good" });
      assert.deepEqual(labels.value, [
        { label: "NEGATIVE", score: 0.25 },
        { label: "POSITIVE", score: 0.75 },
      ]);
    });

    test("after each kind of error", async () => {
      const kinds: Array<[told: Parameters<Bound["run"]>, status: number, code: number]> = [
        [["x", { model: "@cf/none/none" }], 400, 5007],
        [["x", { inputs: { temperature: 9 } }], 400, 5006],
        [["x", { model: "@cf/openai/whisper" }], 501, 7501],
        [["fail quota_exceeded"], 429, 3036],
        [["fail rate_limited"], 429, 3021],
        [["fail out_of_capacity"], 429, 3040],
        [["busy", { options: { rejectIfBusy: true } }], 429, 3040],
        [["late context_too_long"], 400, 5021],
        [["late context_too_long", { inputs: { stream: true } }], 400, 5021],
        [["fail model_deprecated"], 410, 5028],
        [["late timeout"], 408, 3007],
        [["late internal"], 500, 3043],
        [["x", { options: { queueRequest: true } }], 501, 7501],
        [["x", { form: true }], 501, 7501],
      ];
      for (const [told, status, code] of kinds) {
        const seen = await bound.run(...told);
        const what = JSON.stringify(told);
        assert.equal(seen.error?.name, "AiError", what);
        assert.match(seen.error!.message, new RegExp(`^${code}: `), what);
        assert.match(seen.lastRequestId!, kId, what);
        assert.equal(seen.lastRequestHttpStatusCode, status, what);
        assert.equal(seen.lastRequestInternalStatusCode, code, what);
      }
    });

    test("each call has an id of its own", async () => {
      const ids = [(await bound.run("echo a")).lastRequestId, (await bound.run("echo b")).lastRequestId];
      assert.notEqual(ids[0], ids[1]);
    });

    test("returnRawResponse gives the Response, of an error too", async () => {
      const good = (await bound.run("echo a", { options: { returnRawResponse: true } })).value.raw;
      assert.equal(good.status, 200);
      assert.equal(JSON.parse(good.text).response, "a");
      assert.match(good.headers["x-request-id"], kId);
      const bad = (await bound.run("fail quota_exceeded", { options: { returnRawResponse: true } })).value.raw;
      assert.equal(bad.status, 429);
      assert.equal(bad.headers["retry-after"], "1");
      assert.equal(JSON.parse(bad.text).internalCode, 3036);
    });

    test("prefix, extraHeaders, sessionOptions, tags and a gateway leave the answer as it is", async () => {
      const options = {
        prefix: "some",
        extraHeaders: { "x-session-affinity": "a" },
        sessionOptions: { extraHeaders: { "x-other": "b" } },
        tags: ["a"],
        gateway: { id: "mine", skipCache: true },
      };
      const seen = await bound.run("echo a", { options });
      assert.equal(seen.value.response, "a");
      assert.equal(seen.aiGatewayLogId, null, "there is no gateway's log to read");
    });

    test("a stream, to its end", async () => {
      const { value } = await bound.run("echo a b", { inputs: { stream: true } });
      assert.equal(value.stream.match(/data: \[DONE\]/g).length, 1);
      assert.ok(value.stream.endsWith("data: [DONE]\n\n"));
    });

    test("an abort before the first byte ends the run", async () => {
      const before = bound.calls.length;
      const seen = await bound.run("hang", { abort_ms: 100 });
      assert.equal(seen.error?.name, "AbortError");
      assert.ok(seen.ms < 2000, `${seen.ms} ms`);
      await until(
        "the run is cancelled",
        () => bound.calls.slice(before).some((call) => call.status === "cancelled"),
        2000,
      );
    });

    test("an abort in the middle of a stream too", async () => {
      const before = bound.calls.length;
      const seen = await bound.run("hang", { inputs: { stream: true }, abort_pieces: 1 });
      assert.equal(seen.error?.name, "AbortError");
      await until(
        "the run is cancelled",
        () => bound.calls.slice(before).some((call) => call.status === "cancelled"),
        2000,
      );
      assert.equal(bound.calls.at(-1)!.completion_tokens, 1, "what was used is told");
    });

    test("a WebSocket run of a text model is answered at once, as a Response", async () => {
      const seen = await bound.run("x", { options: { websocket: true } });
      assert.equal(seen.value.raw.status, 400);
      assert.equal(seen.value.raw.upgraded, false);
      assert.equal(JSON.parse(seen.value.raw.text).internalCode, 5006);
      assert.match(seen.lastRequestId!, kId);
      assert.equal(seen.lastRequestHttpStatusCode, 400);
      const speech = await bound.run("x", { model: "@cf/openai/whisper", options: { websocket: true } });
      assert.equal(speech.value.raw.status, 501);
    });

    test("the Responses form", async () => {
      const { value } = await bound.call({
        model: "@cf/openai/gpt-oss-20b",
        inputs: { instructions: "x", input: "echo a" },
      });
      assert.equal(value.object, "response");
      assert.equal(value.output[0].content[0].text, "a");
    });

    test("models()", async () => {
      const { value } = await bound.call({ method: "models", args: [{ search: "llama-3.1-8b-instruct-awq" }] });
      assert.deepEqual(
        value.map((model: { name: string }) => model.name),
        ["@cf/meta/llama-3.1-8b-instruct-awq"],
      );
    });

    test("toMarkdown().supported() is an empty list", async () => {
      assert.deepEqual((await bound.call({ method: "supported" })).value, []);
    });

    for (const [method, names] of [
      ["toMarkdown", /toMarkdown/],
      ["getUrl", /AI Gateway/],
      ["getLog", /AI Gateway/],
      ["autorag", /AutoRAG \(AI Search\)/],
      ["autoragList", /AutoRAG \(AI Search\)/],
      ["aiSearch", /AI Search/],
      // The older workerd has no websearch().
      ...(wrangler === "wrangler" ? ([["websearch", /web search/]] as const) : []),
    ] as const) {
      test(`${method} throws at once and names what is not served`, async () => {
        const seen = await bound.call({ method });
        assert.match(seen.error!.message, names);
        assert.ok(seen.ms < 2000, `${seen.ms} ms`);
      });
    }

    test("gateway().run() answers with an error that names it", async () => {
      const { value } = await bound.call({ method: "gatewayRun" });
      assert.equal(value.raw.status, 501);
      assert.match(value.raw.text, /AI Gateway/);
    });
  });
}

describe("aborts stop the engine, and what was used is charged", () => {
  const folder = temporary_folder();
  let server: ChildProcess;
  let bound: Bound;
  let base: string;
  before(async () => {
    const port = await free_port();
    base = `http://127.0.0.1:${port}`;
    server = spawn(program(), ["serve", "--port", String(port)], {
      stdio: "ignore",
      env: { ...process.env, GLIA_DATA: folder.path },
    });
    bound = await new Bound(port).start("wrangler");
    await bound.run("Hello", { inputs: { max_tokens: 1 } }); // the model is in memory
  });
  after(async () => {
    await bound?.close();
    server?.kill();
    folder.remove();
  });

  const charged = async (): Promise<{ calls: number; tokens: number }> => {
    const rows = (await (await fetch(`${base}/glia/v1/usage?days=1`)).json()) as Array<{
      calls: number;
      completion_tokens: number;
    }>;
    return { calls: rows[0]!.calls, tokens: rows[0]!.completion_tokens };
  };
  const idle = async (): Promise<boolean> => {
    const { models } = (await (await fetch(`${base}/glia/v1/status`)).json()) as { models: Array<{ running: number }> };
    return models.every((model) => model.running === 0);
  };

  for (const [what, told] of [
    ["before the first byte", { abort_ms: 400 }],
    ["in the middle of a stream", { inputs: { stream: true }, abort_pieces: 5 }],
  ] as const) {
    test(what, async () => {
      const before = await charged();
      const inputs = { max_tokens: 1500, ...("inputs" in told ? told.inputs : {}) };
      const seen = await bound.run(kLongQuestion, { ...told, inputs });
      assert.equal(seen.error?.name, "AbortError");
      await until("the engine is idle", idle, 1500);
      const now = await charged();
      assert.equal(now.calls, before.calls + 1);
      assert.ok(
        now.tokens > before.tokens && now.tokens < before.tokens + 1000,
        `${now.tokens - before.tokens} tokens`,
      );
    });
  }
});
