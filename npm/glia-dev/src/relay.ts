// A loopback server that the Worker's env.AI is pointed at. It passes each call on to glia serve, as it comes, and answers
// itself, within a second and with what to type, while Glia cannot. So wrangler may start before Glia does, and the address
// that Miniflare was given stays right when Glia is started anew.
//
// Paths hold a random token: other local users and web pages cannot call it.
import { randomBytes } from "node:crypto";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Glia } from "./glia/glia.ts";
import { lost_during_call } from "./glia/messages.ts";
import type { BindingInfo, Session } from "./glia/session.ts";

/** Internal code and status of an answer that Glia could not give; docs/errors.md, `model_unavailable`. */
const kUnavailable = { code: 7503, status: 503 };
const kNotServed = { code: 7501, status: 501 };

/** How long a call waits for a Glia that starts or loads. */
const kWaitMs = 800;

export interface RelayOptions {
  glia: Glia;
  /** A call that Glia never saw, for the terminal. */
  on_refused(model: string, problem: string): void;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #token = randomBytes(18).toString("base64url");
  readonly #server: http.Server;
  /** Open terminal streams of preloads: they print our lines between their own. */
  readonly #consoles = new Set<http.ServerResponse>();

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#server = http.createServer((request, response) => this.#route(request, response));
    this.#server.on("upgrade", (request: http.IncomingMessage, socket: Duplex) => refuse_upgrade(request, socket));
    this.#server.requestTimeout = 0; // a long upload is the caller's affair
  }

  /** Resolves with the base URL that the preload gets: `<base>/bind/<miniflare major>` and `<base>/console`. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => this.#server.once("error", reject).listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${this.#token}`;
  }

  /** Prints a line through a process that draws the terminal; false when there is none. */
  print(line: string): boolean {
    const target = this.#consoles.values().next().value;
    target?.write(`${JSON.stringify(line)}\n`);
    return target !== undefined;
  }

  close(): void {
    for (const response of this.#consoles) response.end();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #route(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = new URL(request.url ?? "/", "http://relay").pathname;
    const [, token, what, major] = path.split("/");
    if (token !== this.#token) {
      response.writeHead(404).end();
    } else if (what === "console") {
      response.writeHead(200, { "content-type": "application/x-ndjson" }).flushHeaders();
      this.#consoles.add(response);
      response.on("close", () => this.#consoles.delete(response));
    } else if (what === "bind") {
      void this.#call(request, response, major ?? "");
    } else {
      response.writeHead(404).end();
    }
  }

  async #call(request: http.IncomingMessage, response: http.ServerResponse, major: string): Promise<void> {
    const model = header(request, "mf-header-cf-consn-model-id") ?? "";
    const refuse = (problem: string): void => {
      this.#options.on_refused(model, problem);
      answer_error(response, kUnavailable, problem);
    };
    const binding = header(request, "mf-binding");
    const target = header(request, "mf-url");
    if (binding === undefined || target === undefined)
      return answer_error(response, kNotServed, "Only calls of bindings are served here.");
    try {
      const ready = await this.#options.glia.ready_within(kWaitMs);
      if ("problem" in ready) return refuse(ready.problem);
      const session = await this.#options.glia.session_for(ready.session, binding, binding_info(target));
      this.#pass_on(request, response, session, major, refuse);
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    }
  }

  #pass_on(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    session: Session,
    major: string,
    refuse: (problem: string) => void,
  ): void {
    const { host: _, connection: __, ...headers } = request.headers;
    // A fresh connection each: a kept one that Glia just closed would fail a call for nothing.
    const upstream = http.request(session.url, { method: request.method, headers, agent: false });
    upstream.setNoDelay(true);
    upstream.on("response", (from) => {
      const { connection: ___, "keep-alive": ____, ...back } = from.headers;
      // Miniflare 5 takes an unmarked 403 or redirect for a block by Cloudflare Access.
      if (major === "5") back["mf-forwarded-response"] = "true";
      response.writeHead(from.statusCode ?? 502, back);
      response.flushHeaders();
      from.pipe(response);
      // A cut answer must not look like a whole one.
      from.on("aborted", () => response.destroy());
      from.on("error", () => response.destroy());
    });
    upstream.on("error", () => {
      if (response.destroyed) return;
      if (response.headersSent) response.destroy();
      else refuse(lost_during_call());
    });
    // The Worker cancelled, or its client left: so does the run.
    response.on("close", () => {
      if (!response.writableFinished) upstream.destroy();
    });
    request.on("error", () => upstream.destroy());
    request.pipe(upstream);
  }
}

function header(request: http.IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function binding_info(target: string): BindingInfo {
  return { type: /^https?:\/\/vector-search\b/.test(target) ? "vectorize" : "ai" };
}

/** The body that workerd's Ai class turns into `InferenceUpstreamError("<code>: <description>")`. */
function answer_error(response: http.ServerResponse, kind: { code: number; status: number }, text: string): void {
  if (response.destroyed) return;
  const body = JSON.stringify({
    internalCode: kind.code,
    message: text,
    name: "AiError",
    description: text,
  });
  response
    .writeHead(kind.status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
    .end(body);
}

/**
 * Miniflare 4 first tries a WebSocket on every binding, which a plain answer settles. A run with `options.websocket` is told
 * that it is not served.
 */
function refuse_upgrade(request: http.IncomingMessage, socket: Duplex): void {
  const run = header(request, "mf-url") !== undefined;
  const text = "WebSocket runs (options.websocket) are not served by Glia yet.";
  const body = run
    ? JSON.stringify({
        internalCode: kNotServed.code,
        message: text,
        name: "AiError",
        description: text,
      })
    : "";
  const status = run ? `${kNotServed.status} Not Implemented` : "426 Upgrade Required";
  socket.on("error", () => {});
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
