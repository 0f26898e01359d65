// glia-dev as a user runs it: real wrangler, real workerd, the mock in glia's place.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import {
  free_port,
  glia_dev,
  kWorker,
  left_running,
  make_project,
  mock_program,
  nothing_left,
  pids_running,
  temporary_folder,
  until,
  type Running,
  type RunOptions,
} from "./helpers.ts";
import { mock_words } from "./mock-glia.ts";

const kExpected = mock_words(7, 5).join(" ");
let folder: ReturnType<typeof temporary_folder>;
let running: Running[] = [];
let port: number;

beforeEach(async () => {
  folder = temporary_folder();
  port = await free_port();
});
afterEach(async () => {
  for (const run of running) {
    for (const pid of pids_running(run.mark, /./)) process.kill(pid, "SIGKILL");
    await nothing_left(run.mark);
  }
  running = [];
  folder.remove();
});

function start(args: string[], options: Partial<RunOptions> = {}): Running {
  const run = glia_dev(["--glia-port", String(port), ...args], {
    cwd: folder.path,
    ...options,
    env: { GLIA_BIN: mock_program(folder.path), ...options.env },
  });
  running.push(run);
  return run;
}

async function get(worker_port: number, path = "/"): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${worker_port}${path}`);
  return { status: response.status, text: await response.text() };
}

for (const wrangler of ["wrangler", "wrangler-486"]) {
  describe(`with ${wrangler}`, () => {
    beforeEach(() => make_project(folder.path, wrangler));

    test("on a terminal: answers, the table, one line per call, no noise; Ctrl-C exits with 130 and leaves nothing", async () => {
      const run = start(["--port", "0"], { terminal: true });
      const worker = await run.ready();
      const answer = JSON.parse((await get(worker)).text) as { response: string; mark: string };
      assert.deepEqual([answer.response, answer.mark], [kExpected, "plain"]);
      const stream = (await get(worker, "/stream")).text;
      assert.equal(stream.match(/\[DONE\]/g)!.length, 1);
      await until("both lines are printed", () => (run.output().match(/neurons/g) ?? []).length === 2);
      const output = run.output();
      const plain = stripVTControlCharacters(output);
      assert.match(plain, /\[glia\] Glia \S+ at http:\/\/127\.0\.0\.1:\d+ \(mock; started, log .*serve-\d+\.log\)/);
      assert.match(plain, /env\.AI +AI +local \(glia, SmolLM2-135M-Instruct for all 3 model ids\)/);
      assert.match(
        plain,
        /\[glia\] @cf\/meta\/llama-3\.1-8b-instruct ← SmolLM2-135M-Instruct \(stand-in\)  \S+ ms to first token, \S+ tok\/s, \S+ neurons/,
      );
      assert.doesNotMatch(plain, /charges|not supported|ENOTFOUND|update available|telemetry|log in/i);
      assert.ok(output.includes("\x1b[34mlocal\x1b[39m"), "colours are kept");
      assert.match(plain, /\[x\] to exit/, "hotkeys are kept");
      run.process.stdin!.write("\x03");
      assert.equal(await run.exited, 130);
      await nothing_left(run.mark);
    });

    test("without a terminal: SIGTERM exits with 143 and leaves nothing", async () => {
      const run = start(["--port", "0"]);
      await run.ready();
      assert.doesNotMatch(run.output(), /\x1b\[3\dm/);
      run.process.kill("SIGTERM");
      assert.equal(await run.exited, 143);
      await nothing_left(run.mark);
    });

    test("an edit is taken up, still with AI", async () => {
      const run = start(["--port", "0"]);
      const worker = await run.ready();
      await get(worker);
      let edits = 0;
      const edited = async (): Promise<boolean> => {
        // An edit in the moment before the watcher watches is not seen; so it is made again.
        if (edits++ % 40 === 0) {
          const text = kWorker.replace("mark: env.MARK", 'mark: "edited"');
          writeFileSync(join(folder.path, "src/index.js"), `${text}// ${edits}\n`);
        }
        const answer = await get(worker).catch(() => undefined);
        return answer?.text.includes('"edited"') ?? false;
      };
      await until("the edit answers", edited, 20_000).catch((error: Error) => {
        throw new Error(`${error.message}\n${run.output()}`);
      });
      assert.equal((JSON.parse((await get(worker)).text) as { response: string }).response, kExpected);
    });

    test("wrangler.jsonc, an environment, remote = true", async () => {
      const config = {
        name: "j",
        main: "src/index.js",
        compatibility_date: "2026-04-01",
        ai: { binding: "AI", remote: true },
        env: { staging: { ai: { binding: "AI", remote: true }, vars: { MARK: "staging" } } },
      };
      make_other_project({ "wrangler.jsonc": `// a comment\n${JSON.stringify(config)}` });
      const run = start(["--port", "0", "--env", "staging"]);
      const answer = JSON.parse((await get(await run.ready())).text) as { response: string; mark: string };
      assert.deepEqual([answer.response, answer.mark], [kExpected, "staging"]);
      assert.match(run.output(), /env\.AI +AI +local \(glia, /);
      assert.doesNotMatch(run.output(), /remote connections|log in/i);
    });

    test("Vectorize, with remote = true and without it", async () => {
      const config = {
        name: "v",
        main: "src/index.js",
        compatibility_date: "2026-04-01",
        vectorize: [
          { binding: "DOCS", index_name: "docs" },
          { binding: "LETTERS", index_name: "letters", remote: true },
        ],
      };
      const script = `export default { async fetch(request, env) {
        await env.DOCS.insert([{ id: "d", values: [1, 0] }]);
        await env.LETTERS.upsert([{ id: "l", values: [0, 1, 2] }]);
        const found = await Promise.all([env.DOCS.query([1, 1]), env.LETTERS.query([1, 1, 1])]);
        return Response.json(found.flatMap(({ matches }) => matches.map(({ id }) => id)));
      } };`;
      make_other_project({ "wrangler.jsonc": JSON.stringify(config), "src/index.js": script });
      const run = start(["--port", "0"]);
      assert.equal((await get(await run.ready())).text, '["d","l"]');
      assert.match(run.output(), /env\.DOCS \(docs\) +Vectorize Index +local \(glia\)/);
      assert.match(run.output(), /env\.LETTERS \(letters\) +Vectorize Index +local \(glia\)/);
      assert.doesNotMatch(run.output(), /WARNING|not supported|remote connections|log in/i);
    });

    test("several Workers in one wrangler, bound to each other", async () => {
      const front = `export default { fetch(request, env) { return env.BACK.fetch(request); } };`;
      writeFileSync(join(folder.path, "front.js"), front);
      writeFileSync(
        join(folder.path, "front.toml"),
        'name = "front"\nmain = "front.js"\ncompatibility_date = "2026-04-01"\n[[services]]\nbinding = "BACK"\nservice = "hello"\n',
      );
      const run = start(["--port", "0", "-c", "front.toml", "-c", "wrangler.toml"]);
      const answer = JSON.parse((await get(await run.ready())).text) as { response: string };
      assert.equal(answer.response, kExpected);
    });

    test("getPlatformProxy in a script after --", async () => {
      const script = `import { getPlatformProxy } from "wrangler";
        const proxy = await getPlatformProxy();
        console.log("ANSWER", (await proxy.env.AI.run("@cf/meta/llama-3.1-8b-instruct", { prompt: "x", seed: 7, max_tokens: 5 })).response);
        await proxy.dispose();`;
      writeFileSync(join(folder.path, "script.mjs"), script);
      const run = start(["--", process.execPath, "script.mjs"]);
      assert.equal(await run.exited, 0, run.output());
      assert.match(run.output(), new RegExp(`ANSWER ${kExpected}`));
      await nothing_left(run.mark);
    });
  });

  function make_other_project(files: Record<string, string>): void {
    folder.remove();
    folder = temporary_folder();
    make_project(folder.path, wrangler, { "src/index.js": kWorker, ...files });
  }
}

