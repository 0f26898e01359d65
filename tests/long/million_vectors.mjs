#!/usr/bin/env node
// A large index is killed and must be there again: rows of vectors are written over HTTP, the graph is built, glia serve is
// killed, and the time from its start to the first answer of a query is taken. Every vector is found by its own values.
// usage: million_vectors.mjs [rows=1000000] [dimensions=384] [seconds=10]     GLIA_BIN names the program
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const rows = Number(process.argv[2] ?? 1_000_000);
const dimensions = Number(process.argv[3] ?? 384);
const bar = Number(process.argv[4] ?? 10);
const data = mkdtempSync(join(tmpdir(), "glia-million-"));
const program = process.env.GLIA_BIN ?? "build/apps/glia/glia";

function start() {
  const server = spawn(program, ["serve", "--port", "0", "--data", data, "--log-level", "warn"], {
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

async function call(base, method, path, body) {
  for (;;) {
    const answer = await fetch(`${base}/client/v4/accounts/big/vectorize/v2/indexes${path}`, { method, body });
    const json = await answer.json();
    if (json.success) return json.result;
    if (answer.status !== 429) throw new Error(`${method} ${path}: ${JSON.stringify(json.errors)}`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

/** The same values for a row in every run, in clusters of fifty: 0.000 to 0.999 as text. */
const digits = Array.from({ length: 1000 }, (_, i) => (i / 1000).toFixed(3));
function values(row) {
  let seed = (row * 2654435761) >>> 0;
  let cluster = (Math.floor(row / 50) * 40503 + 1) >>> 0;
  const out = new Array(dimensions);
  for (let i = 0; i < dimensions; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    cluster = (Math.imul(cluster, 1664525) + 1013904223) >>> 0;
    out[i] = digits[((cluster >>> 22) * 700 + (seed >>> 22) * 276) >> 10];
  }
  return `[${out.join(",")}]`;
}

const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

let { server, url } = start();
let base = await url;
await call(base, "POST", "", JSON.stringify({ name: "m", config: { dimensions, metric: "cosine" } }));
const began = performance.now();
const kBatch = 2000;
for (let row = 0; row < rows;) {
  const calls = [];
  for (let c = 0; c < 4 && row < rows; c++) {
    let body = "";
    for (const end = Math.min(rows, row + kBatch); row < end; row++)
      body += `{"id":"${row}","values":${values(row)}}\n`;
    calls.push(call(base, "POST", "/m/upsert", body));
  }
  await Promise.all(calls);
}
console.log(`${rows} vectors of ${dimensions} values written in ${Math.round((performance.now() - began) / 1000)} s`);

const nearest = (row) => call(base, "POST", "/m/query", `{"vector":${values(row)},"topK":10}`);
while ((await call(base, "GET", "/m/info")).vectorCount < rows) await new Promise((done) => setTimeout(done, 200));
const graph = join(data, "vectorize/graph-1.bin");
let size = -1;
for (;;) {
  const now = existsSync(graph) ? statSync(graph).size : 0;
  if (now > 0 && now === size && now > rows * 60) break; // saved, and not growing any more
  size = now;
  await new Promise((done) => setTimeout(done, 3000));
}
console.log(`graph built and saved ${Math.round((performance.now() - began) / 1000)} s after the first write`);
await nearest(1);

async function speed() {
  let right = 0;
  const tries = 200;
  const from = performance.now();
  for (let i = 0; i < tries; i++) {
    const row = Math.floor((i * rows) / tries);
    if ((await nearest(row)).matches[0].id === String(row)) right++;
  }
  return { ms: (performance.now() - from) / tries, right: right / tries };
}
const before = await speed();
console.log(
  `a query over HTTP ${before.ms.toFixed(2)} ms, itself first ${before.right}; ${Math.round(memory(server.pid))} MiB`,
);

server.removeAllListeners("exit");
server.kill("SIGKILL");
await new Promise((done) => server.once("exit", done));
const killed = performance.now();
({ server, url } = start());
base = await url;
await nearest(7);
const seconds = (performance.now() - killed) / 1000;
const after = await speed();
console.log(
  `after a kill the first query is answered ${seconds.toFixed(1)} s after the start; then ${after.ms.toFixed(2)} ms, itself first ${after.right}`,
);
const count = (await call(base, "GET", "/m/info")).vectorCount;
server.removeAllListeners("exit");
server.kill("SIGTERM");
await new Promise((done) => server.once("exit", done));
rmSync(data, { recursive: true });
if (count !== rows) throw new Error(`${count} of ${rows} vectors are there`);
if (before.right < 0.97 || after.right < 0.97) throw new Error("vectors do not find themselves");
if (seconds > bar) throw new Error(`${seconds.toFixed(1)} s, the bar is ${bar}`);
