#!/usr/bin/env node
// Starts examples/chat under its own wrangler through glia-dev, calls every route of it, prints what came back, from which
// weights and how long it took, and ends all that it started. Exits with 1 when anything is not as it should be.
// usage: scripts/demo.mjs        (GLIA_BIN: the glia program, default build/apps/glia/glia)
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

const root = resolve(import.meta.dirname, "..");
const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (colours ? `\x1b[${code}m${text}\x1b[0m` : String(text));
const [bold, dim, green, red, cyan] = [1, 2, 32, 31, 36].map(paint);
const started = performance.now();
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(2)} s`;

let failures = 0;

async function free_port() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** One thing the Worker does: its title, what came back, how long it took. */
async function step(title, act) {
  process.stdout.write(`\n${cyan("▸")} ${bold(title)}\n`);
  const since = performance.now();
  try {
    const note = await act();
    process.stdout.write(`  ${green("✓")} ${dim(`${seconds(since)}${note ? `  ${note}` : ""}`)}\n`);
  } catch (error) {
    failures++;
    process.stdout.write(`  ${red(`✗ ${error.message}`)} ${dim(seconds(since))}\n`);
  }
}

function say(text) {
  const typed = new Typewriter();
  typed.add(text);
  typed.end();
}

async function json(url, init) {
  const response = await fetch(url, init);
  const body = await response.json();
  if (!response.ok) throw new Error(`${response.status}: ${body.error ?? JSON.stringify(body)}`);
  return body;
}

const post = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** Writes words as soon as they are whole, wrapped at the terminal's width. */
class Typewriter {
  #width = Math.min(process.stdout.columns ?? 100, 100) - 4;
  #word = "";
  #column = 0;

  add(text) {
    for (const character of text) {
      if (/\s/.test(character)) {
        this.#flush();
        if (character === "\n") this.#break();
      } else this.#word += character;
    }
  }

  end() {
    this.#flush();
    this.#break();
  }

  #flush() {
    if (this.#word === "") return;
    if (this.#column > 0 && this.#column + 1 + this.#word.length > this.#width) this.#break();
    process.stdout.write(this.#column === 0 ? `  ${this.#word}` : ` ${this.#word}`);
    this.#column += this.#word.length + (this.#column === 0 ? 0 : 1);
    this.#word = "";
  }

  #break() {
    process.stdout.write("\n");
    this.#column = 0;
  }
}

/** Types server-sent events as they come; resolves with the last `usage`. */
async function type_stream(url, init) {
  const since = performance.now();
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  let [pending, first, usage, done] = ["", undefined, undefined, false];
  const typed = new Typewriter();
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (pending + text).split("\n\n");
    pending = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") {
        done = true;
        continue;
      }
      const piece = JSON.parse(data);
      if (piece.error) throw new Error(piece.error);
      usage = piece.usage ?? usage;
      if (!piece.response) continue;
      first ??= performance.now() - since;
      typed.add(piece.response);
    }
  }
  typed.end();
  if (!done) throw new Error("the stream ended without [DONE]");
  return { usage, first };
}

