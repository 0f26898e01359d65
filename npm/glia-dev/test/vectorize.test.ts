// The contract with Miniflare for Vectorize bindings: the real packages, their own class, answered by a plain HTTP server.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { adapter_for, type Bind } from "../src/adapters/miniflare.ts";
import { bind_path, read_bound } from "../src/bind.ts";
import { Glia } from "../src/glia/glia.ts";
import { Relay } from "../src/relay.ts";
import { until } from "./helpers.ts";
import { MockGlia } from "./mock-glia.ts";

interface MiniflareLike {
  dispatchFetch(url: string, init?: { method: string; body: string }): Promise<{ text(): Promise<string> }>;
  setOptions(options: unknown): Promise<void>;
  dispose(): Promise<void>;
}

const require = createRequire(import.meta.url);

/** Calls the method of the binding that the request names, with the arguments in its body. */
const kScript = `export default { async fetch(request, env) {
  const [, binding, method] = new URL(request.url).pathname.split("/");
  if (binding === "other") return env.OTHER.fetch("http://other/DOCS/" + method, request);
  try {
    return Response.json(await env[binding][method](...await request.json()));
  } catch (error) { return new Response(error.name + ": " + error.message, { status: 500 }); }
} }`;

const worker = (name: string, index: string, extra: object = {}) => ({
  name,
  modules: true,
  script: kScript,
  compatibilityDate: "2026-04-01",
  vectorize: { DOCS: { index_name: index }, IMAGES: { index_name: "images" } },
  ...extra,
});

