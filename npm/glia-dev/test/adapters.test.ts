// The contract with Miniflare: the real packages, pointed at a plain HTTP server, answer env.AI from there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { adapter_for, UnknownMiniflareError } from "../src/adapters/miniflare.ts";
import { patch_wrangler } from "../src/adapters/wrangler.ts";
import { Glia } from "../src/glia/glia.ts";
import { Relay } from "../src/relay.ts";
import { MockGlia, mock_words } from "./mock-glia.ts";

interface MiniflareLike {
  dispatchFetch(url: string): Promise<{ status: number; text(): Promise<string>; json(): Promise<unknown> }>;
  setOptions(options: unknown): Promise<void>;
  dispose(): Promise<void>;
}

const require = createRequire(import.meta.url);
const of_wrangler = (name: string) =>
  createRequire(require.resolve(`${name}/package.json`))("miniflare") as {
    Miniflare: new (options: unknown) => MiniflareLike;
    convertV4MiniflareOptions?: (options: unknown) => unknown;
  };

const kScript = `export default { async fetch(request, env) {
  const stream = new URL(request.url).pathname === "/stream";
  if (new URL(request.url).pathname === "/other") return env.OTHER.fetch("http://other/");
  try {
    const answer = await env.AI.run("@cf/meta/llama-3.1-8b-instruct", { prompt: "hello", seed: 7, max_tokens: 5, stream });
    return stream ? new Response(answer, { headers: { "content-type": "text/event-stream" } }) : Response.json({ ...answer, id: env.AI.lastRequestId });
  } catch (error) { return new Response(error.name + ": " + error.message, { status: 500 }); }
} }`;

const worker = (name: string, extra: object = {}) => ({
  name,
  modules: true,
  script: kScript,
  compatibilityDate: "2026-04-01",
  ai: { binding: "AI" },
  ...extra,
});

for (const [name, version] of [
  ["wrangler-486", 4],
  ["wrangler", 5],
] as const) {
  describe(`Miniflare ${version}`, () => {
    const mock = new MockGlia();
    let glia: Glia;
    let relay: Relay;
    let bind: URL;
    let instance: MiniflareLike;
    const package_version = (
      createRequire(require.resolve(`${name}/package.json`))("miniflare/package.json") as { version: string }
    ).version;
    const adapter = adapter_for(package_version);
    const { Miniflare, convertV4MiniflareOptions } = of_wrangler(name);
    const options = (extra: object = {}) => {
      const old = { workers: [worker("main", { serviceBindings: { OTHER: "second" }, ...extra }), worker("second")] };
      return adapter.point_at_glia(version === 5 ? convertV4MiniflareOptions!(old) : old, () => bind);
    };

    before(async () => {
      const url = new URL(`http://127.0.0.1:${await mock.listen()}`);
      glia = new Glia({
        url,
        may_start: false,
        env: {},
        folder: "/",
        project: "test",
        on_call() {},
        on_connected() {},
        on_lost() {},
      });
      glia.start();
      relay = new Relay({ glia, on_refused() {} });
      bind = new URL(`${await relay.listen()}/bind/${version}`);
      instance = new Miniflare(options());
    });
    after(async () => {
      await instance.dispose();
      await glia.close();
      relay.close();
      await mock.close();
    });

    const expected = mock_words(7, 5).join(" ");

    test("the adapter is the one for this major", () => assert.equal(adapter.major, version));

    test("a JSON answer is an object", async () => {
      const answer = (await (await instance.dispatchFetch("http://main/")).json()) as {
        response: string;
        usage: object;
      };
      assert.equal(answer.response, expected);
      assert.deepEqual(answer.usage, { prompt_tokens: 1, completion_tokens: 5, total_tokens: 6 });
    });

    test("a stream is the same text", async () => {
      const text = await (await instance.dispatchFetch("http://main/stream")).text();
      const events = text
        .split("\n\n")
        .filter(Boolean)
        .map((event) => event.slice("data: ".length));
      assert.equal(events.pop(), "[DONE]");
      assert.equal(events.map((event) => (JSON.parse(event) as { response: string }).response).join(""), expected);
    });

    test("the second Worker of the instance is pointed there too", async () => {
      const answer = (await (await instance.dispatchFetch("http://main/other")).json()) as { response: string };
      assert.equal(answer.response, expected);
    });

    test("so it is after setOptions, with another name of the binding", async () => {
      const script = kScript.replaceAll("env.AI", "env.BRAIN");
      await instance.setOptions(options({ ai: { binding: "BRAIN" }, script }));
      const answer = (await (await instance.dispatchFetch("http://main/")).json()) as { response: string };
      assert.equal(answer.response, expected);
    });

    test("a Worker without AI keeps its options", () => {
      const bare = { workers: [{ name: "x", modules: true, script: "", compatibilityDate: "2026-04-01" }] };
      const given = version === 5 ? convertV4MiniflareOptions!(bare) : bare;
      assert.deepEqual(
        adapter.point_at_glia(given, () => bind),
        given,
      );
    });
  });
}

for (const name of ["wrangler-486", "wrangler"]) {
  test(`${name}: its choice of remote bindings is where the adapter expects it`, () => {
    const source = readFileSync(
      join(dirname(require.resolve(`${name}/package.json`)), "wrangler-dist", "cli.js"),
      "utf8",
    );
    const added = patch_wrangler(source).length - source.length;
    assert.ok(added > 0 && added < 200, `${added} characters added`);
  });
}

test("an unknown Miniflare is an error that names the known ones", () => {
  assert.throws(
    () => adapter_for("6.20270101.0"),
    (error) => error instanceof UnknownMiniflareError && /Miniflare 6\.20270101\.0.*4 and 5/.test(error.message),
  );
  assert.throws(() => adapter_for("3.20240101.0"), UnknownMiniflareError);
});

test("Miniflare 5: other remote bindings of the same Worker are an error, not sent to Glia", () => {
  const options = {
    workers: [
      {
        config: { env: { AI: { type: "ai" }, KV: { type: "kv", dev: { remote: true } } } },
        dev: { remoteProxyConnectionString: new URL("http://cloudflare") },
      },
    ],
  };
  assert.throws(() => adapter_for("5.0.0").point_at_glia(options, () => new URL("http://x")), /env\.AI while env\.KV/);
});