/** glia-dev as a child; its lines about Glia are kept. */
class Dev {
  lines = [];
  #text = "";
  constructor(state, glia_port) {
    const program = process.env.GLIA_BIN ?? join(root, "build/apps/glia/glia");
    if (!existsSync(program))
      throw new Error(`there is no ${program}; build it first (make demo does), or set GLIA_BIN`);
    const { GLIA_URL: _, ...env } = process.env;
    this.process = spawn(
      process.execPath,
      [
        join(root, "npm/glia-dev/bin/glia-dev.js"),
        "--glia-port",
        String(glia_port),
        "--port",
        "0",
        "--inspector-port",
        "0",
        "--persist-to",
        join(state, "worker"),
      ],
      {
        cwd: join(root, "examples/chat"),
        env: {
          ...env,
          GLIA_BIN: program,
          GLIA_DATA: join(state, "ledger"),
          XDG_STATE_HOME: join(state, "logs"),
          NO_COLOR: "1",
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.exited = new Promise((done) => this.process.on("close", (code, signal) => done(code ?? signal)));
    for (const stream of [this.process.stdout, this.process.stderr])
      stream.setEncoding("utf8").on("data", (chunk) => this.#take(chunk));
  }

  #take(chunk) {
    this.#text += stripVTControlCharacters(chunk);
    this.lines = this.#text.split("\n");
  }

  async find(pattern, within_ms) {
    for (const end = performance.now() + within_ms; performance.now() < end; await delay(20)) {
      const found = pattern.exec(this.#text);
      if (found) return found;
      if (this.process.exitCode !== null) break;
    }
    throw new Error(`wrangler did not get ready:\n${this.#text}`);
  }

  async end() {
    this.process.kill("SIGINT");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 8000);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }
}

async function until_answered(base, source, within_ms = 60_000) {
  for (const end = performance.now() + within_ms; performance.now() < end; await delay(100)) {
    const entry = (await json(`${base}/api/history`)).find((row) => row.source === source);
    if (entry) return entry;
  }
  throw new Error(`no answer of ${source} within ${within_ms / 1000} s`);
}

async function tour(base, glia) {
  const models = await json(`${glia}/glia/v1/models`);
  const model = models.find((entry) => entry.id === "@cf/meta/llama-3.1-8b-instruct") ?? models[0];
  if (!model) throw new Error("Glia serves no model");
  process.stdout.write(
    `\n${bold("env.AI")} answers ${model.id} from ${bold(model.weights)}${model.stand_in ? " (a stand-in)" : ""}, on this machine.\n`,
  );

  await step("The page", async () => {
    const page = await fetch(base);
    const text = await page.text();
    if (!page.ok || !text.includes("<title>Chat</title>")) throw new Error(`${page.status}, not the page`);
    return `${text.length} bytes of HTML at ${base}`;
  });
  const question = { question: "Explain in two sentences why the sea is salty.", seed: 2, max_tokens: 96 };
  await step("A JSON answer: POST /api/chat", async () => {
    const { answer, usage, cached } = await json(`${base}/api/chat`, post(question));
    if (cached || !answer) throw new Error("no fresh answer");
    say(answer);
    return `${usage.promptTokens} + ${usage.completionTokens} tokens`;
  });
  await step("The same again, from KV", async () => {
    const { cached, count } = await json(`${base}/api/chat`, post(question));
    if (!cached) throw new Error("not from the cache");
    return `a Durable Object has counted ${count} questions`;
  });
  for (const [how, init] of [
    ["GET /api/stream, as EventSource asks", (body) => [`${base}/api/stream?${new URLSearchParams(body)}`]],
    ["POST /api/stream, as fetch asks", (body) => [`${base}/api/stream`, post(body)]],
  ]) {
    await step(`A streamed answer: ${how}`, async () => {
      const { usage, first } = await type_stream(
        ...init({ question: "Write a short poem about a lighthouse.", seed: 1, max_tokens: 72 }),
      );
      return `${usage.completion_tokens} tokens, the first after ${Math.round(first)} ms`;
    });
  }
  await step("A Durable Object that asks: GET /api/greeting", async () =>
    say((await json(`${base}/api/greeting?name=Ada&seed=1`)).greeting),
  );
  await step("A Queue: POST /api/later", async () => {
    await json(`${base}/api/later`, post({ question: "Name three fruits.", seed: 2, max_tokens: 32 }));
    say((await until_answered(base, "queue")).answer);
  });
  await step("A cron trigger", async () => {
    const fired = await fetch(`${base}/cdn-cgi/handler/scheduled`);
    if (!fired.ok) throw new Error(`${fired.status}`);
    say((await until_answered(base, "scheduled")).answer);
  });
  await step("A Workflow: POST /api/digests", async () => {
    const { id } = await json(`${base}/api/digests`, post({ seed: 2 }));
    for (const end = performance.now() + 60_000; performance.now() < end; await delay(150)) {
      const { status, output } = await json(`${base}/api/digests/${id}`);
      if (status === "errored" || status === "terminated") throw new Error(status);
      if (status === "complete") return say(output.digest);
    }
    throw new Error("not complete within a minute");
  });
  await step("The history from D1, exported to R2, downloaded", async () => {
    const made = await json(`${base}/api/exports`, { method: "POST" });
    const entries = await json(`${base}${made.url}`);
    if (entries.length !== made.entries || entries.length < 7)
      throw new Error(`${entries.length} of ${made.entries} entries`);
    return `${made.name}, ${entries.length} entries`;
  });
  await step("The ledger", async () => {
    const rows = await json(`${glia}/glia/v1/usage?days=1`);
    const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
    if (sum("calls") < 7) throw new Error(`${sum("calls")} calls`);
    return `${sum("calls")} calls, ${sum("prompt_tokens")} + ${sum("completion_tokens")} tokens, ${sum("neurons").toFixed(1)} neurons as the service would count`;
  });
}

async function main() {
  const state = mkdtempSync(join(tmpdir(), "glia-demo-"));
  const glia_port = await free_port();
  const glia = `http://127.0.0.1:${glia_port}`;
  let dev;
  const interrupted = () => void dev?.end().then(() => process.exit(130));
  process.once("SIGINT", interrupted);
  process.once("SIGTERM", interrupted);
  try {
    process.stdout.write(`${bold("examples/chat")} under its own wrangler, through glia-dev\n`);
    dev = new Dev(state, glia_port);
    const port = (await dev.find(/Ready on http:\/\/[^\s]*:(\d+)/, 60_000))[1];
    const telling = dev.lines
      .filter((line) => /^\[glia\]|wrangler \d|env\.AI /.test(line))
      .map((line) => line.trim().replaceAll(/ {3,}/g, "   "));
    for (const line of new Set(telling)) process.stdout.write(`${dim(line)}\n`);
    process.stdout.write(dim(`ready after ${seconds(started)}\n`));
    await tour(`http://127.0.0.1:${port}`, glia);
    const calls = dev.lines.filter((line) => /^\[glia\] .*neurons/.test(line));
    process.stdout.write(
      `\n${bold("What glia-dev printed, a line per call")}\n${calls.map((line) => dim(line)).join("\n")}\n`,
    );
  } catch (error) {
    failures++;
    process.stdout.write(`\n${red(error.message)}\n`);
  } finally {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", interrupted);
    if (dev) {
      const code = await dev.end();
      let alive = true;
      for (let tries = 0; alive && tries < 200; tries++) {
        alive = await fetch(`${glia}/version`).then(
          () => true,
          () => false,
        );
        if (alive) await delay(50);
      }
      if (code !== 130 || alive) {
        failures++;
        process.stdout.write(red(alive ? "Glia is still running\n" : `glia-dev ended with ${code}, not 130\n`));
      }
    }
    rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  }
  process.stdout.write(
    failures === 0
      ? `\n${green("Everything answered")}, and everything that was started has ended: ${seconds(started)}.\n`
      : `\n${red(`${failures} failed`)}\n`,
  );
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
