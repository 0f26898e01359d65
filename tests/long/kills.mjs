#!/usr/bin/env node
// glia serve under load is killed again and again and started on the same data. Every answer that a client saw end is in
// the ledger once, with the tokens that the answer named; the day's sums are those of the single charges.
// usage: kills.mjs [rounds=60] [clients=8]     GLIA_BIN names the program (default build/apps/glia/glia)
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";

const rounds = Number(process.argv[2] ?? 60);
const clients = Number(process.argv[3] ?? 8);
const data = mkdtempSync(join(tmpdir(), "glia-kills-"));
const program = process.env.GLIA_BIN ?? "build/apps/glia/glia";
const seen = new Map(); // request id -> usage, as the client saw it end
let cut = 0;

function start() {
  const server = spawn(program, ["serve", "--port", "0", "--data", data, "--log-level", "error"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = new Promise((resolve, reject) => {
    server.once("exit", (code, signal) => reject(new Error(`glia serve ended with ${code ?? signal}`)));
    server.stdout.on("data", (text) => {
      const found = /http:\/\/[\d.]+:\d+/.exec(String(text));
      if (found) resolve(found[0]);
    });
  });
  return { server, url };
}

async function call(base, stream) {
  const answer = await fetch(`${base}/client/v4/accounts/kills/ai/run/@cf/meta/llama-3.1-8b-instruct`, {
    method: "POST",
    body: JSON.stringify({ prompt: "Say a word.", max_tokens: 1 + Math.floor(Math.random() * 8), stream }),
  });
  const id = answer.headers.get("x-request-id");
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`status ${answer.status}: ${text}`);
  if (!stream) return seen.set(id, JSON.parse(text).result.usage);
  if (!text.endsWith("data: [DONE]\n\n")) throw new Error("cut off");
  const last = text.trim().split("\n\n").at(-2);
  seen.set(id, JSON.parse(last.slice("data: ".length)).usage);
}

for (let round = 0; round < rounds; round++) {
  const { server, url } = start();
  const base = await url;
  let killed = false;
  const goal = seen.size + 1 + Math.floor(Math.random() * 40);
  const client = async (index) => {
    while (!killed) {
      try {
        await call(base, index % 2 === 0);
      } catch (error) {
        if (!killed) throw error;
        cut++;
      }
    }
  };
  const running = Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  while (seen.size < goal) await Promise.race([new Promise((done) => setTimeout(done, 1)), running]);
  server.removeAllListeners("exit");
  killed = true;
  server.kill("SIGKILL");
  await new Promise((done) => server.once("exit", done));
  await running;
}

// A last start checks the file, and drains.
const { server, url } = start();
await url;
server.removeAllListeners("exit");
server.kill("SIGTERM");
const code = await new Promise((done) => server.once("exit", done));
if (code !== 0) throw new Error(`glia serve ended with ${code}`);

const db = new DatabaseSync(join(data, "ledger.sqlite"), { readOnly: true });
const one = db.prepare(
  "SELECT count(*) AS n, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion FROM charges WHERE request_id = ?",
);
let wrong = 0;
for (const [id, usage] of seen) {
  const row = one.get(id);
  if (row.n !== 1 || row.prompt !== usage.prompt_tokens || row.completion !== usage.completion_tokens) {
    wrong++;
    console.error(`${id}: the client saw ${JSON.stringify(usage)}, the ledger has ${JSON.stringify(row)}`);
  }
}
const sums = (table, calls) =>
  db
    .prepare(
      `SELECT ${calls} AS calls, sum(prompt_tokens) AS p, sum(completion_tokens) AS c, sum(micros) AS m FROM ${table}`,
    )
    .get();
const charges = sums("charges", "count(*)");
const days = sums("days", "sum(calls)");
console.log(`${rounds} kills, ${seen.size} answers seen to their end, ${cut} cut off, ${charges.calls} charges`);
if (JSON.stringify(charges) !== JSON.stringify(days))
  throw new Error(`sums differ: ${JSON.stringify({ charges, days })}`);
if (wrong > 0) throw new Error(`${wrong} answers are not in the ledger as they were seen`);
if (charges.calls < seen.size || charges.calls > seen.size + cut) throw new Error("more charges than calls");
db.close();
rmSync(data, { recursive: true });
