// What users' tests get, against the real program: createGlia in this process and in several at once, and glia-dev's flags as
// a person types them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { createGlia, type Glia } from "../../npm/glia-dev/src/index.ts";
import {
  free_port,
  glia_dev,
  make_project,
  nothing_left,
  pids_running,
  temporary_folder,
} from "../../npm/glia-dev/test/helpers.ts";
import { kLongQuestion, kModel, program } from "./world.ts";

const kMark = "rehearsal-test";
const kNowhere = "/nowhere/glia";
/** So dear that two calls hold what the day has, and a third is refused. */
const kDear = { model: "@cf/deepseek-ai/deepseek-r1-distill-qwen-32b", max_tokens: 8000, calls: 2 };

interface Answer {
  status: number;
  type: string | null;
  id: string | null;
  body: string;
}

async function post(url: string, body: object): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: "Bearer a-secret" },
    body: JSON.stringify(body),
  });
  const header = (name: string): string | null => response.headers.get(name);
  return {
    status: response.status,
    type: header("content-type"),
    id: header("cf-ai-req-id"),
    body: await response.text(),
  };
}
const run = (glia: Glia, inputs: object, model = kModel): Promise<Answer> =>
  post(`${glia.restUrl}/accounts/${glia.accountId}/ai/run/${model}`, inputs);
const text_of = (answer: Answer): string =>
  (JSON.parse(answer.body) as { result: { response: string } }).result.response;
const code_of = (answer: Answer): number =>
  (JSON.parse(answer.body) as { errors: Array<{ code: number }> }).errors[0]!.code;

