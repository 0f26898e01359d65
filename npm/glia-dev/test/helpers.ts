// For tests: free ports, projects in temporary folders, glia-dev as a process with or without a terminal, what is left running.
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const kPackage = fileURLToPath(new URL("..", import.meta.url));

export async function free_port(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function until(what: string, done: () => boolean | Promise<boolean>, within_ms = 10_000): Promise<void> {
  const end = performance.now() + within_ms;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`not within ${within_ms} ms: ${what}`);
    await delay(25);
  }
}

/** A temporary folder, removed by `remove()`. */
export function temporary_folder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "glia-dev-test-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A program that can be GLIA_BIN: the mock. */
export function mock_program(folder: string): string {
  const program = join(folder, "mock-glia");
  writeFileSync(
    program,
    `#!/bin/sh\nunset NODE_OPTIONS\nexec "${process.execPath}" --no-warnings "${join(kPackage, "test", "mock-glia.ts")}" "$@"\n`,
  );
  chmodSync(program, 0o755);
  return program;
}

export const kWorker = `export default { async fetch(request, env) {
  const stream = new URL(request.url).pathname === "/stream";
  try {
    const answer = await env.AI.run("@cf/meta/llama-3.1-8b-instruct", { prompt: "hello", seed: 7, max_tokens: 5, stream });
    return stream ? new Response(answer, { headers: { "content-type": "text/event-stream" } }) : Response.json({ ...answer, mark: env.MARK });
  } catch (error) { return new Response(error.name + ": " + error.message, { status: 500 }); }
} };
`;

export const kConfig = `name = "hello"
main = "src/index.js"
compatibility_date = "2026-04-01"
[ai]
binding = "AI"
[vars]
MARK = "plain"
[env.staging.vars]
MARK = "staging"
[env.staging.ai]
binding = "AI"
`;

/** A project in `folder` whose node_modules holds the wrangler installed here under `wrangler_name`. */
export function make_project(
  folder: string,
  wrangler_name: string | undefined,
  files: Record<string, string> = { "wrangler.toml": kConfig, "src/index.js": kWorker },
): void {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  if (wrangler_name !== undefined)
    symlinkSync(join(kPackage, "node_modules", wrangler_name), join(folder, "node_modules", "wrangler"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

export interface Running {
  process: ChildProcess;
  /** Everything written so far, both streams. */
  output(): string;
  /** In the environment of every process started from this one. */
  mark: string;
  exited: Promise<number>;
  ready(): Promise<number>;
}

export interface RunOptions {
  cwd: string;
  env?: NodeJS.ProcessEnv;
  /** In a pseudo terminal 130 columns wide; keys are written to process.stdin. */
  terminal?: boolean;
}

export function glia_dev(args: string[], options: RunOptions): Running {
  const mark = randomBytes(8).toString("hex");
  const { GLIA_URL: _, GLIA_BIN: __, FORCE_COLOR: ___, ...inherited } = process.env;
  if (options.terminal) {
    // A person's terminal, also when CI runs this: wrangler drops colours and hotkeys under CI.
    for (const name of ["CI", "NO_COLOR"]) delete inherited[name];
    inherited.TERM = "xterm-256color";
  }
  const env = { ...inherited, XDG_STATE_HOME: join(options.cwd, "state"), ...options.env, GLIA_TEST_MARK: mark };
  const program = join(kPackage, "bin", "glia-dev.js");
  const words = [process.execPath, program, ...args];
  const child = options.terminal
    ? spawn(
        "script",
        [
          "-qefc",
          `stty cols 130 rows 40; exec ${words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")}`,
          "/dev/null",
        ],
        { cwd: options.cwd, env },
      )
    : spawn(words[0]!, words.slice(1), { cwd: options.cwd, env });
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  child.stdin!.on("error", () => {});
  const exited = new Promise<number>((resolve) =>
    child.on("close", (code, signal) => resolve(code ?? (signal ? 256 : -1))),
  );
  return {
    process: child,
    output: () => text,
    mark,
    exited,
    async ready() {
      await until(
        "wrangler is ready",
        () => {
          if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode} before it was ready:\n${text}`);
          return /Ready on .*:\d+/.test(text);
        },
        30_000,
      ).catch((error: Error) => {
        throw new Error(`${error.message}\n${text}`);
      });
      return Number(/Ready on .*?:(\d+)/.exec(text.replaceAll(/\x1b\[[\d;]*m/g, ""))![1]);
    },
  };
}

/** Command lines of the live processes that carry `mark`. */
export function left_running(mark: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/environ`, "latin1").includes(`GLIA_TEST_MARK=${mark}`)) {
        const line = readFileSync(`/proc/${name}/cmdline`, "latin1").replaceAll("\0", " ").trim();
        if (line !== "") found.push(`${name} ${line}`);
      }
    } catch {
      // Ended meanwhile.
    }
  }
  return found;
}

export function pids_running(mark: string, pattern: RegExp): number[] {
  return left_running(mark)
    .filter((line) => pattern.test(line))
    .map((line) => Number.parseInt(line, 10));
}

export async function nothing_left(mark: string, within_ms = 5000): Promise<void> {
  await until("all processes ended", () => left_running(mark).length === 0, within_ms).catch((error: Error) => {
    throw new Error(`${error.message}\n${left_running(mark).join("\n")}`);
  });
}
