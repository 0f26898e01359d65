import { SELF } from "cloudflare:test";
import { expect, test } from "vitest";

const ask = async (path) => SELF.fetch(`https://worker.test${path}`);

test("a Worker's env.AI answers, equally each time, whole or streamed; and fails when it is to", async () => {
  const first = await (await ask("/")).json();
  expect(first.response).toMatch(/\S/);
  expect(first.usage.completion_tokens).toBe(8);
  expect(await (await ask("/")).json()).toEqual(first);
  const events = await (await ask("/stream")).text();
  const pieces = [...events.matchAll(/^data: (\{.*)$/gm)].map((match) => JSON.parse(match[1]).response);
  expect(pieces.join("")).toBe(first.response);
  expect(events.trimEnd().endsWith("data: [DONE]")).toBe(true);
  const refused = await ask("/");
  expect(refused.status).toBe(502);
  expect((await refused.json()).error).toBe("3040: Capacity temporarily exceeded, please try again.");
});

test("its Vectorize index holds what this run wrote, and nothing else", async () => {
  for (let time = 0; time < 2; time++) expect(await (await ask("/vectors")).json()).toEqual(["east", "north"]);
});
