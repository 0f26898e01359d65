// The glia program: where it is, and how it is started so that it outlives one glia-dev but not the last.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Where to find the program, in this order: GLIA_BIN, the platform's package, PATH, the checkout's own build. */
export function find_program(env: NodeJS.ProcessEnv, folder: string): string | undefined {
  if (env.GLIA_BIN) return resolve(env.GLIA_BIN);
  const platform_package = `glia-${process.platform}-${process.arch}`;
  for (const from of [import.meta.url, join(folder, "package.json")]) {
    try {
      const program = join(dirname(createRequire(from).resolve(`${platform_package}/package.json`)), "bin", "glia");
      if (existsSync(program)) return program;
    } catch {
      // Not installed there.
    }
  }
  for (const part of (env.PATH ?? "").split(delimiter)) {
    if (part !== "" && existsSync(join(part, "glia")) && statSync(join(part, "glia")).isFile())
      return join(part, "glia");
  }
  const built = fileURLToPath(new URL("build/apps/glia/glia", kCheckout));
  return existsSync(built) ? built : undefined;
}

/** The repository's root when this package is used from it. */
const kCheckout = new URL("../../../../", import.meta.url);

export function in_checkout(): boolean {
  return existsSync(new URL("CMakePresets.json", kCheckout));
}

export function log_path(env: NodeJS.ProcessEnv, port: number): string {
  const state = env.XDG_STATE_HOME || join(homedir(), ".local", "state");
  return join(state, "glia", `serve-${port}.log`);
}

const kKeepLogBytes = 4 << 20;

export interface Started {
  process: ChildProcess;
  log: string;
  /** Where this run's lines begin in the log. */
  log_start: number;
}

/** Starts `glia serve --while-leased` in its own session: a Ctrl-C in this terminal does not reach it. */
export function start_program(program: string, port: number, env: NodeJS.ProcessEnv): Started {
  const log = log_path(env, port);
  mkdirSync(dirname(log), { recursive: true });
  if (existsSync(log) && statSync(log).size > kKeepLogBytes) renameSync(log, `${log}.old`);
  const file = openSync(log, "a");
  const log_start = statSync(log).size;
  try {
    const child = spawn(program, ["serve", "--port", String(port), "--while-leased"], {
      detached: true,
      stdio: ["ignore", file, file],
      env: server_environment(env),
    });
    child.unref();
    return { process: child, log, log_start };
  } finally {
    closeSync(file);
  }
}

/** The program must not inherit what is meant for the command that glia-dev runs. */
export function server_environment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GLIA_DEV: _, GLIA_URL: __, ...rest } = env;
  return rest;
}

/** The last line that this run wrote, for a message; empty when it wrote none. */
export function last_log_line(started: Started): string {
  try {
    const text = readFileSync(started.log).subarray(started.log_start).toString("utf8");
    return text.trimEnd().split("\n").at(-1)?.slice(-300) ?? "";
  } catch {
    return "";
  }
}
