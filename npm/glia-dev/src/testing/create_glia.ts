// createGlia: env.AI and its HTTP routes for a test, with answers that are equal between runs.
//
// A session of its own at a glia serve that all processes of a test run share, behind a loopback server in this process. That
// one gives the address that stays the same over reset() and a restart of the program, and it records and replays: a replay
// needs neither the program nor weights. Nothing here keeps the process alive.
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { bind_path } from "../bind.ts";
import { to_wire, type Fault } from "../faults.ts";
import type { Readiness } from "../glia/glia.ts";
import { open_session, refusal_of, type CallEvent, type Session, type SessionOptions } from "../glia/session.ts";
import { environment_with, preload_url } from "../handover.ts";
import { project_name } from "../project.ts";
import { Relay, type Upstream } from "../relay.ts";
import type { Call } from "../tape/call.ts";
import type { ReplaySpeed } from "../tape/play.ts";
import { recorded } from "../tape/recorded.ts";
import { read_answer } from "../tape/show.ts";
import { Tape } from "../tape/tape.ts";
import { shared_server } from "./shared_server.ts";

export interface GliaOptions {
  /** Requests without a seed get one made of this and their own content: equal requests have equal answers, in any order. */
  seed?: number;
  /** "free" refuses past 10,000 neurons a day (429, 3036). */
  plan?: "paid" | "free";
  /** Refuse past the service's requests a minute (429, 3021). */
  rateLimits?: boolean;
  /** What goes wrong. */
  faults?: readonly Fault[];
  /** Answers from the recordings in this folder; needs no program and no weights. */
  replay?: string;
  /** Streams at once ("instant", the default) or in their recorded time. */
  replaySpeed?: ReplaySpeed;
  /** Records every answer into this folder. */
  record?: string;
  /** The ledger in memory, gone with the server (the default); false: the user's own ledger. */
  memory?: boolean;
  /** Whom calls are charged to; one of its own when it is not said and the ledger is in memory. */
  account?: string;
  /** Prints prompts and answers on stderr. */
  showIo?: boolean;
  /** A glia serve that runs already; nothing is started (also GLIA_URL). */
  url?: string | URL;
  /** The project's folder: where glia.toml and an installed program are looked for. */
  cwd?: string;
}

export interface GliaCall {
  model: string;
  /** Which weights answered; null where none did. */
  weights: string | null;
  standIn: boolean;
  status: "ok" | "error" | "cancelled";
  /** The service's internal code and text of an error. */
  code: number | null;
  message: string | null;
  promptTokens: number;
  completionTokens: number;
  neurons: number;
  /** The fault that this call met. */
  fault: string | null;
}

export interface GliaUsage {
  /** In the order in which they ended; the last 10,000. */
  calls: GliaCall[];
  /** Over all calls. */
  count: number;
  promptTokens: number;
  completionTokens: number;
  neurons: number;
}

/** Options of Miniflare for our bindings: for the vitest plugin's `miniflare`, or a Worker of a Miniflare 4. */
export interface MiniflareAiOptions {
  ai: { binding: string; remoteProxyConnectionString: URL };
  vectorize?: Record<string, { index_name: string; remoteProxyConnectionString: URL }>;
}

