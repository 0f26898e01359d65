// Finding, starting, losing and getting back to glia serve, and the relay in front of it.
import assert from "node:assert/strict";
import * as http from "node:http";
import * as net from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Glia, type GliaOptions } from "../src/glia/glia.ts";
import { Relay } from "../src/relay.ts";
import { free_port, mock_program, temporary_folder, until } from "./helpers.ts";
import { MockGlia } from "./mock-glia.ts";

let folder: ReturnType<typeof temporary_folder>;
let cleanups: Array<() => unknown> = [];
let lost: string[] = [];

beforeEach(() => {
  folder = temporary_folder();
  lost = [];
});
afterEach(async () => {
  for (const clean of cleanups.reverse()) await clean();
  cleanups = [];
  folder.remove();
});

function client(port: number, options: Partial<GliaOptions> = {}): Glia {
  const glia = new Glia({
    url: new URL(`http://127.0.0.1:${port}`),
    may_start: true,
    env: { ...process.env, GLIA_BIN: mock_program(folder.path), XDG_STATE_HOME: folder.path },
    folder: folder.path,
    project: "test",
    on_call() {},
    on_connected() {},
    on_lost: (text) => lost.push(text),
    ...options,
  });
  cleanups.push(() => glia.close());
  glia.start();
  return glia;
}

async function server(
  options: ConstructorParameters<typeof MockGlia>[0] = {},
): Promise<{ mock: MockGlia; port: number }> {
  const mock = new MockGlia(options);
  const port = await mock.listen();
  cleanups.push(() => mock.close());
  return { mock, port };
}

async function problem_within_1s(glia: Glia): Promise<string> {
  const started = performance.now();
  const ready = await glia.ready_within(800);
  assert.ok(performance.now() - started < 1000, "answered within a second");
  assert.ok("problem" in ready, "there is a problem");
  return ready.problem;
}

describe("finding and starting", () => {
  test("a running glia of this version is shared", async () => {
    const { mock, port } = await server();
    assert.ok("session" in (await client(port).ready_within(2000)));
    assert.ok("session" in (await client(port).ready_within(2000)));
    assert.equal(mock.sessions, 2);
  });

  test("closing gives the session back", async () => {
    const { mock, port } = await server();
    const glia = client(port);
    await glia.ready_within(2000);
    await glia.close();
    assert.equal(mock.sessions, 0);
  });

  test("where nothing listens the program is started, and ends with the last lease", async () => {
    const port = await free_port();
    const glia = client(port);
    assert.ok("session" in (await glia.ready_within(5000)));
    await glia.close();
    await until(
      "the program ended",
      async () =>
        !(await fetch(`http://127.0.0.1:${port}/version`).then(
          () => true,
          () => false,
        )),
      5000,
    );
  });

  test("with a given URL nothing is started", async () => {
    const port = await free_port();
    assert.equal(
      await problem_within_1s(client(port, { may_start: false })),
      `Glia is not running at http://127.0.0.1:${port}. Type: glia serve --port ${port}`,
    );
  });

  test("a loading glia is waited for, and each question answered within a second", async () => {
    const { port } = await server({ loading_ms: 1500 });
    const glia = client(port);
    assert.match(await problem_within_1s(glia), /still loading its weights\. Try again/);
    assert.ok("session" in (await glia.ready_within(3000)));
  });

  test("another version is not used", async () => {
    const { port } = await server({ version: "0.0.9" });
    assert.match(
      await problem_within_1s(client(port)),
      new RegExp(`Glia 0\\.0\\.9 runs at .*this is glia-dev .*npx glia-dev --glia-port ${port + 1}`),
    );
  });

  test("another protocol is another version", async () => {
    const { port } = await server({ protocol: 2 });
    assert.match(await problem_within_1s(client(port)), /this is glia-dev/);
  });

  test("another program on the port is named as such, HTTP or not", async () => {
    const web = http.createServer((_, response) => response.end("<html>")).listen(0, "127.0.0.1");
    const ssh = net.createServer((socket) => socket.end("SSH-2.0-x\r\n")).listen(0, "127.0.0.1");
    for (const other of [web, ssh]) {
      await new Promise((resolve) => (other.listening ? resolve(0) : other.once("listening", resolve)));
      cleanups.push(() => other.close());
      const { port } = other.address() as net.AddressInfo;
      assert.equal(
        await problem_within_1s(client(port)),
        `Port ${port} is taken by another program, which is not Glia. Type: npx glia-dev --glia-port ${port + 1}`,
      );
    }
  });

  test("a program that fails to start is quoted", async () => {
    const env = {
      ...process.env,
      GLIA_BIN: mock_program(folder.path),
      XDG_STATE_HOME: folder.path,
      MOCK_GLIA_FAIL: "weights are damaged",
    };
    const ready = await client(await free_port(), { env }).ready_within(5000);
    assert.ok("problem" in ready);
    assert.match(ready.problem, /did not start \(exit code 1\): weights are damaged\. The whole log: .*serve-\d+\.log/);
  });

  test("a program that is not there is an error, not a crash", async () => {
    const ready = await client(await free_port(), {
      env: { GLIA_BIN: "/nowhere/glia", XDG_STATE_HOME: folder.path },
    }).ready_within(3000);
    assert.ok("problem" in ready);
    assert.match(ready.problem, /did not start \(\/nowhere\/glia: ENOENT\)/);
  });
});