describe("lives and deaths", () => {
  beforeEach(() => make_project(folder.path, "wrangler"));

  test("SIGINT to glia-dev alone exits with 130", async () => {
    const run = start(["--port", "0"]);
    await run.ready();
    run.process.kill("SIGINT");
    assert.equal(await run.exited, 130);
    await nothing_left(run.mark);
  });

  test("glia-dev killed outright leaves nothing either", async () => {
    const run = start(["--port", "0"]);
    await get(await run.ready());
    run.process.kill("SIGKILL");
    await nothing_left(run.mark, 6000);
  });

  test("`x` ends with wrangler's own status", async () => {
    const run = start(["--port", "0"], { terminal: true });
    await run.ready();
    run.process.stdin!.write("x");
    assert.equal(await run.exited, 0);
    await nothing_left(run.mark);
  });

  test("glia killed under way: the call fails within a second, the next works", async () => {
    const run = start(["--port", "0"], { env: { MOCK_GLIA_LOADING_MS: "1200" } });
    const worker = await run.ready();
    const [glia] = pids_running(run.mark, /mock-glia\.ts/);
    process.kill(glia!, "SIGKILL");
    await until("the loss is printed", () => /stopped unexpectedly \(SIGKILL\)/.test(run.output()));
    const started = performance.now();
    const failed = await get(worker);
    assert.ok(performance.now() - started < 1000);
    assert.equal(failed.status, 500);
    assert.match(failed.text, /AiError: 7503: Glia (is still loading|is starting|stopped unexpectedly).*Try again/);
    await until("it answers again", async () => (await get(worker)).status === 200, 8000);
    await until("that is printed", () => /Glia is back/.test(run.output()));
  });

  test("two glia-dev share one glia, which ends with the second", async () => {
    const first = start(["--port", "0"]);
    await first.ready();
    const second = start(["--port", "0", "--inspector-port", "0"]);
    const worker = await second.ready();
    assert.match(second.output(), /already running, shared/);
    first.process.kill("SIGTERM");
    await first.exited;
    await delay(2500);
    assert.equal((await get(worker)).status, 200);
    second.process.kill("SIGTERM");
    await second.exited;
    await nothing_left(first.mark);
    assert.deepEqual(left_running(second.mark), []);
  });
});

