// Vectorize bindings of a Worker on workerd, through glia-dev, against the real program; and wrangler's own commands for it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import {
  free_port,
  glia_dev,
  make_project,
  nothing_left,
  pids_running,
  temporary_folder,
  until,
  type Running,
} from "../../npm/glia-dev/test/helpers.ts";
import { program } from "./world.ts";

/** Calls the method of the binding that the request names, with the arguments in its body. */
const kWorker = `export default { async fetch(request, env) {
  const [, binding, method] = new URL(request.url).pathname.split("/");
  try {
    return Response.json(await env[binding][method](...await request.json()));
  } catch (error) { return new Response(error.message, { status: 500 }); }
} };
`;

const kConfig = JSON.stringify({
  name: "vectors",
  main: "src/index.js",
  compatibility_date: "2026-04-01",
  vectorize: [
    { binding: "DOCS", index_name: "docs" },
    { binding: "SHOP", index_name: "shop", remote: true },
  ],
});

interface Matches {
  count: number;
  matches: Array<{ id: string; score: number; metadata?: object; namespace?: string }>;
}

for (const wrangler of ["wrangler", "wrangler-486"]) {
  describe(`Vectorize under ${wrangler}`, () => {
    const folder = temporary_folder();
    let run: Running;
    let base: string;
    let glia: string;

    before(async () => {
      make_project(folder.path, wrangler, { "wrangler.jsonc": kConfig, "src/index.js": kWorker });
      await start();
    });
    after(async () => {
      await stop();
      folder.remove();
    });

    async function start(): Promise<void> {
      const port = await free_port();
      const env = { GLIA_BIN: program(), GLIA_DATA: join(folder.path, "data") };
      run = glia_dev(["--glia-port", String(port), "--port", "0", "--inspector-port", "0"], { cwd: folder.path, env });
      glia = `http://127.0.0.1:${port}`;
      base = `http://127.0.0.1:${await run.ready()}`;
    }
    async function stop(): Promise<void> {
      if (run.process.exitCode === null) run.process.kill("SIGTERM");
      await run.exited;
      await nothing_left(run.mark, 8000).finally(() => {
        for (const pid of pids_running(run.mark, /./)) process.kill(pid, "SIGKILL");
      });
    }
    const text = async (path: string, ...words: unknown[]): Promise<string> =>
      (await fetch(`${base}/${path}`, { method: "POST", body: JSON.stringify(words) })).text();
    const json = async <T>(path: string, ...words: unknown[]): Promise<T> =>
      JSON.parse(await text(path, ...words)) as T;
    const ids = async (path: string, ...words: unknown[]): Promise<string[]> =>
      (await json<Matches>(path, ...words)).matches.map(({ id }) => id);
    /** A mutation is seen a moment after it is answered, as on the service. */
    const seen = (mutation: { mutationId: string }, index = "DOCS"): Promise<void> =>
      until("the mutation is seen", async () => {
        const { processedUpToMutation } = await json<{ processedUpToMutation: string }>(`${index}/describe`);
        return processedUpToMutation === mutation.mutationId;
      });
    const vectorize = async (...words: string[]): Promise<string> => {
      const env = {
        ...process.env,
        CLOUDFLARE_API_BASE_URL: `${glia}/client/v4`,
        CLOUDFLARE_ACCOUNT_ID: "local",
        CLOUDFLARE_API_TOKEN: "any",
        CI: "1",
        TMPDIR: folder.path,
      };
      const cli = join(folder.path, "node_modules/wrangler/bin/wrangler.js");
      return (await promisify(execFile)(process.execPath, [cli, "vectorize", ...words], { cwd: folder.path, env }))
        .stdout;
    };

    test("the first vector makes the index; then all methods of the class", async () => {
      assert.deepEqual(await ids("DOCS/query", [1, 0, 0]), [], "an index without vectors");
      const vectors = [
        { id: "a", values: [1, 0, 0], metadata: { colour: "red" } },
        { id: "b", values: [0, 2, 0], namespace: "n" },
      ];
      await seen(await json("DOCS/insert", vectors));
      assert.deepEqual(await ids("DOCS/query", [0.9, 0.1, 0]), ["a", "b"]);
      const [best] = (await json<Matches>("DOCS/query", [2, 0, 0], { topK: 1, returnMetadata: "all" })).matches;
      assert.deepEqual(best, { id: "a", score: 1, metadata: { colour: "red" } });
      assert.deepEqual(await ids("DOCS/query", [1, 0, 0], { namespace: "n" }), ["b"]);
      assert.deepEqual(await ids("DOCS/queryById", "b", { topK: 1 }), ["b"]);
      assert.deepEqual(await json("DOCS/getByIds", ["b", "none"]), [vectors[1]]);
      await seen(await json("DOCS/upsert", [{ id: "b", values: [1, 1, 0] }]));
      assert.deepEqual(await json("DOCS/getByIds", ["b"]), [{ id: "b", values: [1, 1, 0] }]);
      await seen(await json("DOCS/deleteByIds", ["b"]));
      const { dimensions, vectorCount } = await json<{ dimensions: number; vectorCount: number }>("DOCS/describe");
      assert.deepEqual([dimensions, vectorCount], [3, 1]);
    });

    test("bad input is the service's error, and nothing is stored", async () => {
      assert.match(
        await text("DOCS/insert", [{ id: "c", values: [1] }]),
        /^VECTOR_INSERT_ERROR \(code = 40012\): .*expected 3 dimensions/,
      );
      assert.match(await text("DOCS/query", [1, 0, 0], { topK: 101 }), /^VECTOR_QUERY_ERROR \(code = 40025\)/);
      assert.match(
        await text("DOCS/insert", [{ id: "x".repeat(65), values: [1, 0, 0] }]),
        /^VECTOR_INSERT_ERROR \(code = \d+\): /,
      );
      assert.deepEqual(await ids("DOCS/query", [1, 0, 0]), ["a"]);
    });

    test("a filter without an index on metadata finds nothing, and the terminal says why", async () => {
      assert.deepEqual(await ids("DOCS/query", [1, 0, 0], { filter: { colour: "red" } }), []);
      await until("the note", () => /env\.DOCS \(docs\): no metadata index on colour/.test(run.output()));
    });

    test("wrangler's own commands make, fill, ask and end an index that the Worker sees", async () => {
      assert.match(await vectorize("create", "shop", "--dimensions=4", "--metric=euclidean"), /Successfully created/);
      assert.match(
        await vectorize("create-metadata-index", "shop", "--property-name=colour", "--type=string"),
        /Successfully enqueued/,
      );
      const lines = [
        { id: "p", values: [1, 0, 0, 0], metadata: { colour: "red" } },
        { id: "q", values: [0, 1, 0, 0], metadata: { colour: "blue" } },
      ];
      writeFileSync(join(folder.path, "v.ndjson"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
      assert.match(await vectorize("insert", "shop", "--file=v.ndjson"), /Successfully enqueued 2 vectors/);
      await until("both are seen", async () => (await ids("SHOP/query", [1, 0, 0, 0])).length === 2);
      assert.deepEqual(await ids("SHOP/query", [1, 0, 0, 0], { filter: { colour: { $ne: "red" } } }), ["q"]);
      assert.match(await vectorize("query", "shop", "--vector", "0", "1", "0", "0", "--top-k=1"), /"id": "q"/);
      assert.match(await vectorize("info", "shop"), /│ 4 +│ 2 +│/);
      assert.match(await vectorize("list"), /│ docs +│ 3 +│ cosine .*│ shop +│ 4 +│ euclidean /s);
      await vectorize("delete", "shop", "--force");
      assert.doesNotMatch(await vectorize("list"), /shop/);
    });

    test("an answered mutation outlives the program, killed, and its end", async () => {
      const values = (at: number): number[] => [1, at / 100, 0];
      for (let at = 0; at < 10; at++) await json("DOCS/upsert", [{ id: `v${at}`, values: values(at) }]);
      const [pid] = pids_running(run.mark, / serve --port /);
      process.kill(pid!, "SIGKILL");
      const all = Array.from({ length: 10 }, (_, at) => `v${at}`).sort();
      const found = async (): Promise<string[]> =>
        (await json<Array<{ id: string }>>("DOCS/getByIds", all)).map(({ id }) => id).sort();
      await until("it answers again", async () => /^\[/.test(await text("DOCS/getByIds", all)), 30_000);
      await until("all are seen", async () => (await found()).length === 10);
      assert.deepEqual(await found(), all);
      await stop();
      await start();
      assert.deepEqual(await found(), all);
    });
  });
}

test("a test runner's Workers have indexes of their own, gone with them", async () => {
  const folder = temporary_folder();
  const config = JSON.stringify({
    ...(JSON.parse(kConfig) as object),
    vectorize: [{ binding: "DOCS", index_name: "docs" }],
  });
  const script = `
    import { getPlatformProxy } from "wrangler";
    const { env, dispose } = await getPlatformProxy({ remoteBindings: false });
    const { matches } = await env.DOCS.query([1, 0]);
    await env.DOCS.upsert([{ id: "x", values: [1, 0] }]);
    for (let tries = 0; tries < 100; tries++) {
      if ((await env.DOCS.describe()).vectorCount === 1) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    console.log("before", matches.length, "after", (await env.DOCS.query([1, 0])).matches.length);
    await dispose();
  `;
  const port = await free_port();
  const env = { GLIA_BIN: program(), GLIA_DATA: join(folder.path, "data"), VITEST: undefined as string | undefined };
  const running: Running[] = [];
  const once = async (more: NodeJS.ProcessEnv): Promise<string> => {
    const words = ["--glia-port", String(port), "--", process.execPath, "script.mjs"];
    const run = glia_dev(words, { cwd: folder.path, env: { ...env, NODE_TEST_CONTEXT: undefined, ...more } });
    running.push(run);
    assert.equal(await run.exited, 0, run.output());
    return /before \d after \d/.exec(run.output())?.[0] ?? run.output();
  };
  try {
    make_project(folder.path, "wrangler", { "wrangler.jsonc": config, "src/index.js": kWorker, "script.mjs": script });
    for (let time = 0; time < 2; time++) assert.equal(await once({ VITEST: "true" }), "before 0 after 1");
    assert.equal(await once({}), "before 0 after 1", "nothing of theirs is the account's");
    assert.equal(await once({}), "before 1 after 1", "what is the account's stays");
  } finally {
    for (const run of running) await nothing_left(run.mark, 8000);
    folder.remove();
  }
});