for (const [name, version] of [
  ["wrangler-486", 4],
  ["wrangler", 5],
] as const) {
  describe(`Vectorize in Miniflare ${version}`, () => {
    const mock = new MockGlia();
    let glia: Glia;
    let relay: Relay;
    let base: string;
    const notes: string[] = [];
    let instance: MiniflareLike;
    const of_wrangler = createRequire(require.resolve(`${name}/package.json`));
    const adapter = adapter_for((of_wrangler("miniflare/package.json") as { version: string }).version);
    const { Miniflare, convertV4MiniflareOptions } = of_wrangler("miniflare") as {
      Miniflare: new (options: unknown) => MiniflareLike;
      convertV4MiniflareOptions?: (options: unknown) => unknown;
    };
    const bind_to =
      (own?: string): Bind =>
      (indexes) =>
        new URL(`${base}/${bind_path({ major: String(version), indexes, own })}`);
    const options = (bind = bind_to(), extra: object = {}) => {
      const other = { serviceBindings: { OTHER: "second" }, ...extra };
      const old = { workers: [worker("main", "docs", other), worker("second", "letters")] };
      return adapter.point_at_glia(version === 5 ? convertV4MiniflareOptions!(old) : old, bind);
    };
    const call = async (path: string, ...words: unknown[]): Promise<string> =>
      (await instance.dispatchFetch(`http://main/${path}`, { method: "POST", body: JSON.stringify(words) })).text();
    const ids = async (path: string): Promise<string[]> =>
      (JSON.parse(await call(path, [1, 0], { topK: 9 })) as { matches: Array<{ id: string }> }).matches.map(
        (m) => m.id,
      );

    before(async () => {
      const url = new URL(`http://127.0.0.1:${await mock.listen()}`);
      const silent = { on_call() {}, on_connected() {}, on_lost() {} };
      glia = new Glia({ url, may_start: false, env: {}, folder: "/", project: "test", ...silent });
      glia.start();
      relay = new Relay({ glia, on_refused() {}, on_note: (text) => notes.push(text) });
      base = await relay.listen();
      instance = new Miniflare(options());
    });
    after(async () => {
      await instance.dispose();
      await glia.close();
      relay.close();
      await mock.close();
    });

    test("what is inserted is found, in the index of its binding", async () => {
      const vectors = [
        { id: "a", values: [1, 0], metadata: { text: "für" } },
        { id: "b", values: [0, 1], namespace: "n" },
      ];
      assert.deepEqual(JSON.parse(await call("DOCS/insert", vectors)), { mutationId: "docs-2" });
      assert.deepEqual(await ids("DOCS/query"), ["a", "b"]);
      assert.deepEqual(await ids("IMAGES/query"), []);
      assert.deepEqual(JSON.parse(await call("DOCS/getByIds", ["b", "a"])), [vectors[1], vectors[0]]);
      assert.deepEqual(JSON.parse(await call("DOCS/describe")), {
        dimensions: 2,
        vectorCount: 2,
        processedUpToDatetime: null,
        processedUpToMutation: null,
      });
    });

    test("upsert replaces, queryById and deleteByIds", async () => {
      await call("DOCS/upsert", [{ id: "b", values: [-1, 0.5] }]);
      assert.deepEqual(JSON.parse(await call("DOCS/getByIds", ["b"])), [{ id: "b", values: [-1, 0.5] }]);
      const found = JSON.parse(await call("DOCS/queryById", "b", { topK: 1 })) as { matches: Array<{ id: string }> };
      assert.deepEqual(found.matches[0]!.id, "b");
      assert.deepEqual(JSON.parse(await call("DOCS/deleteByIds", ["b"])), { mutationId: "docs-deleted" });
      assert.deepEqual(await ids("DOCS/query"), ["a"]);
    });

    test("what Glia notes is told once", async () => {
      for (const key of ["colour", "colour", "size"]) await call("DOCS/query", [1, 0], { filter: { [key]: 1 } });
      assert.deepEqual(notes, ["env.DOCS (docs): no index on colour", "env.DOCS (docs): no index on size"]);
    });

    test("one name in two Workers is two indexes", async () => {
      await call("other/insert", [{ id: "z", values: [1, 1, 1] }]);
      assert.deepEqual([...mock.vectors.indexes.keys()], ["docs", "letters"]);
      assert.deepEqual(await ids("DOCS/query"), ["a"]);
    });

    test("an error is the class's own, with the service's code and text", async () => {
      assert.equal(
        await call("DOCS/insert", [{ id: "c", values: [1, 2, 3] }]),
        "Error: VECTOR_INSERT_ERROR (code = 40012): expected 2 dimensions",
      );
    });

    test("a name that stands for no index is an error that says what to write", async () => {
      const nameless: Bind = () => bind_to()({});
      const lost = new Miniflare(options(nameless));
      try {
        const answer = await lost.dispatchFetch("http://main/DOCS/describe", { method: "POST", body: "[]" });
        assert.match(await answer.text(), /\(code = 7501\): No Vectorize index is known for env\.DOCS\..*"index_name"/);
      } finally {
        await lost.dispose();
      }
    });

    test("after setOptions the new index is meant", async () => {
      await instance.setOptions(options(bind_to(), { vectorize: { DOCS: { index_name: "drafts" } } }));
      assert.deepEqual(await ids("DOCS/query"), []);
      await call("DOCS/insert", [{ id: "d", values: [1, 0] }]);
      assert.deepEqual([...mock.vectors.indexes.keys()], ["docs", "letters", "drafts"]);
      await instance.setOptions(options());
      assert.deepEqual(await ids("DOCS/query"), ["a"]);
    });

    test("test runs are kept apart, and end with their Miniflare", async () => {
      const runs = await Promise.all(["one", "two"].map((own) => new Miniflare(options(bind_to(own)))));
      const sessions = mock.sessions;
      try {
        for (const [at, run] of runs.entries()) {
          const ask = async (method: string, ...words: unknown[]): Promise<string> =>
            (await run.dispatchFetch(`http://main/${method}`, { method: "POST", body: JSON.stringify(words) })).text();
          assert.deepEqual(JSON.parse(await ask("DOCS/query", [1, 0])), { count: 0, matches: [] });
          await ask("DOCS/insert", [{ id: `of run ${at}`, values: [1, 0] }]);
          assert.match(await ask("DOCS/query", [1, 0]), new RegExp(`"count":1.*of run ${at}`));
        }
        assert.equal(mock.sessions, sessions + 2);
        assert.deepEqual(await ids("DOCS/query"), ["a"]);
      } finally {
        await Promise.all(runs.map((run) => run.dispose()));
      }
      for (const own of ["one", "two"])
        assert.equal((await fetch(`${base}/own/${own}`, { method: "DELETE" })).status, 204);
      await until("their sessions have ended", () => mock.sessions === sessions, 3000);
    });

    test("after a restart of the server its bindings are known again", async () => {
      const { port } = new URL(mock.url);
      await mock.close();
      assert.match(await call("DOCS/describe"), /\(code = 7503\)/);
      const again = new MockGlia({ port: Number(port) });
      await again.listen();
      try {
        await until("it answers", async () => /mutationId/.test(await call("DOCS/insert", [{ id: "e", values: [1] }])));
        assert.deepEqual([...again.vectors.indexes.keys()], ["docs"]);
      } finally {
        await again.close();
      }
    });
  });
}

test("an address keeps any name, and what nobody of us wrote is not read", () => {
  const bound = { major: "5", indexes: { größe: "x", __proto__x: "y" }, own: "run" };
  const [, major, rest] = bind_path(bound).split("/");
  assert.deepEqual(read_bound(major, rest), bound);
  assert.deepEqual(read_bound("4", undefined), { major: "4", indexes: {} });
  for (const other of ["x", "bnVsbA", Buffer.from('{"indexes":7}').toString("base64url")])
    assert.equal(read_bound("4", other), undefined);
});
