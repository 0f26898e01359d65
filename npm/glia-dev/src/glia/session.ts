// One session at glia serve: the URL that binding calls go to, and the events stream whose open connection is a lease.
import * as http from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { WireFault } from "../faults.ts";

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
  /** The fault that the session asked for and this call met: "3040", "empty", "slow", "cut". */
  fault?: string | null;
}

export type BindingInfo = { type: "ai" } | { type: "vectorize"; index_name: string };

/** What a session asks of the server, as docs/protocol-internal.md has it. */
export interface SessionOptions {
  /** Instead of the server's own. */
  plan?: "paid" | "free";
  /** The service's requests a minute. */
  rate_limits?: boolean;
  /** Whom calls are charged to; "local" when it is not said. */
  account?: string;
  /** For requests that give none. */
  seed?: number;
  faults?: readonly WireFault[];
  /** "own": its Vectorize indexes are seen by nobody else and end with it. Otherwise they are the account's. */
  vectors?: "account" | "own";
  /** Keep a list of the calls, for those who ask. */
  list_calls?: boolean;
}

export interface Session {
  id: string;
  /** Where calls of these bindings are sent. */
  url: URL;
  /** In front of the path of any other dialect. */
  base: URL;
  /** Where the session itself is asked about and changed. */
  own: URL;
  /** Resolves once the server knows what the name of a binding stands for. Rejects when it does not take it. */
  bind(name: string, info: BindingInfo): Promise<void>;
  /** Resolves when the server has gone or close() was called. */
  ended: Promise<void>;
  /** Gives the lease back. */
  close(): Promise<void>;
}

const kOpenWithinMs = 3000;
const kCloseWithinMs = 500;

/** Registers and holds the events stream. Throws when the server does not answer as documented, or refuses the options. */
export async function open_session(
  server: URL,
  project: string,
  options: SessionOptions,
  on_call: (event: CallEvent) => void,
  /** Does not keep this process alive. */
  unref = false,
): Promise<Session> {
  const registered = await fetch(new URL("/glia/v1/sessions", server), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ account: "local", project, bindings: { AI: { type: "ai" } }, ...options }),
    signal: AbortSignal.timeout(kOpenWithinMs),
  });
  if (!registered.ok) throw new Error(await refusal_of(registered, "POST /glia/v1/sessions"));
  const { session: id, url } = (await registered.json()) as { session: string; url: string };
  const own = new URL(`/glia/v1/sessions/${encodeURIComponent(id)}`, server);
  const events = await open_events(new URL(`${own.href}/events`), unref);
  const ended = read_events(events, on_call);
  const bound = new Map<string, Promise<void>>([["AI", Promise.resolve()]]);

  return {
    id,
    url: new URL(url),
    base: new URL(`/s/${encodeURIComponent(id)}`, server),
    own,
    bind(name, info) {
      const known = bound.get(name);
      if (known) return known;
      const binding = put_binding(own, name, info);
      bound.set(name, binding);
      binding.catch(() => bound.delete(name));
      return binding;
    },
    ended,
    async close() {
      await Promise.race([
        fetch(own, { method: "DELETE", signal: AbortSignal.timeout(kCloseWithinMs) }).catch(() => undefined),
        delay(kCloseWithinMs, undefined, { ref: false }),
      ]);
      events.destroy();
      await ended;
    },
  };
}

async function put_binding(session: URL, name: string, info: BindingInfo): Promise<void> {
  const answer = await fetch(`${session.href}/bindings`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ bindings: { [name]: info } }),
    signal: AbortSignal.timeout(kOpenWithinMs),
  });
  if (!answer.ok) throw new Error(await refusal_of(answer, "PUT /glia/v1/sessions/<id>/bindings"));
}

/** What a server of ours says about a request that it does not take. */
export async function refusal_of(response: Response, request: string): Promise<string> {
  const body = (await response.json().catch(() => undefined)) as { error?: { message?: string } } | undefined;
  return body?.error?.message ?? `${request} answered ${response.status}`;
}

/** A connection of its own: fetch's would keep the process alive. */
function open_events(url: URL, unref: boolean): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false, timeout: kOpenWithinMs }, (response) => {
      request.setTimeout(0);
      if (response.statusCode !== 200) {
        response.destroy();
        reject(new Error(`GET /glia/v1/sessions/<id>/events answered ${response.statusCode}`));
        return;
      }
      if (unref) response.socket.unref();
      resolve(response);
    });
    request.on("timeout", () => request.destroy(new Error("the events of the session do not begin")));
    request.on("error", reject);
  });
}

/** Resolves, never rejects, when the stream has ended however that came. */
function read_events(events: http.IncomingMessage, on_call: (event: CallEvent) => void): Promise<void> {
  let pending = "";
  events.setEncoding("utf8");
  events.on("data", (chunk: string) => {
    const lines = (pending + chunk).split("\n");
    pending = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      try {
        on_call(JSON.parse(line.slice("data:".length)) as CallEvent);
      } catch {
        // One event that is not JSON must not end the lease.
      }
    }
  });
  events.on("error", () => {}); // the server went away, or close() was called
  return new Promise((resolve) => events.on("close", () => resolve()));
}
