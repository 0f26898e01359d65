// What of wrangler's own output and start-up is changed, in the process that runs wrangler's code (4.86 to 4.164 tried).
//
// wrangler writes a message, a table row included, with one write to stdout or stderr; so a message is one string here and
// the terminal stays a terminal: colours, hotkeys and widths are wrangler's own.
import fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ReadStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";
import type { Handover } from "../handover.ts";
import { TableOnce } from "./wrangler_table.ts";

/** "AI bindings always access remote resources, and so may incur usage charges…", false here; and its sisters. */
const kUntrueWarning =
  /^\W*\[WARNING\]\s+(AI|Vectorize(?: Index)?) bindings (always access remote resources|do not support local development)/;

/** Not so either: glia-dev switches metrics off unless the user set WRANGLER_SEND_METRICS. */
const kTelemetryNotice = /^\s*Cloudflare collects anonymous telemetry about your usage of Wrangler/;

/** A row of the bindings table for a binding of ours whose mode column says what is not so here. */
const kTableRow = /^env\.\S+ .*\b(AI|Vectorize Index)\s+(not supported|remote)\s*$/;
const kModeAtEnd = /(?:\x1b\[[\d;]*m)*(?:not supported|remote)(?:\x1b\[[\d;]*m)*(\s*)$/;

/** wrangler's blue `local`, where it wrote in colour. */
function mode(label: string, coloured: boolean): string {
  return coloured ? `\x1b[34mlocal\x1b[39m \x1b[2m(${label})\x1b[22m` : `local (${label})`;
}

/** One written message, as it shall appear; empty to drop it. */
export function filter_message(message: string, label: string): string {
  const plain = stripVTControlCharacters(message);
  if (kUntrueWarning.test(plain)) return "";
  if (kTelemetryNotice.test(plain) && process.env.WRANGLER_SEND_METRICS === "false") return "";
  const row = kTableRow.exec(plain);
  if (row) {
    const said = row[1] === "AI" ? label : "glia"; // the weights are those of the models
    return message.replace(kModeAtEnd, (_, end: string) => mode(said, message !== plain) + end);
  }
  return message;
}

function filter_stream(stream: NodeJS.WriteStream, label: string): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const table = new TableOnce((message) => void write(message));
  stream.write = ((chunk: unknown, ...rest: unknown[]): boolean => {
    if (typeof chunk !== "string") return write(chunk, ...rest);
    const kept = /env\.|WARNING|telemetry/.test(chunk) ? filter_message(chunk, label) : chunk;
    if (kept !== "" && !table.takes(kept)) return write(kept, ...rest);
    const done = rest.find((argument) => typeof argument === "function") as (() => void) | undefined;
    if (done) process.nextTick(done);
    return true;
  }) as typeof stream.write;
}

/**
 * wrangler asks a package registry for its newest version unless a file in the temporary folder, an hour old at most, names
 * one. It is told that nothing is newer; the file itself is not touched.
 */
function settle_update_check(): void {
  const file = join(tmpdir(), "update-check", "wrangler-latest.json");
  const content = (): string => JSON.stringify({ latest: "0.0.0", lastUpdate: Date.now() });
  const { existsSync, readFile } = fs;
  const read_promise = fs.promises.readFile;
  fs.existsSync = (path) => path === file || existsSync(path);
  fs.readFile = ((path: unknown, ...rest: unknown[]) => {
    if (path !== file) return (readFile as (...all: unknown[]) => void)(path, ...rest);
    const done = rest.at(-1) as (error: null, data: string) => void;
    process.nextTick(done, null, content());
  }) as typeof fs.readFile;
  fs.promises.readFile = (async (path: unknown, ...rest: unknown[]) =>
    path === file
      ? content()
      : (read_promise as (...all: unknown[]) => unknown)(path, ...rest)) as typeof fs.promises.readFile;
}

/**
 * With hotkeys on, the terminal is in raw mode: Ctrl-C is a key, wrangler ends as for `x`, with status 0. A program ended by
 * Ctrl-C exits with 130.
 */
function exit_130_on_ctrl_c(): void {
  let interrupted = false;
  const watched = new WeakSet<ReadStream>();
  const set_raw_mode = ReadStream.prototype.setRawMode;
  ReadStream.prototype.setRawMode = function (this: ReadStream, raw: boolean) {
    if (raw && !watched.has(this)) {
      watched.add(this);
      this.on("data", (data: Buffer | string) => {
        if (this.isRaw && data.includes("\x03")) interrupted = true;
      });
    }
    return set_raw_mode.call(this, raw);
  };
  process.on("exit", () => {
    if (interrupted) process.exitCode = 130;
  });
}

/** True when `filename` is wrangler's bundle. */
export function is_wrangler(filename: string): boolean {
  return (
    /[\\/]wrangler-dist[\\/]cli\.js$/.test(filename) && fs.existsSync(join(dirname(dirname(filename)), "package.json"))
  );
}

/** Types of bindings that are answered here. */
const kOurs: ReadonlySet<string> = new Set(["ai", "vectorize"]);

/**
 * wrangler opens a session at Cloudflare for bindings that it deems remote: AI always, Vectorize with `remote: true`, and with several Workers in one
 * `wrangler dev --local` for all but the first Worker. What is answered here needs none. `everything`: no binding is remote.
 */
function bindings_that_stay_remote(
  bindings: Record<string, { type: string }> | undefined,
  everything: boolean,
): Record<string, { type: string }> {
  if (everything) return {};
  return Object.fromEntries(Object.entries(bindings ?? {}).filter(([, binding]) => !kOurs.has(binding.type)));
}

const kPickRemoteBindings = /(\nfunction pickRemoteBindings\((\w+)\) \{\n)/;
const kHook: unique symbol = Symbol.for("glia-dev.remote-bindings");

/** wrangler's bundle with its choice of remote bindings asking us first. */
export function patch_wrangler(source: string): string {
  return source.replace(
    kPickRemoteBindings,
    (whole, _, argument: string) =>
      `${whole}  ${argument} = globalThis[Symbol.for("${kHook.description}")](${argument});\n`,
  );
}

/** Called once, before wrangler's code runs. */
export function prepare_wrangler(handover: Handover): void {
  filter_stream(process.stdout, handover.label);
  filter_stream(process.stderr, handover.label);
  settle_update_check();
  exit_130_on_ctrl_c();
  const hooks = globalThis as { [kHook]?: (bindings: Record<string, { type: string }> | undefined) => object };
  hooks[kHook] = (bindings) => bindings_that_stay_remote(bindings, handover.local_only);
}
