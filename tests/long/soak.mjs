#!/usr/bin/env node
// Half an hour of mixed calls against one glia serve: whole answers, streams, streams that are left, bad input. At the end
// nothing runs, no KV page is held, memory has not grown, and the ledger has a row for every call that was answered.
// usage: soak.mjs [minutes=30] [clients=16]     GLIA_BIN names the program (default build/apps/glia/glia)
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const minutes = Number(process.argv[2] ?? 30);
const clients = Number(process.argv[3] ?? 16);
const data = mkdtempSync(join(tmpdir(), "glia-soak-"));
const program = process.env.GLIA_BIN ?? "build/apps/glia/glia";
const server = spawn(program, ["serve", "--port", "0", "--data", data, "--log-level", "error"], {
  stdio: ["ignore", "pipe", "inherit"],
});
const base = await new Promise((resolve, reject) => {
  server.on("exit", (code) => reject(new Error(`glia serve ended with ${code}`)));
  server.stdout.on("data", (text) => {
    const found = /http:\/\/[\d.]+:\d+/.exec(String(text));
    if (found) resolve(found[0]);
  });
});

// A seeded generator, so that a run can be repeated (what overlaps with what cannot).
let state = 1;
function random(n) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const url = `${base}/client/v4/accounts/soak/ai/run/@cf/meta/llama-3.1-8b-instruct`;
const post = (body, signal) =>
  fetch(url, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), signal });
const question = () => [{ role: "user", content: `Write ${1 + random(40)} words about number ${random(1000)}.` }];
const counts = { whole: 0, streamed: 0, left: 0, refused: 0 };

const kinds = {
  async whole() {
    const answer = await post({ messages: question(), max_tokens: 1 + random(48) });
    const { success, result } = await answer.json();
    if (!success || result.usage.completion_tokens < 1) throw new Error("a whole answer failed");
  },
  async streamed() {
    const text = await (await post({ messages: question(), max_tokens: 1 + random(48), stream: true })).text();
    if (text.split("data: [DONE]").length !== 2 || !text.includes('"usage"'))
      throw new Error("a stream did not end well");
  },
  async left() {
    const stop = new AbortController();
    const answer = await post({ messages: question(), max_tokens: 400, stream: true }, stop.signal);
    const reader = answer.body.getReader();
    for (let i = random(5); i >= 0; i--) await reader.read();
    stop.abort();
  },
  async refused() {
    const [body, code] = [
      ['{"messages": [', 5006],
      ['{"messages": [{"role": "user"}]}', 5006],
      ['{"prompt": "x", "max_tokens": 0.5}', 5006],
      [`{"prompt": ${JSON.stringify("word ".repeat(20000))}}`, 5021],
    ][random(4)];
    const { errors } = await (await post(body)).json();
    if (errors[0]?.code !== code) throw new Error(`expected ${code}, got ${JSON.stringify(errors)}`);
  },
};

const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]) / 1024;
const status = async () => (await fetch(`${base}/glia/v1/status`)).json();
const end = Date.now() + minutes * 60_000;
const warm = Date.now() + Math.min(60_000, minutes * 15_000);
let baseline = 0;
async function client() {
  while (Date.now() < end) {
    const kind = ["whole", "streamed", "left", "refused"][random(4)];
    await kinds[kind]();
    counts[kind]++;
    if (baseline === 0 && Date.now() > warm) baseline = rss();
  }
}
await Promise.all(Array.from({ length: clients }, client));

for (let i = 0; i < 50; i++) {
  const { models } = await status();
  if (models.every((m) => m.running + m.queued + m.kv_pages_used === 0)) break;
  if (i === 49) throw new Error(`something is left: ${JSON.stringify(models)}`);
  await new Promise((done) => setTimeout(done, 100));
}
const grown = rss() - baseline;
const rows = await (await fetch(`${base}/glia/v1/usage?days=2&account=soak`)).json();
const billed = rows.reduce((sum, row) => sum + row.calls, 0);
const answered = counts.whole + counts.streamed;
console.log(
  `${JSON.stringify(counts)}, ${billed} billed, resident ${baseline.toFixed(0)} MiB then ${grown >= 0 ? "+" : ""}${grown.toFixed(1)} MiB`,
);
if (billed < answered || billed > answered + counts.left) throw new Error("the ledger does not match the answers");
if (grown > 32) throw new Error("memory grew");
server.removeAllListeners("exit");
server.kill("SIGTERM");
const code = await new Promise((done) => server.on("exit", done));
if (code !== 0) throw new Error(`glia serve ended with ${code}`);
rmSync(data, { recursive: true });