describe("losing it", () => {
  test("a foreign glia that went is said, and used again when it is back", async () => {
    const { mock, port } = await server();
    const glia = client(port);
    await glia.ready_within(2000);
    await mock.close();
    await until("the loss is noticed", () => lost.length === 1, 2000);
    assert.match(await problem_within_1s(glia), /not running at .* Type: glia serve/);
    await server({ port });
    assert.ok("session" in (await glia.ready_within(3000)));
  });

  test("our own, killed, is started again, three times a minute at most", async () => {
    const port = await free_port();
    const program_pid = async (): Promise<number> =>
      Number(await (await fetch(`http://127.0.0.1:${port}/mock/pid`)).text());
    const glia = client(port);
    for (let kill = 1; kill <= 4; kill++) {
      await until(`connected ${kill}`, async () => "session" in (await glia.ready_within(500)), 5000);
      process.kill(await program_pid(), "SIGKILL");
      await until(`loss ${kill} noticed`, () => lost.length === kill, 2000);
      assert.match(lost.at(-1)!, /Glia stopped unexpectedly \(SIGKILL\) and is being started again/);
    }
    await until("given up", async () => /keeps stopping \(SIGKILL\)/.test(await problem_within_1s(glia)), 3000);
  });
});

describe("the relay", () => {
  async function relayed(
    port: number,
    options: Partial<GliaOptions> = {},
  ): Promise<{ base: string; relay: Relay; refused: string[]; glia: Glia }> {
    const refused: string[] = [];
    const glia = client(port, { may_start: false, ...options });
    const relay = new Relay({ glia, on_refused: (model, problem) => refused.push(`${model} ${problem}`) });
    const base = await relay.listen();
    cleanups.push(() => relay.close());
    return { base, relay, refused, glia };
  }

  const call = (base: string, inputs: object, signal?: AbortSignal): Promise<Response> =>
    fetch(`${base}/bind/5`, {
      method: "POST",
      headers: {
        "mf-url": "https://workers-binding.ai/run?version=3",
        "mf-binding": "AI",
        "mf-header-cf-consn-model-id": "@cf/meta/llama-3.1-8b-instruct",
      },
      body: JSON.stringify({ inputs, options: {} }),
      ...(signal ? { signal } : {}),
    });

  test("answers itself within a second while glia is down, in the shape that workerd reads", async () => {
    const { base, refused } = await relayed(await free_port());
    const started = performance.now();
    const response = await call(base, { prompt: "x" });
    assert.ok(performance.now() - started < 1000);
    assert.equal(response.status, 503);
    assert.equal(response.headers.get("content-type"), "application/json");
    const body = (await response.json()) as { internalCode: number; description: string };
    assert.equal(body.internalCode, 7503);
    assert.match(body.description, /not running .* Type: glia serve/);
    assert.match(refused[0]!, /^@cf\/meta\/llama-3\.1-8b-instruct Glia is not running/);
  });

  test("passes pieces on as they come", async () => {
    const { port } = await server({ token_ms: 60 });
    const { base } = await relayed(port);
    const started = performance.now();
    const reader = (await call(base, { prompt: "x", stream: true, max_tokens: 10 })).body!.getReader();
    await reader.read();
    const first = performance.now() - started;
    while (!(await reader.read()).done);
    const whole = performance.now() - started;
    assert.ok(first < whole / 2, `first piece after ${first} ms of ${whole} ms`);
  });

  test("a caller that leaves cancels the run", async () => {
    const { mock, port } = await server({ token_ms: 20 });
    const { base } = await relayed(port);
    const leave = new AbortController();
    const response = await call(base, { prompt: "x", stream: true, max_tokens: 1000 }, leave.signal);
    await response.body!.getReader().read();
    assert.equal(mock.running, 1);
    leave.abort();
    await until("the run ended", () => mock.running === 0, 1000);
  });

  test("a glia that dies under calls: whole answers fail with a text, streams break off", async () => {
    const { mock, port } = await server({ token_ms: 50 });
    const { base } = await relayed(port);
    const whole = call(base, { prompt: "x", max_tokens: 1000 });
    const stream = await call(base, { prompt: "x", stream: true, max_tokens: 1000 });
    await stream.body!.getReader().read();
    const second = await call(base, { prompt: "x", stream: true, max_tokens: 1000 });
    const broken = assert.rejects(second.text());
    await mock.close();
    const body = (await (await whole).json()) as { description: string };
    assert.match(body.description, /Glia stopped while it answered this call/);
    await broken;
  });

  test("another binding name is registered when it first comes", async () => {
    const { mock, port } = await server();
    const { base } = await relayed(port);
    const response = await fetch(`${base}/bind/4`, {
      method: "POST",
      headers: {
        "mf-url": "https://workers-binding.ai/run?version=3",
        "mf-binding": "BRAIN",
        "mf-header-cf-consn-model-id": "@cf/meta/llama-3.1-8b-instruct",
      },
      body: JSON.stringify({ inputs: { prompt: "x" } }),
    });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("mf-forwarded-response"), null);
    assert.deepEqual(mock.bindings, [{ AI: { type: "ai" }, BRAIN: { type: "ai" } }], "of one session");
  });

  test("paths without the token are not served; a WebSocket probe is settled at once", async () => {
    const { base } = await relayed(await free_port());
    const url = new URL(base);
    assert.equal((await fetch(`${url.origin}/bind/5`, { method: "POST" })).status, 404);
    const socket = net.connect(Number(url.port), "127.0.0.1");
    socket.write(
      `GET ${url.pathname}/bind/4?MF-Binding=AI HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    );
    const answer = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
    assert.match(answer, /^HTTP\/1\.1 503 .*internalCode/s);
    socket.destroy();
  });
});
