#!/usr/bin/env node
// glia serve is killed again and again at random points under writers of vectors, and started on the same data. Every
// mutation that was answered is there: an upsert with its values, a delete by its absence; a mutation that was under way
// is there whole or not at all; no vector is there twice; processedUpToDatetime never goes back.
// usage: vector_kills.mjs [rounds=200] [writers=16]     GLIA_BIN names the program (default build/apps/glia/glia)
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const rounds = Number(process.argv[2] ?? 200);
const writers = Number(process.argv[3] ?? 16);
const idsPerWriter = 12;
const dimensions = 32;
const data = mkdtempSync(join(tmpdir(), "glia-vector-kills-"));
const program = process.env.GLIA_BIN ?? "build/apps/glia/glia";
let answered = 0;
let cut = 0;
let startMs = 0;

function start() {
  const args = ["serve", "--port", "0", "--data", data, "--log-level", "error", "--vector-delay", "20ms"];
  const server = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
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
  const answer = await fetch(`${base}/client/v4/accounts/kills/vectorize/v2/indexes${path}`, { method, body });
  const json = await answer.json();
  if (!json.success) throw new Error(`${method} ${path}: ${JSON.stringify(json.errors)}`);
  return json.result;
}

// Of each id: the newest answered version (0: absent), and versions that were sent and not answered.
const ids = new Map();
for (let w = 0; w < writers; w++) {
  for (let i = 0; i < idsPerWriter; i++) ids.set(`w${w}-${i}`, { version: 0, open: [] });
}
const values = (version) => Array.from({ length: dimensions }, (_, i) => (version * 31 + i * 7) % 1009);
let version = 0;

/** One mutation of a writer over some of its ids: versions by id, 0 for a delete. */
function mutation(w) {
  const some = [];
  for (let i = 0; i < idsPerWriter; i++) if (Math.random() < 0.4) some.push(`w${w}-${i}`);
  if (some.length === 0) some.push(`w${w}-0`);
  const remove = Math.random() < 0.25;
  version += 1;
  return { some, remove, version: remove ? 0 : version };
}

async function write(base, w) {
  const m = mutation(w);
  for (const id of m.some) ids.get(id).open.push(m.version);
  const body = m.remove
    ? JSON.stringify({ ids: m.some })
    : m.some
        .map((id) => JSON.stringify({ id, values: values(m.version), metadata: { version: m.version } }))
        .join("\n");
  await call(base, "POST", m.remove ? "/v/delete_by_ids" : "/v/upsert", body);
  for (const id of m.some) Object.assign(ids.get(id), { version: m.version, open: [] });
  answered += 1;
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

async function check(base) {
  const there = new Map();
  const all = [...ids.keys()];
  for (let i = 0; i < all.length; i += 20) {
    for (const v of await call(base, "POST", "/v/get_by_ids", JSON.stringify({ ids: all.slice(i, i + 20) }))) {
      if (there.has(v.id)) throw new Error(`${v.id} is there twice`);
      there.set(v.id, v);
    }
  }
  for (const [id, known] of ids) {
    const v = there.get(id);
    const found = v?.metadata.version ?? 0;
    if (v && !same(v.values, values(found))) throw new Error(`${id} has not the values of its version`);
    if (found !== known.version && !known.open.includes(found)) {
      throw new Error(`${id}: version ${found} is there; ${known.version} was answered, under way was ${known.open}`);
    }
    Object.assign(known, { version: found, open: [] });
  }
  const list = await call(base, "GET", "/v/list?count=1000");
  const listed = list.vectors.map((v) => v.id);
  if (new Set(listed).size !== listed.length || listed.length !== there.size || list.totalCount !== there.size) {
    throw new Error(`${listed.length} are listed, ${there.size} are there`);
  }
  return there.size;
}

async function settled(base) {
  for (;;) {
    const info = await call(base, "GET", "/v/info");
    await new Promise((done) => setTimeout(done, 30));
    const again = await call(base, "GET", "/v/info");
    if (info.processedUpToMutation === again.processedUpToMutation) return again;
  }
}

let newest = "";
for (let round = 0; round <= rounds; round++) {
  const began = performance.now();
  const { server, url } = start();
  const base = await url;
  if (round === 0) {
    await call(base, "POST", "", JSON.stringify({ name: "v", config: { dimensions, metric: "euclidean" } }));
  } else {
    const info = await settled(base);
    startMs = Math.max(startMs, performance.now() - began);
    if (newest !== "" && info.processedUpToDatetime < newest) throw new Error("processedUpTo went back");
    newest = info.processedUpToDatetime ?? newest;
    await check(base);
  }
  if (round === rounds) {
    server.removeAllListeners("exit");
    server.kill("SIGTERM");
    await new Promise((done) => server.once("exit", done));
    break;
  }
  let killed = false;
  const goal = answered + 1 + Math.floor(Math.random() * 120);
  const running = Promise.all(
    Array.from({ length: writers }, async (_, w) => {
      while (!killed) {
        try {
          await write(base, w);
        } catch (error) {
          if (!killed) throw error;
          cut++;
          return;
        }
      }
    }),
  );
  while (answered < goal) await Promise.race([new Promise((done) => setTimeout(done, 1)), running]);
  await new Promise((done) => setTimeout(done, Math.random() * 5));
  server.removeAllListeners("exit");
  killed = true;
  server.kill("SIGKILL");
  await new Promise((done) => server.once("exit", done));
  await running;
}
console.log(
  `${rounds} kills under ${writers} writers: ${answered} mutations answered, ${cut} cut off, none lost or doubled`,
);
console.log(`longest start with all checks' first answers: ${Math.round(startMs)} ms`);
rmSync(data, { recursive: true });
