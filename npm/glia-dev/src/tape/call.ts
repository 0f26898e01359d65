// What a call is, whatever way it came: its dialect, model and inputs, and a key that is equal for equal calls.
//
// The key is a hash: nothing of a prompt can be read from it. Not part of it: the account, credentials and every other
// header, the order of JSON keys, the boundary of a form, the version that workerd's class puts into its address.
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

export type Dialect = "binding" | "vectorize" | "rest" | "openai";

export interface Call {
  dialect: Dialect;
  method: string;
  /** Without host, account and model: `/run`, `/client/v4/accounts/:account/ai/run`, `/v1/chat/completions`, `/docs/query` of an index. */
  route: string;
  /** As the client wrote it; empty where there is none. */
  model: string;
  /** Parsed, where the body is JSON. */
  body: unknown;
  key: string;
}

export interface RawCall {
  method: string;
  /** Path and query as it reached us, behind our own prefix. */
  target: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Which index a Vectorize binding stands for. */
  index?: string | undefined;
}

export function identify(raw: RawCall): Call {
  const forwarded = text(raw.headers["mf-url"]);
  const url = new URL(forwarded ?? raw.target, "http://glia");
  const type = text(raw.headers[forwarded === undefined ? "content-type" : "mf-header-content-type"]) ?? "";
  const body = json_of(raw.body);
  const place = forwarded === undefined ? place_of(url.pathname, body) : binding_place(url.pathname, raw);
  const query = [...url.searchParams].filter(([name]) => name !== "version" && name !== "MF-Binding").sort();
  const method = raw.method;
  const content = body === undefined ? hash(without_boundary(raw.body, type)) : canonical(body);
  const key = hash(JSON.stringify([place.dialect, method, place.route, place.model, query, content]));
  return { ...place, method, body, key };
}

type Place = Pick<Call, "dialect" | "route" | "model">;

function binding_place(path: string, { headers, index }: RawCall): Place {
  if (index !== undefined) return { dialect: "vectorize", route: `/${index}${path}`, model: "" };
  const model = (text(headers["mf-header-cf-consn-model-id"]) ?? "").replace(/^[^@]*:(?=@)/, "");
  return { dialect: "binding", route: path, model };
}

function place_of(path: string, body: unknown): Place {
  const decoded = decode(path);
  const below = /^\/client\/v4\/accounts\/[^/]+\/(.*)$/s.exec(decoded)?.[1];
  const openai = /^(?:\/ai)?\/v1\/(.*)$/s.exec(below === undefined ? decoded : `/${below}`)?.[1];
  if (openai !== undefined) {
    const named = (body as { model?: unknown } | undefined)?.model;
    return { dialect: "openai", route: `/v1/${openai}`, model: typeof named === "string" ? named : "" };
  }
  const run = /^ai\/run\/(.+)$/s.exec(below ?? "")?.[1];
  if (run !== undefined) return { dialect: "rest", route: "/client/v4/accounts/:account/ai/run", model: run };
  return { dialect: "rest", route: below === undefined ? decoded : `/client/v4/accounts/:account/${below}`, model: "" };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function text(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function json_of(body: Buffer): unknown {
  if (body.length === 0) return null;
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}

function without_boundary(body: Buffer, type: string): Buffer | string {
  const boundary = /^multipart\/.*;\s*boundary="?([^";]+)"?/i.exec(type)?.[1];
  return boundary === undefined ? body : body.toString("latin1").replaceAll(boundary, "boundary");
}

function hash(content: Buffer | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** JSON with sorted keys. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
