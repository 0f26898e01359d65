// One glia serve for all processes of this user that test with the same program and settings: found by a file, started by
// whoever comes first, ended by itself soon after its last session.
//
// The file is the server's own: it holds a lock on it while it lives and writes its address there (glia serve --address-file).
// So there is no lock of ours to be left behind: of several started at once the others end at once, and the file of one that
// was killed is taken over.
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, lstatSync, mkdirSync, openSync, readFileSync, realpathSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { did_not_start, no_program, problem_of } from "../glia/messages.ts";
import { probe } from "../glia/probe.ts";
import { find_program, in_checkout, server_environment } from "../glia/program.ts";
import { kVersion } from "../version.ts";

const kStartWithinMs = 60_000;
const kPollMs = 15;
const kMostStarts = 4;

export interface ServerOptions {
  env: NodeJS.ProcessEnv;
  folder: string;
  /** The ledger lives in memory. */
  memory: boolean;
}

/** The address of a server that answers. Throws when there is no program, or it does not start. */
export async function shared_server({ env, folder, memory }: ServerOptions): Promise<URL> {
  const program = find_program(env, folder);
  if (program === undefined) throw new Error(no_program(in_checkout()));
  const place = join(private_folder(), fingerprint(program, env, folder, memory));
  const files = { address: `${place}.address`, log: `${place}.log` };
  const deadline = performance.now() + kStartWithinMs;
  let child: Child | undefined;
  let starts = 0;
  for (;;) {
    const url = read_address(files.address);
    const found = url === undefined ? undefined : await probe(url);
    if (found?.kind === "ready") return url!;
    if (found !== undefined && found.kind !== "nothing" && found.kind !== "loading" && found.kind !== "silent")
      throw new Error(problem_of(found, url!));
    const running = child !== undefined && child.exit === undefined;
    if (!running && found?.kind !== "loading" && found?.kind !== "silent") {
      if (child?.exit !== undefined && child.exit !== "exit code 0")
        throw new Error(did_not_start(child.exit, last_line(files.log, child.log_start), files.log));
      // A child that ended well had left the place to another one.
      if (starts++ < kMostStarts || child === undefined) child = start(program, files, env, memory);
      else await delay(250);
    }
    if (performance.now() > deadline)
      throw new Error(did_not_start("no answer", last_line(files.log, child?.log_start ?? 0), files.log));
    await delay(kPollMs);
  }
}

interface Child {
  process: ChildProcess;
  /** How it ended, once it has. */
  exit: string | undefined;
  log_start: number;
}

function start(
  program: string,
  files: { address: string; log: string },
  env: NodeJS.ProcessEnv,
  memory: boolean,
): Child {
  const log = openSync(files.log, "a", 0o600);
  try {
    const log_start = statSync(files.log).size;
    const words = ["serve", "--port", "0", "--while-leased", "--address-file", files.address];
    const child: Child = {
      process: spawn(program, memory ? [...words, "--in-memory"] : words, {
        detached: true,
        stdio: ["ignore", log, log],
        env: server_environment(env),
      }),
      exit: undefined,
      log_start,
    };
    child.process.unref();
    child.process.on("error", (error) => (child.exit = (error as NodeJS.ErrnoException).code ?? error.message));
    child.process.on("exit", (code, signal) => (child.exit = signal ?? `exit code ${code}`));
    return child;
  } finally {
    closeSync(log);
  }
}

/** A folder that only this user can read and write; other users' files cannot send us anywhere. */
function private_folder(): string {
  const { uid } = userInfo();
  const folder = join(tmpdir(), uid >= 0 ? `glia-${uid}` : "glia");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const is = lstatSync(folder);
  if (!is.isDirectory() || (uid >= 0 && (is.uid !== uid || (is.mode & 0o077) !== 0)))
    throw new Error(`${folder} must be a folder that only you can use. Remove it, or set TMPDIR`);
  return folder;
}

/** Equal for processes that can share a server: the program itself and all that it reads its settings from. */
function fingerprint(program: string, env: NodeJS.ProcessEnv, folder: string, memory: boolean): string {
  const settings = Object.entries(env).filter(
    ([name]) =>
      (/^GLIA_/.test(name) && !/^GLIA_(DEV|URL|PORT|BIN|TEST_MARK)$/.test(name)) ||
      /^XDG_/.test(name) ||
      name === "HOME",
  );
  const config = resolve(folder, "glia.toml");
  const parts = [kVersion, identity(realpathSync(program)), settings.sort(), identity(config), memory];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 24);
}

function identity(path: string): string {
  const is = statSync(path, { throwIfNoEntry: false });
  return is ? `${path} ${is.size} ${is.mtimeMs}` : "";
}

function read_address(path: string): URL | undefined {
  try {
    return new URL((JSON.parse(readFileSync(path, "utf8")) as { url: string }).url);
  } catch {
    return undefined; // not there, or not written yet
  }
}

function last_line(log: string, start: number): string {
  try {
    return readFileSync(log).subarray(start).toString("utf8").trimEnd().split("\n").at(-1)?.slice(-300) ?? "";
  } catch {
    return "";
  }
}
