// The packed npm package in each runner that tests Workers, in a temporary folder, without a terminal, against the real program.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify, stripVTControlCharacters } from "node:util";
import { left_running, nothing_left, temporary_folder } from "../../npm/glia-dev/test/helpers.ts";

const kRoot = resolve(import.meta.dirname, "../..");

const kRunners: Array<{ name: string; folder: string; command: string[]; passed: RegExp }> = [
  {
    name: "vitest with @cloudflare/vitest-plugin",
    folder: "vitest",
    command: ["node_modules/vitest/vitest.mjs", "run"],
    passed: /Tests +2 passed/,
  },
  {
    name: "vitest with @cloudflare/vitest-pool-workers",
    folder: "vitest-pool-workers",
    command: ["node_modules/vitest/vitest.mjs", "run"],
    passed: /Tests +2 passed/,
  },
  { name: "node:test", folder: "miniflare", command: ["--test", "node.test.mjs"], passed: /pass 3/ },
  { name: "jest", folder: "miniflare", command: ["node_modules/jest/bin/jest.js"], passed: /1 passed/ },
];

function program(): string {
  const path = process.env.GLIA_BIN ?? join(kRoot, "build/apps/glia/glia");
  if (!existsSync(path)) throw new Error(`${path} is missing: build it (make build), or set GLIA_BIN`);
  return path;
}

describe("createGlia in", { concurrency: false }, () => {
  const folder = temporary_folder();
  const run = promisify(execFile);
  before(async () => {
    program();
    for (const name of new Set(kRunners.map((runner) => runner.folder))) {
      const installed = join(import.meta.dirname, name, "node_modules");
      if (!existsSync(installed))
        throw new Error(`${installed} is missing: scripts/npm-ready tests/runners/${name} installs it`);
    }
    mkdirSync(join(folder.path, "package"));
    mkdirSync(join(folder.path, "tmp"));
    await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder.path], {
      cwd: join(kRoot, "npm/glia-dev"),
    });
    const packed = readdirSync(folder.path).find((name) => name.endsWith(".tgz"))!;
    await run("tar", ["-xzf", packed], { cwd: folder.path });
    cpSync(join(import.meta.dirname, "worker"), join(folder.path, "worker"), { recursive: true });
  });
  after(() => folder.remove());

  for (const { name, folder: sample, command, passed } of kRunners) {
    test(name, async () => {
      const project = join(folder.path, sample);
      if (!existsSync(project)) {
        await run("cp", ["-a", join(import.meta.dirname, sample), project]);
        cpSync(join(folder.path, "package"), join(project, "node_modules/glia-dev"), { recursive: true });
      }
      const mark = randomBytes(8).toString("hex");
      const { GLIA_URL: _, ...inherited } = process.env;
      const env = {
        ...inherited,
        GLIA_BIN: program(),
        GLIA_TEST_MARK: mark,
        CI: "true",
        TMPDIR: join(folder.path, "tmp"),
        XDG_STATE_HOME: join(folder.path, "state"),
        GLIA_DATA: join(folder.path, "data"),
        NODE_TEST_CONTEXT: undefined,
      };
      const child = spawn(process.execPath, command, { cwd: project, env, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text) => (output += text));
      const code = await new Promise((ended) => child.on("close", ended));
      assert.equal(code, 0, output);
      assert.match(stripVTControlCharacters(output), passed, output);
      await nothing_left(mark, 10_000).catch((error: Error) => {
        for (const line of left_running(mark)) process.kill(Number.parseInt(line, 10), "SIGKILL");
        throw error;
      });
      assert.ok(!existsSync(join(folder.path, "state")), "no state folder is written");
      assert.ok(!existsSync(join(folder.path, "data")), "no ledger is written");
    });
  }
});