function files_below(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

describe("createGlia", () => {
  const folder = temporary_folder();
  const before_tests = { ...process.env };
  before(() => {
    process.env.GLIA_BIN = program();
    process.env.TMPDIR = folder.path;
    process.env.GLIA_TEST_MARK = kMark;
  });
  after(async () => {
    for (const name of ["GLIA_BIN", "TMPDIR", "GLIA_TEST_MARK"])
      if (before_tests[name] === undefined) delete process.env[name];
      else process.env[name] = before_tests[name];
    for (const pid of pids_running(kMark, / serve /)) process.kill(pid, "SIGKILL");
    folder.remove();
  });
  const create = async (t: TestContext, options: Parameters<typeof createGlia>[0] = {}): Promise<Glia> => {
    const glia = await createGlia({ cwd: folder.path, ...options });
    t.after(() => glia.close());
    return glia;
  };

  test("one seed, one answer: in any order, streamed or whole, in another session", async (t) => {
    const a = await create(t, { seed: 7 });
    const b = await create(t, { seed: 7 });
    const c = await create(t, { seed: 8 });
    const inputs = { prompt: "Write a line about the sea.", max_tokens: 16 };
    const first = text_of(await run(a, inputs));
    await run(b, { prompt: "Something else", max_tokens: 4 });
    assert.equal(text_of(await run(b, { max_tokens: 16, prompt: inputs.prompt })), first);
    const streamed = (await run(a, { ...inputs, stream: true })).body;
    const pieces = [...streamed.matchAll(/^data: (\{.*\})$/gm)].map(
      ([, json]) => (JSON.parse(json!) as { response?: string }).response ?? "",
    );
    assert.equal(pieces.join(""), first);
    assert.notEqual(text_of(await run(c, inputs)), first);
    const usage = await b.usage();
    assert.equal(usage.count, 2);
    assert.ok(usage.neurons > 0 && usage.calls.every((call) => call.standIn));
  });

  test("plan free is the session's own", async (t) => {
    const free = await create(t, { plan: "free" });
    const paid = await create(t);
    const inputs = { prompt: kLongQuestion, max_tokens: kDear.max_tokens };
    for (const [glia, most] of [
      [free, kDear.calls],
      [paid, kDear.calls + 1],
    ] as const) {
      const held: Response[] = [];
      for (let i = 0; i < most; i++) {
        const response = await fetch(`${glia.restUrl}/accounts/${glia.accountId}/ai/run/${kDear.model}`, {
          method: "POST",
          body: JSON.stringify({ ...inputs, stream: true }),
        });
        assert.equal(response.status, 200);
        held.push(response);
      }
      if (glia === free) {
        const refused = await run(free, inputs, kDear.model);
        assert.deepEqual([refused.status, code_of(refused)], [429, 3036]);
      }
      for (const response of held) await response.body!.cancel();
    }
  });

  test("faults as the service's errors, and off again", async (t) => {
    const glia = await create(t, { faults: [{ fault: 3040, times: 1 }] });
    const inputs = { prompt: "x", max_tokens: 3 };
    for (const [code, status] of [
      [3040, 429],
      [3036, 429],
      [3021, 429],
      [5028, 410],
      [3007, 408],
    ] as const) {
      if (code !== 3040) await glia.faults([{ fault: code, times: 1 }]);
      const answer = await run(glia, inputs);
      assert.deepEqual([answer.status, code_of(answer)], [status, code]);
      assert.equal((await run(glia, inputs)).status, 200, `once, ${code}`);
    }
    await glia.faults([{ fault: "empty" }]);
    assert.equal(text_of(await run(glia, inputs)), "");
    await glia.faults([{ fault: "cut", afterTokens: 2 }]);
    await assert.rejects(run(glia, { ...inputs, max_tokens: 20, stream: true }), TypeError);
  });

  test("what was recorded is replayed byte for byte, without program or weights", async (t) => {
    const recordings = join(folder.path, "recordings");
    const calls = async (glia: Glia): Promise<Answer[]> => [
      await run(glia, { prompt: "hi", max_tokens: 5 }),
      await run(glia, { prompt: "hi", max_tokens: 5 }),
      await run(glia, { prompt: "hi", max_tokens: 5, stream: true }),
      await post(`${glia.openaiUrl}/chat/completions`, {
        model: kModel,
        messages: [{ role: "user", content: "hi" }],
        max_tokens: 5,
      }),
      await run(glia, { prompt: "hi" }, "@cf/no/such-model"),
    ];
    const recorder = await create(t, { record: recordings });
    const recorded = await calls(recorder);
    await recorder.close();
    for (const path of files_below(recordings)) assert.doesNotMatch(readFileSync(path, "utf8"), /a-secret/);
    const bin = process.env.GLIA_BIN!;
    process.env.GLIA_BIN = kNowhere;
    try {
      for (const replaySpeed of ["instant", "real"] as const) {
        const glia = await create(t, { replay: recordings, replaySpeed });
        assert.deepEqual(await calls(glia), recorded);
        const miss = await run(glia, { prompt: "never asked before" });
        assert.equal(miss.status, 404);
        assert.equal(code_of(miss), 7404);
        assert.match(miss.body, new RegExp(kModel));
        assert.doesNotMatch(miss.body, /never asked/);
      }
    } finally {
      process.env.GLIA_BIN = bin;
    }
  });

  test("a server that was killed is started again by the next call", async (t) => {
    const glia = await create(t, { seed: 1 });
    const inputs = { prompt: "hello", max_tokens: 8 };
    const first = text_of(await run(glia, inputs));
    const [pid] = pids_running(kMark, / serve /);
    process.kill(pid!, "SIGKILL");
    let again: Answer | undefined;
    for (let tries = 0; again?.status !== 200 && tries < 5; tries++)
      again = await run(glia, inputs).catch(() => undefined);
    assert.equal(text_of(again!), first);
  });

  test("three processes at once share one server, and leave none", async () => {
    const script = join(folder.path, "script.mjs");
    const module = resolve(import.meta.dirname, "../../npm/glia-dev/src/index.ts");
    writeFileSync(
      script,
      `import { createGlia } from ${JSON.stringify(module)};
       const glia = await createGlia({ seed: 3 });
       const answer = await fetch(glia.restUrl + "/accounts/a/ai/run/${kModel}", { method: "POST", body: '{"prompt":"Hello","max_tokens":8}' });
       console.log((await answer.json()).result.response);`, // no close(): the process ends by itself
    );
    const mark = `${kMark}-three`;
    const env = { ...process.env, GLIA_TEST_MARK: mark, GLIA_THREADS: "1" };
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, pids_running(mark, / serve .*--address-file/).length)), 200);
    const outputs = await Promise.all(
      [1, 2, 3].map(() => promisify(execFile)(process.execPath, ["--no-warnings", script], { env, cwd: folder.path })),
    ).finally(() => clearInterval(watch));
    assert.equal(new Set(outputs.map(({ stdout }) => stdout)).size, 1);
    assert.notEqual(outputs[0]!.stdout.trim(), "");
    assert.ok(most >= 1);
    await nothing_left(mark, 10_000);
  });
});