export interface Glia extends AsyncDisposable {
  /** In front of `/client/v4/…` and `/v1/…`. */
  readonly url: string;
  /** Base of the REST API: `${restUrl}/accounts/${accountId}/ai/run/${model}`; also CLOUDFLARE_API_BASE_URL. */
  readonly restUrl: string;
  /** Base URL for OpenAI clients. */
  readonly openaiUrl: string;
  readonly accountId: string;
  /** Any text does; clients want one. */
  readonly apiToken: string;
  /** For `miniflare` in a vitest config, with `remoteBindings: false`. `indexes`: of Vectorize, by the name of the binding. */
  miniflareOptions(binding?: string, indexes?: Readonly<Record<string, string>>): MiniflareAiOptions;
  /** The environment in which any command's Worker has this env.AI: wrangler dev, vite, a script with getPlatformProxy. */
  environment(env?: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
  usage(): Promise<GliaUsage>;
  /** Puts other faults in place of those there are. */
  faults(faults: readonly Fault[]): Promise<void>;
  /** A fresh account where it was one of its own, no calls, faults and replays counted anew. The addresses stay. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

const kNoCalls: GliaUsage = { calls: [], count: 0, promptTokens: 0, completionTokens: 0, neurons: 0 };

export async function createGlia(options: GliaOptions = {}): Promise<Glia> {
  check(options);
  const folder = resolve(options.cwd ?? process.cwd());
  const tape = Tape.for({
    record: options.record === undefined ? undefined : resolve(folder, options.record),
    replay: options.replay === undefined ? undefined : resolve(folder, options.replay),
    replay_speed: options.replaySpeed,
    show: options.showIo ? (line) => process.stderr.write(`[glia] ${line}\n`) : undefined,
  });
  const source = tape?.replays ? new Recorded() : new Served(options, folder);
  await source.open();
  const relay = new Relay({
    glia: source,
    tape,
    unref: true,
    on_refused: () => {},
    on_replayed: (...replayed) => source.replayed(...replayed),
  });
  const url = await relay.listen();
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closed ??= (async () => {
      relay.close();
      await source.close();
      await tape?.flush();
    })());
  return {
    url,
    restUrl: `${url}/client/v4`,
    openaiUrl: `${url}/v1`,
    get accountId() {
      return source.account;
    },
    apiToken: "glia",
    miniflareOptions: (binding = "AI", indexes = {}) => miniflare_options(url, binding, indexes),
    environment: (env = process.env) =>
      environment_with(env, { relay: url, label: "glia", local_only: false, own_indexes: false }, preload_url()),
    usage: () => source.usage(),
    faults: (faults) => source.faults(faults),
    async reset() {
      await tape?.flush();
      tape?.reset();
      await source.reset();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function miniflare_options(
  relay: string,
  binding: string,
  indexes: Readonly<Record<string, string>>,
): MiniflareAiOptions {
  const remoteProxyConnectionString = new URL(`${relay}/${bind_path({ major: "5", indexes })}`);
  const options: MiniflareAiOptions = { ai: { binding, remoteProxyConnectionString } };
  const named = Object.entries(indexes);
  if (named.length === 0) return options;
  const vectorize = named.map(([name, index_name]) => [name, { index_name, remoteProxyConnectionString }] as const);
  return { ...options, vectorize: Object.fromEntries(vectorize) };
}

function check(options: GliaOptions): void {
  if (options.record !== undefined && options.replay !== undefined)
    throw new TypeError("createGlia: record and replay exclude each other");
  if (options.replay !== undefined && (options.faults?.length ?? 0) > 0)
    throw new TypeError("createGlia: faults need Glia itself; record them and replay that");
  if (options.seed !== undefined && !(Number.isSafeInteger(options.seed) && options.seed >= 0))
    throw new TypeError(`createGlia: seed ${options.seed}: a whole number from 0 is expected`);
}

interface Source extends Upstream {
  readonly account: string;
  open(): Promise<void>;
  replayed(call: Call, status: number, type: string, body: Buffer): void;
  usage(): Promise<GliaUsage>;
  faults(faults: readonly Fault[]): Promise<void>;
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** A session at a server. */
class Served implements Source {
  readonly #options: GliaOptions;
  readonly #folder: string;
  readonly #own_account: boolean;
  account: string;
  #faults: readonly Fault[];
  #session: Session | undefined;
  #opening: Promise<Session> | undefined;
  #closed = false;

  constructor(options: GliaOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#faults = options.faults ?? [];
    this.#own_account = options.account === undefined && options.memory !== false;
    this.account = options.account ?? (this.#own_account ? fresh_account() : "local");
  }

  async open(): Promise<void> {
    await this.#current();
  }

  async ready_within(): Promise<Readiness> {
    try {
      return { session: await this.#current() };
    } catch (error) {
      return { problem: (error as Error).message };
    }
  }

  replayed(): void {}

  async usage(): Promise<GliaUsage> {
    const session = await this.#current();
    const response = await fetch(`${session.own.href}/calls`);
    if (!response.ok) throw new Error(await refusal_of(response, "GET …/calls"));
    const { calls, count, prompt_tokens, completion_tokens, neurons } = (await response.json()) as {
      calls: CallEvent[];
      count: number;
      prompt_tokens: number;
      completion_tokens: number;
      neurons: number;
    };
    return {
      calls: calls.map(call_of),
      count,
      promptTokens: prompt_tokens,
      completionTokens: completion_tokens,
      neurons,
    };
  }

  async faults(faults: readonly Fault[]): Promise<void> {
    const session = await this.#current();
    const response = await fetch(`${session.own.href}/faults`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ faults: to_wire(faults) }),
    });
    if (!response.ok) throw new TypeError(`createGlia: ${await refusal_of(response, "PUT …/faults")}`);
    this.#faults = faults;
  }

  async reset(): Promise<void> {
    const old = await this.#current();
    if (this.#own_account) this.account = fresh_account();
    this.#session = undefined;
    await this.#current();
    await old.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {});
    await this.#session?.close();
  }

  /** The session, opened anew when the server has gone. */
  async #current(): Promise<Session> {
    if (this.#closed) throw new Error("this Glia was closed");
    return this.#session ?? (this.#opening ??= this.#open().finally(() => (this.#opening = undefined)));
  }

  async #open(): Promise<Session> {
    const { seed, plan, rateLimits, memory = true } = this.#options;
    const wanted: SessionOptions = { account: this.account, list_calls: true, faults: to_wire(this.#faults) };
    if (this.#own_account) wanted.vectors = "own";
    if (seed !== undefined) wanted.seed = seed;
    if (plan !== undefined) wanted.plan = plan;
    if (rateLimits !== undefined) wanted.rate_limits = rateLimits;
    for (let tries = 0; ; tries++) {
      const url = this.#options.url ?? (process.env.GLIA_URL || undefined);
      const server =
        url === undefined ? await shared_server({ env: process.env, folder: this.#folder, memory }) : new URL(url);
      try {
        const session = await open_session(server, project_name(this.#folder), wanted, () => {}, true);
        this.#session = session;
        void session.ended.then(() => {
          if (this.#session === session) this.#session = undefined;
        });
        return session;
      } catch (error) {
        // A server that was about to end is gone by the next look.
        const gone = error instanceof TypeError || (error as NodeJS.ErrnoException).code === "ECONNREFUSED";
        if (!gone || url !== undefined || tries >= 5) throw error;
      }
    }
  }
}

/** No server: answers come from the tape. */
class Recorded implements Source {
  readonly account = "local";
  #usage: GliaUsage = structuredClone(kNoCalls);

  open(): Promise<void> {
    return Promise.resolve();
  }
  readonly ready_within = recorded.ready_within;
  replayed(call: Call, status: number, type: string, body: Buffer): void {
    const usage = read_answer(type, body.toString("utf8")).usage;
    const counted = { promptTokens: usage?.prompt_tokens ?? 0, completionTokens: usage?.completion_tokens ?? 0 };
    this.#usage.count++;
    this.#usage.promptTokens += counted.promptTokens;
    this.#usage.completionTokens += counted.completionTokens;
    const ok = status === 200;
    this.#usage.calls.push({
      model: call.model,
      weights: null,
      standIn: false,
      status: ok ? "ok" : "error",
      code: null,
      message: null,
      ...counted,
      neurons: 0,
      fault: null,
    });
  }
  usage(): Promise<GliaUsage> {
    return Promise.resolve(structuredClone(this.#usage));
  }
  faults(): Promise<void> {
    return Promise.reject(new TypeError("createGlia: faults need Glia itself; record them and replay that"));
  }
  reset(): Promise<void> {
    this.#usage = structuredClone(kNoCalls);
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

function fresh_account(): string {
  return `test-${randomBytes(8).toString("hex")}`;
}

function call_of(event: CallEvent): GliaCall {
  return {
    model: event.model,
    weights: event.weights ?? null,
    standIn: event.stand_in ?? false,
    status: event.status,
    code: event.code ?? null,
    message: event.message ?? null,
    promptTokens: event.prompt_tokens ?? 0,
    completionTokens: event.completion_tokens ?? 0,
    neurons: event.neurons ?? 0,
    fault: event.fault ?? null,
  };
}
