const { readFileSync } = require("node:fs");
const { createGlia } = require("glia-dev");
const { Miniflare } = require("miniflare");

let glia, worker;
beforeAll(async () => {
  glia = await createGlia({ seed: 7 });
  worker = new Miniflare({
    modules: true,
    script: readFileSync("../worker/index.mjs", "utf8"),
    compatibilityDate: "2026-03-01",
    ...glia.miniflareOptions("AI", { DOCS: "docs" }),
  });
}, 30_000);
afterAll(async () => {
  await worker.dispose();
  await glia.close();
});

const ask = async (path) => worker.dispatchFetch(`https://worker.test${path}`);

test("a Worker's env.AI answers, equally each time; and fails when it is to", async () => {
  const first = await (await ask("/")).json();
  expect(first.response).toMatch(/\S/);
  expect(await (await ask("/")).json()).toEqual(first);
  await glia.faults([{ fault: 3021 }]);
  expect(await (await ask("/vectors")).json()).toEqual(["east", "north"]);
  const refused = await ask("/");
  expect(refused.status).toBe(502);
  expect((await refused.json()).error).toMatch(/^3021: Too many requests/);
}, 30_000);
