// Finds or starts glia serve, holds a session there, and gets back to it when it was away.
//
// One loop runs from start() to close(): connect, wait until the connection is lost, connect again. Callers ask
// ready_within(), which never waits longer than told and answers with the session or with what to tell the user.
import { setTimeout as delay } from "node:timers/promises";
import * as messages from "./messages.ts";
import { probe, served_models, type ServedModel, type Version } from "./probe.ts";
import { find_program, in_checkout, last_log_line, start_program, type Started } from "./program.ts";
import { open_session, type CallEvent, type Session, type SessionOptions } from "./session.ts";

export interface GliaOptions {
  url: URL;
  /** Start the program when nothing listens at `url`. */
  may_start: boolean;
  env: NodeJS.ProcessEnv;
  /** The project's folder and name. */
  folder: string;
  project: string;
  /** What the session asks of the server. */
  session?: SessionOptions;
  on_call(event: CallEvent): void;
  /** Connected; `again` when it was before. */
  on_connected(info: ServerInfo, again: boolean): void;
  /** The connection was lost: one line for the terminal. */
  on_lost(text: string): void;
}

export type Readiness = { session: Session } | { problem: string };

export interface ServerInfo {
  version: Version;
  models: ServedModel[];
  /** True when this glia-dev started it. */
  started: boolean;
}

const kRetryMs = 1000;
const kPollMs = 40;
const kStartWithinMs = 60_000;
const kRestartsPerMinute = 3;

export class Glia {
  readonly #options: GliaOptions;
  #session: Session | undefined;
  /** Sessions with Vectorize indexes of their own, by the name that a Miniflare has for its own. */
  readonly #own = new Map<string, Promise<Session>>();
  #started: Started | undefined;
  /** How the program that we started ended, once it has. */
  #exit: string | undefined;
  #ever_connected = false;
  #restarts: number[] = [];
  #problem: string;
  /** Counts finished attempts, so that a caller knows a problem is not older than its question. */
  #attempts = 0;
  #connecting = false;
  #asked = false;
  #wake: () => void = () => {};
  #waiters: Array<() => void> = [];
  #closed = false;
  #running: Promise<void> | undefined;

  constructor(options: GliaOptions) {
    this.#options = options;
    this.#problem = messages.not_running(options.url);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** The session, or why there is none. Waits at most `ms` while the server starts or loads. */
  async ready_within(ms: number): Promise<Readiness> {
    const deadline = performance.now() + ms;
    // The attempt under way at the time of the question may have looked too early; the next one has not.
    const enough = this.#attempts + (this.#connecting ? 2 : 1);
    this.#asked = true;
    this.#wake();
    for (;;) {
      if (this.#session) return { session: this.#session };
      const left = deadline - performance.now();
      if (this.#closed || left <= 0 || this.#attempts >= enough) return { problem: this.#problem };
      const stop = new AbortController();
      await Promise.race([
        new Promise<void>((resolve) => this.#waiters.push(resolve)),
        delay(left, undefined, { signal: stop.signal }).catch(() => {}),
      ]);
      stop.abort();
    }
  }

  /** A session whose Vectorize indexes are its own. Rejects when the server does not open it. */
  own_session(name: string): Promise<Session> {
    const known = this.#own.get(name);
    if (known) return known;
    const opened = this.#open({ vectors: "own" });
    this.#own.set(name, opened);
    void opened
      .then((session) => session.ended)
      .catch(() => {})
      .then(() => this.#own.delete(name));
    return opened;
  }

  /** Its Miniflare has ended. */
  async end_own_session(name: string): Promise<void> {
    const session = await this.#own.get(name)?.catch(() => undefined);
    await session?.close();
  }

  /** Gives the lease back; the program that we started ends by itself when it was the last. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await Promise.all([this.#session?.close(), ...[...this.#own.keys()].map((name) => this.end_own_session(name))]);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#connecting = true;
      this.#asked = false;
      const problem = await this.#connect().catch((error: unknown) => messages.unexpected(this.#options.url, error));
      this.#connecting = false;
      this.#attempts++;
      if (problem !== undefined) {
        this.#problem = problem;
        this.#notify();
        await this.#sleep(kRetryMs);
        continue;
      }
      this.#notify();
      await this.#session!.ended;
      if (this.#closed) return;
      await this.#on_lost();
    }
  }

  /** Undefined once connected, else the problem. */
  async #connect(): Promise<string | undefined> {
    const { url } = this.#options;
    const give_up = performance.now() + kStartWithinMs;
    while (!this.#closed) {
      const found = await probe(url);
      if (found.kind === "ready") {
        const models = await served_models(url);
        const info: ServerInfo = {
          version: found.version,
          models,
          started: this.#started !== undefined && this.#exit === undefined,
        };
        this.#session = await this.#open();
        this.#options.on_connected(info, this.#ever_connected);
        this.#ever_connected = true;
        return undefined;
      }
      if (found.kind !== "nothing" && found.kind !== "loading") return messages.problem_of(found, url);
      if (found.kind === "nothing") {
        const problem = this.#start_when_allowed();
        if (problem !== undefined) return problem;
      } else {
        this.#problem = messages.problem_of(found, url);
      }
      if (performance.now() > give_up) return this.#problem;
      await delay(kPollMs);
    }
    return this.#problem;
  }

  /** Nothing listens. Undefined while our program starts, else the problem. */
  #start_when_allowed(): string | undefined {
    const { url, may_start, env, folder } = this.#options;
    if (this.#started && this.#exit === undefined) return undefined;
    if (this.#started && !this.#ever_connected) {
      return messages.did_not_start(this.#exit!, last_log_line(this.#started), this.#started.log);
    }
    if (!may_start || (this.#ever_connected && !this.#started)) return messages.not_running(url);
    if (this.#started) {
      const minute_ago = performance.now() - 60_000;
      this.#restarts = this.#restarts.filter((at) => at > minute_ago);
      if (this.#restarts.length >= kRestartsPerMinute)
        return messages.keeps_stopping(this.#exit!, this.#started.log, url);
      this.#restarts.push(performance.now());
    }
    const program = find_program(env, folder);
    if (program === undefined) return messages.no_program(in_checkout());
    const started = start_program(program, Number(url.port || 80), env);
    this.#started = started;
    this.#exit = undefined;
    this.#problem = messages.starting(started.log);
    started.process.on(
      "error",
      (error) => (this.#exit = `${program}: ${(error as NodeJS.ErrnoException).code ?? error.message}`),
    );
    started.process.on("exit", (code, signal) => (this.#exit = signal ?? `exit code ${code}`));
    return undefined;
  }

  #open(more: SessionOptions = {}): Promise<Session> {
    const { url, project, session: asked = {}, on_call } = this.#options;
    return open_session(url, project, { ...asked, ...more }, on_call);
  }

  async #on_lost(): Promise<void> {
    const lost = this.#session;
    this.#session = undefined;
    await lost?.close();
    // The exit of a program of ours is reported a moment after its sockets closed.
    if (this.#started && this.#exit === undefined) await delay(50);
    this.#problem =
      this.#started && this.#exit !== undefined
        ? messages.stopped(this.#exit, this.#started.log)
        : messages.not_running(this.#options.url);
    this.#options.on_lost(this.#problem);
  }

  #notify(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#asked || this.#closed) return;
    const stop = new AbortController();
    this.#wake = () => stop.abort();
    await delay(ms, undefined, { signal: stop.signal }).catch(() => {});
    this.#wake = () => {};
  }
}
