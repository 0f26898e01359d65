// One session at glia serve: the URL that binding calls go to, and the events stream whose open connection is a lease.
import { setTimeout as delay } from "node:timers/promises";

/** A finished call, as the server reports it. */
export interface CallEvent {
  model: string;
  weights?: string | null;
  stand_in?: boolean;
  status: "ok" | "error" | "cancelled";
  code?: number | null;
  message?: string | null;
  first_token_ms?: number | null;
  tokens_per_s?: number | null;
  prompt_tokens?: number | null;
  completion_tokens?: number | null;
  neurons?: number | null;
  total_ms?: number | null;
}

export interface BindingInfo {
  type: "ai" | "vectorize";
}

/** What a session asks of the server, as docs/protocol-internal.md has it. */
export interface SessionOptions {
  /** Instead of the server's own. */
  plan?: "paid" | "free";
  /** The service's requests a minute. */
  rate_limits?: boolean;
}

export interface Session {
  id: string;
  /** Where calls of these bindings are sent. */
  url: URL;
  bindings: ReadonlySet<string>;
  /** Resolves when the server has gone or close() was called. */
  ended: Promise<void>;
  /** Gives the lease back. */
  close(): Promise<void>;
}

const kOpenWithinMs = 3000;
const kCloseWithinMs = 500;

/** Registers and holds the events stream. Throws when the server does not answer as documented. */
export async function open_session(
  server: URL,
  project: string,
  bindings: ReadonlyMap<string, BindingInfo>,
  options: SessionOptions,
  on_call: (event: CallEvent) => void,
): Promise<Session> {
  const registered = await fetch(new URL("/glia/v1/sessions", server), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ account: "local", project, bindings: Object.fromEntries(bindings), ...options }),
    signal: AbortSignal.timeout(kOpenWithinMs),
  });
  if (!registered.ok) throw new Error(`POST /glia/v1/sessions answered ${registered.status}`);
  const { session: id, url } = (await registered.json()) as { session: string; url: string };
  const own = new URL(`/glia/v1/sessions/${encodeURIComponent(id)}`, server);

  const gone = new AbortController();
  const opening = setTimeout(() => gone.abort(), kOpenWithinMs);
  const events = await fetch(`${own.href}/events`, { signal: gone.signal }).finally(() => clearTimeout(opening));
  if (!events.ok || !events.body) throw new Error(`GET /glia/v1/sessions/<id>/events answered ${events.status}`);
  const ended = read_events(events.body, on_call);

  return {
    id,
    url: new URL(url),
    bindings: new Set(bindings.keys()),
    ended,
    async close() {
      await Promise.race([
        fetch(own, { method: "DELETE", signal: AbortSignal.timeout(kCloseWithinMs) }).catch(() => undefined),
        delay(kCloseWithinMs),
      ]);
      gone.abort();
      await ended;
    },
  };
}

/** Resolves, never rejects, when the stream has ended however that came. */
async function read_events(body: ReadableStream<Uint8Array>, on_call: (event: CallEvent) => void): Promise<void> {
  const decoder = new TextDecoder();
  let pending = "";
  try {
    for await (const chunk of body) {
      pending += decoder.decode(chunk, { stream: true });
      const lines = pending.split("\n");
      pending = lines.pop()!;
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        try {
          on_call(JSON.parse(line.slice("data:".length)) as CallEvent);
        } catch {
          // One event that is not JSON must not end the lease.
        }
      }
    }
  } catch {
    // The server went away, or close() was called.
  }
}
