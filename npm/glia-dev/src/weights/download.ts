// A file from a URL, resumed where an earlier try was cut off.
import { createHash } from "node:crypto";
import { open, rm, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

export interface DownloadOptions {
  url: URL;
  headers: Record<string, string>;
  /** Bytes so far, and in all where the server says. */
  on_progress(bytes: number, total: number | undefined): void;
  /** For tests; the wait before a new try, doubled each time. */
  retry_ms?: number;
}

const kTries = 5;
const kSilentMs = 30_000;

/** A server's answer that a new try would not change. */
class Refused extends Error {}

/** The name of the unfinished file: one for each URL, so that nothing is appended to another's bytes. */
export function partial_name(file: string, url: URL): string {
  const mark = createHash("sha256").update(url.href).digest("hex").slice(0, 8);
  return `.${file}.${mark}.partial`;
}

/**
 * Fetches into `partial`, which stays when it fails and is continued the next time. Tries again while the connection breaks.
 * The caller checks what came and has this file for itself.
 */
export async function download(partial: string, options: DownloadOptions): Promise<void> {
  let tries_without_progress = 0;
  for (;;) {
    const before = await size_of(partial);
    try {
      return await attempt(partial, before, options);
    } catch (error) {
      if (error instanceof Refused) throw error;
      tries_without_progress = (await size_of(partial)) > before ? 1 : tries_without_progress + 1;
      if (tries_without_progress >= kTries || is_lookup_failure(error)) throw error;
      await delay((options.retry_ms ?? 500) * 2 ** (tries_without_progress - 1));
    }
  }
}

async function attempt(partial: string, have: number, options: DownloadOptions): Promise<void> {
  const stop = new AbortController();
  let watchdog: NodeJS.Timeout | undefined;
  const alive = (): void => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => stop.abort(new Error(`no byte came for ${kSilentMs / 1000} s`)), kSilentMs);
  };
  alive();
  try {
    const headers = { ...options.headers, ...(have > 0 ? { range: `bytes=${have}-` } : {}) };
    const response = await fetch(options.url, { headers, signal: stop.signal });
    if (response.status === 416) {
      await response.body?.cancel();
      if (response.headers.get("content-range") === `bytes */${have}`) return;
      await rm(partial, { force: true });
      throw new Error("the file has changed at its source");
    }
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      const problem = `${options.url.host} answered ${response.status}`;
      throw response.status >= 500 || response.status === 429 ? new Error(problem) : new Refused(problem);
    }
    const from = response.status === 206 ? have : 0;
    const length = response.headers.get("content-length");
    const total = length === null ? undefined : from + Number(length);
    await append(partial, from, response.body, (bytes) => {
      alive();
      options.on_progress(bytes, total);
    });
    if (total !== undefined && (await size_of(partial)) < total) throw new Error("the connection was cut");
  } finally {
    clearTimeout(watchdog);
  }
}

async function append(
  partial: string,
  from: number,
  body: ReadableStream<Uint8Array>,
  on_bytes: (bytes: number) => void,
): Promise<void> {
  const file = await open(partial, from > 0 ? "r+" : "w");
  try {
    let position = from;
    on_bytes(position);
    for await (const chunk of body) {
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position);
        done += bytesWritten;
        position += bytesWritten;
      }
      on_bytes(position);
    }
    await file.truncate(position);
  } finally {
    await file.close();
  }
}

async function size_of(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

function is_lookup_failure(error: unknown): boolean {
  const code = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOTFOUND" || code === "ECONNREFUSED" || code === "ENETUNREACH" || code === "EAI_AGAIN";
}
