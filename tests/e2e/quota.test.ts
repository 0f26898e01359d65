// The free plan, rehearsed by one Worker for itself: what the Worker sees when the day's neurons are used up.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { kModel, World } from "./world.ts";

describe("glia-dev --plan free", () => {
  let world: World;
  before(async () => {
    world = await World.start("wrangler", { flags: ["--plan", "free"] });
  });
  after(() => world?.end());
  const chat = (question: string) =>
    world.post<{ answer?: string; error?: string }>("/api/chat", { question, max_tokens: 20 });

  test("answers within the allocation", async () => {
    assert.equal((await chat("Say hello.")).status, 200);
  });

  test("past it, the Worker gets the service's error", async () => {
    world.charge_elsewhere(9999);
    assert.equal((await chat("Say it again.")).status, 200, "what another process charged is seen with this charge");
    const { status, body } = await chat("And again.");
    assert.notEqual(status, 200);
    assert.match(body.error!, /3036: You have used up your daily free allocation of 10,000 neurons/);
  });

  test("the server itself is on plan paid, and others are not held to it", async () => {
    const response = await fetch(`${world.glia}/client/v4/accounts/local/ai/run/${kModel}`, {
      method: "POST",
      body: JSON.stringify({ prompt: "Hello", max_tokens: 2 }),
    });
    assert.equal(response.status, 200);
  });
});
