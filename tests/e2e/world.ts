// An example Worker under a given wrangler, through glia-dev, against the real program: a copy of it in a temporary folder,
// with a ledger of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import {
  free_port,
  glia_dev,
  nothing_left,
  pids_running,
  temporary_folder,
  until,
  type Running,
} from "../../npm/glia-dev/test/helpers.ts";
import { Tokenizer } from "./tokenizer.ts";

const kRoot = resolve(import.meta.dirname, "../..");

export const kModel = "@cf/meta/llama-3.1-8b-instruct";
export const kWeights = "SmolLM2-135M-Instruct";
/** Under every seed tried here the model writes at least 400 tokens to this. */
export const kLongQuestion = "Write a poem about the sea with twenty verses.";
/** What examples/chat sends as the system message. */
export const kSystem = "You are a friendly assistant. Answer in a few short sentences.";
/** Neurons per million prompt and completion tokens, as published for kModel. */
export const kPrice = { prompt: 25608, completion: 75147 };

export type WranglerName = "wrangler" | "wrangler-486";

function existing(path: string, how: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: ${how}`);
  return path;
}

export const program = (): string =>
  existing(process.env.GLIA_BIN ?? join(kRoot, "build/apps/glia/glia"), "build it (make build), or set GLIA_BIN");

let shared_tokenizer: Tokenizer | undefined;
export function tokenizer(): Tokenizer {
  const models =
    process.env.GLIA_MODELS ?? join(process.env.XDG_DATA_HOME ?? join(homedir(), ".local/share"), "glia/models");
  return (shared_tokenizer ??= new Tokenizer(
    existing(join(models, `${kWeights}.Q4_1.gguf`), "scripts/bootstrap fetches the default weights"),
  ));
}

export interface UsageRow {
  day: string;
  model: string;
  calls: number;
  prompt_tokens: number;
  completion_tokens: number;
  neurons: number;
  stand_in: boolean;
}

export interface Streamed {
  text: string;
  usage:
    | {
        prompt_tokens: number;
        completion_tokens: number;
        total_tokens: number;
        prompt_tokens_details?: { cached_tokens: number };
      }
    | undefined;
  done: number;
}

/** wrangler 4.86 cannot trigger the cron of a Worker that has assets. */
function without_assets(config: string): void {
  writeFileSync(config, readFileSync(config, "utf8").replace(/\[assets\]\ndirectory = "public"\n/, ""));
}

export class World {
  readonly folder: ReturnType<typeof temporary_folder>;
  readonly run: Running;
  readonly glia: string;
  base = "";

  private constructor(folder: ReturnType<typeof temporary_folder>, run: Running, glia: string) {
    this.folder = folder;
    this.run = run;
    this.glia = glia;
  }

  static async start(
    wrangler: WranglerName,
    options: { terminal?: boolean; env?: NodeJS.ProcessEnv; flags?: string[]; example?: "chat" | "rag" } = {},
  ): Promise<World> {
    const glia_program = program();
    const example = join(kRoot, "examples", options.example ?? "chat");
    tokenizer();
    const folder = temporary_folder();
    for (const part of ["src", "public", "wrangler.toml", "package.json"])
      cpSync(join(example, part), join(folder.path, part), { recursive: true });
    mkdirSync(join(folder.path, "node_modules"));
    const installed = join(wrangler === "wrangler" ? example : join(kRoot, "npm/glia-dev"), "node_modules", wrangler);
    symlinkSync(existing(installed, "scripts/npm-ready installs it"), join(folder.path, "node_modules/wrangler"));
    if (wrangler === "wrangler-486") without_assets(join(folder.path, "wrangler.toml"));
    const port = await free_port();
    // A temporary folder of its own: what wrangler's update check learnt in another run is not there.
    const temporary = join(folder.path, "tmp");
    mkdirSync(temporary);
    const env = { GLIA_BIN: glia_program, GLIA_DATA: join(folder.path, "ledger"), TMPDIR: temporary, ...options.env };
    const run = glia_dev(
      ["--glia-port", String(port), "--port", "0", "--inspector-port", "0", ...(options.flags ?? [])],
      {
        cwd: folder.path,
        env,
        ...(options.terminal ? { terminal: true } : {}),
      },
    );
    const world = new World(folder, run, `http://127.0.0.1:${port}`);
    world.base = `http://127.0.0.1:${await run.ready()}`;
    return world;
  }

  /** Ends everything; fails when something is left running. */
  async end(): Promise<void> {
    try {
      if (this.run.process.exitCode === null) this.run.process.kill("SIGTERM");
      await this.run.exited;
      await nothing_left(this.run.mark, 8000);
    } finally {
      for (const pid of pids_running(this.run.mark, /./)) process.kill(pid, "SIGKILL");
      this.folder.remove();
    }
  }

  async json<T>(path: string, init?: RequestInit): Promise<{ status: number; body: T }> {
    const response = await fetch(`${this.base}${path}`, init);
    return { status: response.status, body: (await response.json()) as T };
  }

  post<T>(path: string, body: object): Promise<{ status: number; body: T }> {
    return this.json<T>(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  async stream(question: string, seed: number, max_tokens: number): Promise<Streamed> {
    const response = await fetch(
      `${this.base}/api/stream?${new URLSearchParams({ question, seed: String(seed), max_tokens: String(max_tokens) })}`,
    );
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    return read_events(await response.text());
  }

  /** The answer in the history that `source` gave, once it is there. */
  async remembered(source: string, within_ms = 60_000): Promise<{ question: string; answer: string }> {
    for (const end = performance.now() + within_ms; performance.now() < end; await delay(100)) {
      const { body } = await this.json<Array<{ source: string; question: string; answer: string }>>("/api/history");
      const entry = body.find((row) => row.source === source);
      if (entry) return entry;
    }
    throw new Error(`${source} left nothing in the history\n${this.run.output().slice(-3000)}`);
  }

  /** The ledger's row of kModel today, from the running server. */
  async ledger(): Promise<UsageRow> {
    const rows = (await (await fetch(`${this.glia}/glia/v1/usage?days=1`)).json()) as UsageRow[];
    return (
      rows.find((row) => row.model === kModel) ?? {
        day: "",
        model: kModel,
        calls: 0,
        prompt_tokens: 0,
        completion_tokens: 0,
        neurons: 0,
        stand_in: true,
      }
    );
  }

  /** The same from `glia usage --json`, which needs no server. */
  async ledger_by_command(): Promise<UsageRow[]> {
    const env = { ...process.env, GLIA_DATA: join(this.folder.path, "ledger") };
    const { stdout } = await promisify(execFile)(program(), ["usage", "--json", "--days", "1"], { env });
    return JSON.parse(stdout) as UsageRow[];
  }

  /** Nothing runs and no KV page is held, as soon as that can be expected. */
  async idle(within_ms = 5000): Promise<void> {
    let last = "";
    await until(
      "the engine is idle",
      async () => {
        last = await (await fetch(`${this.glia}/glia/v1/status`)).text();
        const { models } = JSON.parse(last) as {
          models: Array<{ running: number; queued: number; kv_pages_used?: number }>;
        };
        return models.every((model) => model.running === 0 && model.queued === 0 && (model.kv_pages_used ?? 0) === 0);
      },
      within_ms,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${last}`);
    });
  }

  /** Puts neurons on the account's day, as another process with the same ledger would. */
  charge_elsewhere(neurons: number): void {
    const db = new DatabaseSync(join(this.folder.path, "ledger/ledger.sqlite"));
    const day = Math.floor(Date.now() / 86_400_000);
    db.prepare("INSERT INTO days VALUES (?, 'local', 'another', 'Text Generation', 0, 1, 0, 0, ?)").run(
      day,
      neurons * 1_000_000,
    );
    db.close();
  }

  glia_pid(): number {
    const [pid] = pids_running(this.run.mark, / serve --port /);
    assert.ok(pid, "glia serve runs");
    return pid;
  }
}

/** Events as they came over the wire. */
export function read_events(text: string): Streamed {
  const streamed: Streamed = { text: "", usage: undefined, done: 0 };
  for (const event of text.split("\n\n")) {
    if (event === "") continue;
    assert.match(event, /^data: /);
    const data = event.slice("data: ".length);
    if (data === "[DONE]") {
      streamed.done++;
      continue;
    }
    assert.equal(streamed.done, 0, "nothing follows [DONE]");
    const piece = JSON.parse(data) as { response?: string; usage?: Streamed["usage"]; error?: string };
    assert.equal(piece.error, undefined);
    streamed.text += piece.response ?? "";
    streamed.usage = piece.usage ?? streamed.usage;
  }
  return streamed;
}

/** The answer that `glia run` gives in a terminal: the same engine, without server, workerd or Worker. */
export async function answer_in_terminal(question: string, seed: number, max_tokens: number): Promise<string> {
  const words = [
    "run",
    kModel,
    question,
    "--system",
    kSystem,
    "--seed",
    String(seed),
    "--max-tokens",
    String(max_tokens),
  ];
  const { stdout } = await promisify(execFile)(program(), words, {
    env: { ...process.env, NO_COLOR: "1" },
    maxBuffer: 1 << 24,
  });
  return stdout.trim();
}

/** Tokens of the prompt that the example makes of a question, counted here. */
export function count_prompt(question: string): number {
  return tokenizer().encode_chat([
    { role: "system", content: kSystem },
    { role: "user", content: question },
  ]).length;
}

/** Tokens of an answer, counted here; one that ended before `max_tokens` has its end token besides. */
export function count_completion(text: string, max_tokens: number): number {
  const tokens = tokenizer().encode(text).length;
  return tokens < max_tokens ? tokens + 1 : tokens;
}
