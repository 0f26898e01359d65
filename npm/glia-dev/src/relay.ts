// A loopback server that the Worker's AI and Vectorize bindings are pointed at. It passes each call on to glia serve, as it comes, and answers
// itself, within a second and with what to type, while Glia cannot. So wrangler may start before Glia does, and the address
// that Miniflare was given stays right when Glia is started anew.
//
// Paths hold a random token: other local users and web pages cannot call it.
import { randomBytes } from "node:crypto";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { read_bound, type Bound } from "./bind.ts";
import type { Readiness } from "./glia/glia.ts";
import { lost_during_call, problem_of } from "./glia/messages.ts";
import type { BindingInfo, Session } from "./glia/session.ts";
import { answer_json, error_body, pass_on, read_call } from "./passage.ts";
import type { Call, Dialect } from "./tape/call.ts";
import { kNotRecorded, type Tape } from "./tape/tape.ts";

/** Internal code and status of an answer that Glia could not give; docs/errors.md, `model_unavailable`. */
const kUnavailable = { code: 7503, status: 503, name: "model_unavailable" };
const kNotServed = { code: 7501, status: 501, name: "not_served" };

/** A Glia that ends closes all its connections within this time. */
const kLostMs = 100;

/** Different notes that are printed. */
const kMostNotes = 100;

/** How long a call waits for a Glia that starts or loads. */
const kWaitMs = 800;

/** Who knows the session that calls go to. */
export interface Upstream {
  ready_within(ms: number): Promise<Readiness>;
  /** For those whose session has indexes that are not their own already. */
  own_session?(name: string): Promise<Session>;
  end_own_session?(name: string): Promise<void>;
}