describe("what the user is told", () => {
  test("no wrangler", async () => {
    make_project(folder.path, undefined);
    const run = start([]);
    assert.equal(await run.exited, 1);
    assert.match(run.output(), /has no wrangler .*\nType: npm install --save-dev wrangler\n$/);
  });

  test("no such command", async () => {
    const run = start(["--", "no-such-command-here"]);
    assert.equal(await run.exited, 1);
    assert.match(run.output(), /there is no command no-such-command-here/);
    await nothing_left(run.mark);
  });

  test("wrong usage exits with 2, help with 0", async () => {
    const wrong = start(["--glia-what"]);
    assert.equal(await wrong.exited, 2);
    const help = start(["--help"]);
    assert.equal(await help.exited, 0);
    assert.match(help.output(), /--glia-port/);
  });

  test("an unknown Miniflare", async () => {
    make_project(folder.path, undefined, {
      "node_modules/miniflare/package.json": '{"name":"miniflare","version":"6.0.0","main":"index.js"}',
      "node_modules/miniflare/index.js": "exports.Miniflare = class {};",
      "script.cjs": 'require("miniflare");',
      "script.mjs": 'import { Miniflare } from "miniflare"; new Miniflare({});',
    });
    for (const script of ["script.cjs", "script.mjs"]) {
      const run = start(["--", process.execPath, script]);
      assert.equal(await run.exited, 1);
      assert.match(run.output(), /does not know Miniflare 6\.0\.0: it works with Miniflare 4 and 5/);
    }
  });

  test("on a terminal a command after -- keeps its own Ctrl-C", async () => {
    const script = `process.on("SIGINT", () => { console.log("CAUGHT"); setTimeout(() => process.exit(3), 600); }); setInterval(() => {}, 1000); console.log("WAITS");`;
    const run = start(["--", process.execPath, "-e", script], { terminal: true });
    await until("the command waits", () => run.output().includes("WAITS\r\n"));
    run.process.stdin!.write("\x03");
    assert.equal(await run.exited, 3);
    assert.equal(run.output().match(/CAUGHT/g)!.length, 1);
  });

  test("a command's own status passes through", async () => {
    assert.equal(await start(["--", process.execPath, "-e", "process.exit(7)"]).exited, 7);
  });

  test("the port is another program's: wrangler runs, the table and the call say so", async () => {
    make_project(folder.path, "wrangler");
    const other = (await import("node:http"))
      .createServer((_, response) => response.end("hi"))
      .listen(port, "127.0.0.1");
    try {
      const run = start(["--port", "0"]);
      const worker = await run.ready();
      assert.match(
        run.output(),
        /\[glia\] Port \d+ is taken by another program, which is not Glia\. Type: npx glia-dev --glia-port \d+/,
      );
      assert.match(run.output(), /env\.AI +AI +local \(glia, not answering yet\)/);
      const failed = await get(worker);
      assert.match(failed.text, /7503: Port \d+ is taken by another program/);
    } finally {
      other.close();
    }
  });
});
