// A server that hangs is told from one that takes its time.
import assert from "node:assert/strict";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { when_silent } from "../src/glia/liveness.ts";
import { until } from "./helpers.ts";

const kPatience = { every_ms: 20, times: 2 };

async function server(answer: http.RequestListener): Promise<{ url: URL; close: () => void }> {
  const listening = http.createServer(answer);
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return {
    url: new URL(`http://127.0.0.1:${(listening.address() as AddressInfo).port}/bind/x`),
    close() {
      listening.close();
      listening.closeAllConnections();
    },
  };
}

test("one that says its version lives, however long a call takes", async () => {
  let asked = 0;
  const { url, close } = await server((request, response) => {
    if (request.url === "/version") asked++;
    response.end("{}");
  });
  let silent = false;
  const stop = when_silent(url, () => (silent = true), kPatience);
  await until("it is asked again and again", () => asked > 4);
  assert.equal(silent, false);
  stop();
  const before = asked;
  await delay(100);
  assert.ok(asked <= before + 1, "nobody asks once it is stopped");
  close();
});

test("one that takes connections and says nothing is silent", async () => {
  const { url, close } = await server(() => {});
  let silent = 0;
  when_silent(url, () => silent++, kPatience);
  await until("that is noticed", () => silent > 0);
  assert.equal(silent, 1);
  close();
});

test("one that has gone is not called silent", async () => {
  const { url, close } = await server(() => {});
  close();
  let silent = false;
  const stop = when_silent(url, () => (silent = true), kPatience);
  await delay(200);
  assert.equal(silent, false);
  stop();
});
