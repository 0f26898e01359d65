import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { createGlia } from "glia-dev";
import { Miniflare } from "miniflare";

let glia, worker;
before(async () => {
  glia = await createGlia({ seed: 7 });
  worker = new Miniflare({
    modules: true,
    script: readFileSync("../worker/index.mjs", "utf8"),
    compatibilityDate: "2026-03-01",
    ...glia.miniflareOptions("AI", { DOCS: "docs" }),
  });
});
after(async () => {
  await worker.dispose();
  await glia.close();
});

const ask = async (path) => worker.dispatchFetch(`https://worker.test${path}`);

test("a Worker's env.AI answers, equally each time, whole or streamed", async () => {
  const first = await (await ask("/")).json();
  assert.match(first.response, /\S/);
  assert.deepEqual(await (await ask("/")).json(), first);
  const events = await (await ask("/stream")).text();
  const pieces = [...events.matchAll(/^data: (\{.*)$/gm)].map((match) => JSON.parse(match[1]).response);
  assert.equal(pieces.join(""), first.response);
  const usage = await glia.usage();
  assert.equal(usage.count, 3);
  assert.equal(usage.completionTokens, 3 * first.usage.completion_tokens);
});

test("and fails when it is to", async () => {
  await glia.faults([{ fault: 3036 }]);
  const refused = await ask("/");
  assert.equal(refused.status, 502);
  assert.match((await refused.json()).error, /^3036: You have used up your daily free allocation/);
  await glia.faults([{ fault: "cut", afterTokens: 2 }]);
  // Whether Miniflare's fetch reports the break or only ends: what came is no whole answer.
  const text = await (await ask("/stream")).text().catch(() => "");
  assert.doesNotMatch(text, /\[DONE\]/);
});

test("its Vectorize index holds what this run wrote, and nothing of what was before a reset", async () => {
  for (let time = 0; time < 2; time++) assert.deepEqual(await (await ask("/vectors")).json(), ["east", "north"]);
  const count = async () => (await (await fetch(`${index()}/info`)).json()).result?.vectorCount;
  const index = () => `${glia.restUrl}/accounts/${glia.accountId}/vectorize/v2/indexes/docs`;
  assert.equal(await count(), 2, "REST sees the index of the binding");
  await glia.reset();
  assert.equal(await count(), undefined);
});