describe("glia-dev's flags", () => {
  const kPrompt = "zebra quartz nineteen";
  const kSource = `export default { async fetch(request, env) {
    try {
      return Response.json(await env.AI.run("${kModel}", { prompt: "${kPrompt}", max_tokens: 12 }));
    } catch (error) { return new Response(error.message, { status: 500 }); }
  } };`;
  const kConfig = `name = "hello"\nmain = "src/index.js"\ncompatibility_date = "2026-04-01"\n[ai]\nbinding = "AI"\n`;

  async function with_glia_dev(
    folder: string,
    flags: string[],
    env: NodeJS.ProcessEnv,
    use: (url: string, output: () => string) => Promise<void>,
  ): Promise<void> {
    const port = String(await free_port());
    const running = glia_dev(["--glia-port", port, "--port", "0", "--inspector-port", "0", ...flags], {
      cwd: folder,
      env: { GLIA_BIN: program(), GLIA_DATA: join(folder, "data"), ...env },
    });
    try {
      await use(`http://127.0.0.1:${await running.ready()}`, running.output);
    } finally {
      running.process.kill("SIGTERM");
      await running.exited;
      await nothing_left(running.mark, 8000);
    }
  }

  test("--seed, --fault, --show-io, --record; then --replay without the program", async () => {
    const folder = temporary_folder();
    make_project(folder.path, "wrangler", { "wrangler.toml": kConfig, "src/index.js": kSource });
    const get = async (url: string): Promise<[number, string]> => {
      const response = await fetch(url);
      return [response.status, await response.text()];
    };
    let answer = "";
    const flags = ["--seed", "5", "--fault", "3040,times=1", "--show-io", "--record", "tape"];
    await with_glia_dev(folder.path, flags, {}, async (url, output) => {
      const [status, text] = await get(url);
      assert.equal(status, 500);
      assert.match(text, /3040: Capacity temporarily exceeded/);
      [, answer] = await get(url);
      assert.ok(answer.includes("response"), answer);
      assert.equal((await get(url))[1], answer, "seeded");
      assert.ok(output().includes(kPrompt), "--show-io shows what was asked");
    });
    const text = (JSON.parse(answer) as { response: string }).response.trim();
    for (const path of files_below(folder.path)) {
      if (path.startsWith(join(folder.path, "node_modules")) || path.endsWith("src/index.js")) continue;
      if (path.includes("/.wrangler/")) continue; // the bundled Worker itself
      const held = readFileSync(path, "latin1");
      assert.ok(!held.includes(kPrompt), `${path} holds the prompt`);
      if (!path.startsWith(join(folder.path, "tape"))) assert.ok(!held.includes(text), `${path} holds the answer`);
    }
    await with_glia_dev(folder.path, ["--replay", "tape"], { GLIA_BIN: kNowhere }, async (url) => {
      assert.match((await get(url))[1], /3040/);
      assert.equal((await get(url))[1], answer);
    });
    folder.remove();
  });
});
