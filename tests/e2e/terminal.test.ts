// Ctrl-C in a terminal ends wrangler, workerd and the real glia, and exits with 130.
import assert from "node:assert/strict";
import { test } from "node:test";
import { left_running, nothing_left } from "../../npm/glia-dev/test/helpers.ts";
import { kLongQuestion, World, type WranglerName } from "./world.ts";

for (const wrangler of ["wrangler", "wrangler-486"] satisfies WranglerName[]) {
  test(`Ctrl-C under ${wrangler}, a call under way`, async () => {
    const world = await World.start(wrangler, { terminal: true });
    try {
      const response = await fetch(
        `${world.base}/api/stream?${new URLSearchParams({ question: kLongQuestion, seed: "2", max_tokens: "2000" })}`,
      );
      await response.body!.getReader().read();
      for (const name of ["workerd", "wrangler", "serve --port"]) {
        assert.ok(
          left_running(world.run.mark).some((line) => line.includes(name)),
          `${name} runs`,
        );
      }
      world.run.process.stdin!.write("\x03");
      assert.equal(await world.run.exited, 130);
      await nothing_left(world.run.mark, 8000);
    } finally {
      await world.end();
    }
  });
}
