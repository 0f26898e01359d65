// Loaded first in every Node process that glia-dev starts (NODE_OPTIONS=--import). Watches for wrangler and Miniflare being
// loaded, by require or by import, and points each Miniflare instance's AI and Vectorize at the relay. Other processes are left as they are.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import * as http from "node:http";
import Module from "node:module";
import { dirname, join, sep } from "node:path";
import { adapter_for, type Bind } from "./adapters/miniflare.ts";
import { watch_for_vite_plugin } from "./adapters/vite_plugin.ts";
import { bind_path } from "./bind.ts";
import { is_wrangler, patch_wrangler, prepare_wrangler } from "./adapters/wrangler.ts";
import { read_handover, type Handover } from "./handover.ts";

type LoadedModule = NodeJS.Module & { _compile(source: string, filename: string, format?: string): unknown };
type Loader = (module: LoadedModule, filename: string) => void;
type MiniflareClass = new (options: unknown) => {
  setOptions(options: unknown): Promise<void>;
  dispose(): Promise<void>;
};

/** The version when `filename` is the main file of the package miniflare. */
function miniflare_version(filename: string): string | undefined {
  if (!filename.includes(`${sep}miniflare${sep}`) || !filename.endsWith(".js")) return undefined;
  for (let at = dirname(filename); at !== dirname(at) && at.includes("miniflare"); at = dirname(at)) {
    let manifest: { name?: string; version?: string; main?: string };
    try {
      manifest = JSON.parse(readFileSync(join(at, "package.json"), "utf8")) as typeof manifest;
    } catch {
      continue;
    }
    if (manifest.name !== "miniflare") return undefined;
    return join(at, manifest.main ?? "index.js") === filename ? manifest.version : undefined;
  }
  return undefined;
}

/** The package's exports with a Miniflare whose options are rewritten on construction and on every reload. */
function pointed_exports(exports: object, version: string, handover: Handover, on_use: () => void): object {
  const { major, point_at_glia } = adapter_for(version);
  const Original = (exports as { Miniflare: MiniflareClass }).Miniflare;
  class Miniflare extends Original {
    readonly #bind: Bind;
    readonly #own: string | undefined;
    constructor(options: unknown) {
      const own = handover.own_indexes && is_test_run() ? randomUUID() : undefined;
      const bind: Bind = (indexes) => new URL(`${handover.relay}/${bind_path({ major: String(major), indexes, own })}`);
      super(point_at_glia(options, bind));
      this.#bind = bind;
      this.#own = own;
      on_use();
    }
    override setOptions(options: unknown): Promise<void> {
      return super.setOptions(point_at_glia(options, this.#bind));
    }
    override async dispose(): Promise<void> {
      await super.dispose();
      if (this.#own === undefined) return;
      await fetch(`${handover.relay}/own/${this.#own}`, { method: "DELETE" }).catch(() => undefined);
    }
  }
  return new Proxy(exports, { get: (target, name) => (name === "Miniflare" ? Miniflare : Reflect.get(target, name)) });
}

/** In a test runner each Miniflare has storage of its own, and so has its Vectorize. */
function is_test_run(): boolean {
  const { VITEST, JEST_WORKER_ID, NODE_TEST_CONTEXT } = process.env;
  return VITEST !== undefined || JEST_WORKER_ID !== undefined || NODE_TEST_CONTEXT !== undefined;
}

/** Prints glia-dev's lines between this process's own; ends this process when glia-dev itself has gone. */
function join_console(handover: Handover): void {
  const request = http.get(`${handover.relay}/console`, { agent: false }, (response) => {
    response.socket.unref();
    let pending = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      const lines = (pending + chunk).split("\n");
      pending = lines.pop()!;
      for (const line of lines) console.error(JSON.parse(line) as string);
    });
    response.on("aborted", () => process.kill(process.pid, "SIGTERM"));
    response.on("error", () => {});
  });
  request.on("socket", (socket) => socket.unref());
  request.on("error", () => {});
}

function install(handover: Handover): void {
  let wrangler_prepared = false;
  let console_joined = false;
  const extensions = (Module as unknown as { _extensions: Record<string, Loader> })._extensions;
  const load = extensions[".js"]!;
  extensions[".js"] = (module, filename) => {
    if (is_wrangler(filename)) {
      if (!wrangler_prepared) prepare_wrangler(handover);
      wrangler_prepared = true;
      const compile = module._compile;
      module._compile = (source, ...rest) => compile.call(module, patch_wrangler(source), ...rest);
    }
    const version = miniflare_version(filename);
    load(module, filename);
    if (version === undefined) return;
    module.exports = pointed_exports(module.exports as object, version, handover, () => {
      if (console_joined) return;
      console_joined = true;
      join_console(handover);
    });
  };
}

const handover = read_handover(process.env);
if (handover !== undefined) {
  install(handover);
  watch_for_vite_plugin();
}
