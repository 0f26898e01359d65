// One HTTP call on its way through us: on to Glia as it comes, or, when something is recorded, replayed or shown, looked at.
import * as http from "node:http";
import { when_silent } from "./glia/liveness.ts";
import type { BindingInfo } from "./glia/session.ts";
import { identify, type Call, type Dialect } from "./tape/call.ts";
import type { Listener } from "./tape/tape.ts";

/** The largest body that is looked at; Glia takes no larger one. */
const kMostBodyBytes = 64 << 20;

export interface Onward {
  /** Do not keep this process alive. */
  unref: boolean;
  /** In place of the request's own headers. */
  as?: Record<string, string>;
  /** For every answer. */
  extra: Record<string, string>;
  listener?: Listener | undefined;
  /** The whole body, where it was read already. */
  body?: Buffer | undefined;
  /** The head of the answer is there. */
  answered?(fields: http.IncomingHttpHeaders): void;
  /** Glia went away before it answered. */
  lost(): void;
  /** Glia is there, but hangs. */
  silent(): void;
}

export function pass_on(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  target: URL,
  { unref, as, extra, listener, answered, body, lost, silent }: Onward,
): void {
  const { host: _, connection: __, ...given } = request.headers;
  const headers: http.IncomingHttpHeaders = { ...given, ...as };
  if (body !== undefined) {
    delete headers["transfer-encoding"];
    headers["content-length"] = String(body.length);
  }
  // A fresh connection each: a kept one that Glia just closed would fail a call for nothing.
  const upstream = http.request(target, { method: request.method, headers, agent: false });
  upstream.setNoDelay(true);
  if (unref) upstream.on("socket", (socket) => socket.unref());
  upstream.on("response", (from) => {
    const { connection: ___, "keep-alive": ____, ...back } = from.headers;
    answered?.(from.headers);
    listener?.head(from.statusCode ?? 502, from.headers);
    response.writeHead(from.statusCode ?? 502, { ...back, ...extra });
    response.flushHeaders();
    if (listener) from.on("data", (chunk: Buffer) => listener.piece(chunk));
    from.pipe(response);
    from.on("end", () => listener?.end(false));
    // A cut answer must not look like a whole one.
    from.on("aborted", () => {
      if (!response.destroyed) listener?.end(true);
      response.destroy();
    });
    from.on("error", () => response.destroy());
  });
  upstream.on("error", () => {
    if (response.destroyed || response.writableEnded) return;
    if (response.headersSent) response.destroy();
    else lost();
  });
  const stop_watching = when_silent(target, () => {
    if (response.headersSent) response.destroy();
    else silent();
    upstream.destroy();
  });
  response.on("close", stop_watching);
  // The client cancelled, or left: so does the run.
  response.on("close", () => {
    if (!response.writableFinished) upstream.destroy();
  });
  if (body !== undefined) {
    upstream.end(body);
    return;
  }
  request.on("error", () => upstream.destroy());
  request.pipe(upstream);
}

/** Reads a call whole and says what it is; undefined when the client left or sends more than anyone takes. */
export async function read_call(
  request: http.IncomingMessage,
  target: string,
  binding: BindingInfo | undefined,
): Promise<{ call: Call; body: Buffer } | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += (chunk as Buffer).length;
      if (size > kMostBodyBytes) return undefined;
      chunks.push(chunk as Buffer);
    }
  } catch {
    return undefined;
  }
  const body = Buffer.concat(chunks);
  const index = binding?.type === "vectorize" ? binding.index_name : undefined;
  return { call: identify({ method: request.method ?? "GET", target, headers: request.headers, body, index }), body };
}

/** An error in a dialect's own shape. */
export function error_body(dialect: Dialect, kind: { code: number; name: string }, text: string): string {
  switch (dialect) {
    case "binding": // what workerd's Ai class turns into `InferenceUpstreamError("<code>: <description>")`
      return JSON.stringify({ internalCode: kind.code, message: text, name: "AiError", description: text });
    case "vectorize": // and of its Vectorize class: "VECTOR_QUERY_ERROR (code = <code>): <error>"
      return JSON.stringify({ code: kind.code, error: text });
    case "rest":
      return JSON.stringify({
        result: null,
        success: false,
        errors: [{ code: kind.code, message: text }],
        messages: [],
      });
    case "openai":
      return JSON.stringify({ error: { message: text, type: "invalid_request_error", param: null, code: kind.name } });
  }
}

export function answer_json(response: http.ServerResponse, status: number, body: string): void {
  if (response.destroyed || response.headersSent) return;
  response
    .writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
    .end(body);
}