export interface RelayOptions {
  glia: Upstream;
  /** A call that Glia never saw, for the terminal. */
  on_refused(model: string, problem: string): void;
  /** What Glia noted about a call of a Vectorize binding (a filter on a property without an index), for the terminal; once. */
  on_note?(text: string): void;
  /** Records, replays, shows. */
  tape?: Tape | undefined;
  on_replayed?(call: Call, status: number, type: string, body: Buffer): void;
  /** Does not keep this process alive. */
  unref?: boolean;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #token = randomBytes(18).toString("base64url");
  readonly #server: http.Server;
  /** Open terminal streams of preloads: they print our lines between their own. */
  readonly #consoles = new Set<http.ServerResponse>();
  readonly #noted = new Set<string>();

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#server = http.createServer((request, response) => this.#route(request, response));
    this.#server.on("upgrade", (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
      void this.#upgrade(request, socket, head);
    });
    this.#server.requestTimeout = 0; // a long upload is the caller's affair
  }

  /**
   * Resolves with the base URL: `<base>/bind/…` (bind.ts), `<base>/own/…` and `<base>/console` are the preload's, and what stands behind `<base>`
   * otherwise is Glia's own path (`/v1/…`, `/client/v4/…`) within our session.
   */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    if (this.#options.unref) {
      this.#server.unref();
      this.#server.on("connection", (socket) => socket.unref());
    }
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${this.#token}`;
  }

  /** Prints a line through a process that draws the terminal; false when there is none. */
  print(line: string): boolean {
    const target = this.#consoles.values().next().value;
    target?.write(`${JSON.stringify(line)}\n`);
    return target !== undefined;
  }

  #note(binding: string, note: string | string[] | undefined): void {
    const text = `env.${binding.replace("/", " (")}): ${String(note)}`;
    if (note === undefined || this.#noted.has(text) || this.#noted.size >= kMostNotes) return;
    this.#noted.add(text);
    this.#options.on_note?.(text);
  }

  close(): void {
    for (const response of this.#consoles) response.end();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #route(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = new URL(request.url ?? "/", "http://relay").pathname;
    const [, token, what, ...rest] = path.split("/");
    if (token !== this.#token) {
      response.writeHead(404).end();
    } else if (what === "console") {
      response.writeHead(200, { "content-type": "application/x-ndjson" }).flushHeaders();
      this.#consoles.add(response);
      response.on("close", () => this.#consoles.delete(response));
    } else if (what === "own" && request.method === "DELETE") {
      void this.#options.glia.end_own_session?.(rest[0] ?? "");
      response.writeHead(204).end();
    } else if (what === "bind") {
      const target = header(request, "mf-url");
      const bound = read_bound(rest[0], rest[1]);
      if (header(request, "mf-binding") === undefined || target === undefined || bound === undefined) {
        const body = error_body("binding", kNotServed, "Only calls of bindings are served here.");
        return answer_json(response, kNotServed.status, body);
      }
      // Miniflare 5 takes an unmarked 403 or redirect for a block by Cloudflare Access.
      const extra: Record<string, string> = bound.major === "5" ? { "mf-forwarded-response": "true" } : {};
      void this.#call(request, response, target, bound, extra);
    } else {
      void this.#call(request, response, request.url!.slice(token!.length + 1), undefined, {});
    }
  }

  async #call(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    target: string,
    /** Undefined for a call that is no binding's. */
    bound: Bound | undefined,
    extra: Record<string, string>,
  ): Promise<void> {
    const { glia, tape, unref = false } = this.#options;
    const binding = bound && binding_of(bound, header(request, "mf-binding")!, target);
    const dialect: Dialect = binding ? binding.dialect : /^(\/ai)?\/v1\/|\/ai\/v1\//.test(target) ? "openai" : "rest";
    const refuse = (
      problem: string,
      kind = kUnavailable,
      model = header(request, "mf-header-cf-consn-model-id"),
    ): void => {
      this.#options.on_refused(model ?? "", problem);
      answer_json(response, kind.status, error_body(dialect, kind, problem));
    };
    try {
      if (binding && binding.info === undefined) return refuse(no_index(binding.name), kNotServed);
      const seen = tape && (await read_call(request, target, binding?.info));
      if (tape && !seen) return void response.destroy();
      if (tape?.replays) {
        const played = await tape.replay(seen!.call, response, extra, (problem) =>
          refuse(problem, kNotRecorded, seen!.call.model),
        );
        if (played) this.#options.on_replayed?.(seen!.call, response.statusCode, played.type, played.body);
        return;
      }
      const ready = await glia.ready_within(kWaitMs);
      if ("problem" in ready) return refuse(ready.problem);
      const own = binding?.dialect === "vectorize" ? bound?.own : undefined;
      const session = own === undefined ? ready.session : ((await glia.own_session?.(own)) ?? ready.session);
      if (binding) await session.bind(binding.name, binding.info!);
      const to = binding ? session.url : new URL(`${session.base.href}${target}`);
      const listener = seen && tape?.listen(seen.call);
      pass_on(request, response, to, {
        unref,
        as: binding ? { "mf-binding": binding.name } : {},
        extra,
        listener,
        answered: (fields) => binding?.info?.type === "vectorize" && this.#note(binding.name, fields["x-glia-note"]),
        body: seen?.body,
        silent: () => refuse(problem_of({ kind: "silent" }, new URL(to.origin))),
        // The connection broke without an answer: as a fault that is rehearsed, or because Glia ended.
        lost: () => {
          const alive = delay(kLostMs, true, { ref: false });
          void Promise.race([session.ended.then(() => false), alive]).then((is_alive) =>
            is_alive ? response.destroy() : refuse(lost_during_call()),
          );
        },
      });
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * A run with `options.websocket`, or the WebSocket on which Miniflare calls methods like aiSearch() by RPC (Miniflare 4 opens
   * one for every request): Glia decides, and the bytes go through as they come.
   */
  async #upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => {});
    const url = new URL(request.url ?? "/", "http://relay");
    const [, token, what] = url.pathname.split("/");
    const binding = header(request, "mf-binding") ?? url.searchParams.get("MF-Binding");
    if (token !== this.#token || what !== "bind" || binding === null) {
      socket.destroy();
      return;
    }
    try {
      const ready = await this.#options.glia.ready_within(kWaitMs);
      if ("problem" in ready) return refuse_upgrade(socket, ready.problem);
      pass_upgrade_on(new URL(url.search, ready.session.url), request, socket, head);
    } catch (error) {
      refuse_upgrade(socket, error instanceof Error ? error.message : String(error));
    }
  }
}

function pass_upgrade_on(url: URL, request: http.IncomingMessage, socket: Duplex, head: Buffer): void {
  const { host: _, ...headers } = request.headers;
  const upstream = http.request(url, { headers, agent: false });
  const answer = (from: http.IncomingMessage, fields: http.IncomingHttpHeaders): void => {
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    socket.write(`HTTP/1.1 ${from.statusCode} ${from.statusMessage}\r\n${lines.join("")}\r\n`);
  };
  upstream.on("upgrade", (from, other, first) => {
    answer(from, from.headers);
    socket.write(first);
    other.write(head);
    other.on("error", () => socket.destroy());
    other.on("close", () => socket.end());
    socket.on("close", () => other.destroy());
    socket.pipe(other).pipe(socket);
  });
  // Not upgraded: a plain answer, and the connection with it.
  upstream.on("response", (from) => {
    const { "transfer-encoding": __, ...back } = from.headers;
    answer(from, { ...back, connection: "close" });
    from.pipe(socket);
  });
  upstream.on("error", () => refuse_upgrade(socket, lost_during_call()));
  socket.on("close", () => upstream.destroy());
  upstream.end();
}

function header(request: http.IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

interface NamedBinding {
  dialect: Dialect;
  /** By which the session knows it: one name of two Workers may stand for two indexes. */
  name: string;
  /** Undefined when it stands for nothing that we know. */
  info: BindingInfo | undefined;
}

function binding_of({ indexes }: Bound, name: string, target: string): NamedBinding {
  if (!/^https?:\/\/vector-search(?:[:/]|$)/.test(target)) return { dialect: "binding", name, info: { type: "ai" } };
  const index = Object.hasOwn(indexes, name) ? indexes[name] : undefined;
  if (index === undefined) return { dialect: "vectorize", name, info: undefined };
  return { dialect: "vectorize", name: `${name}/${index}`, info: { type: "vectorize", index_name: index } };
}

function no_index(binding: string): string {
  return (
    `No Vectorize index is known for env.${binding}. In a test: glia.miniflareOptions("AI", { ${binding}: "<index>" }), ` +
    `in wrangler.jsonc: "vectorize": [{ "binding": "${binding}", "index_name": "<index>" }]`
  );
}

/** A plain answer settles an upgrade: the Worker gets it as the Response of its run. */
function refuse_upgrade(socket: Duplex, text: string): void {
  const body = error_body("binding", kUnavailable, text);
  socket.end(
    `HTTP/1.1 ${kUnavailable.status} Service Unavailable\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
