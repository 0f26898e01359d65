// The whole way with the network taken away: in a network namespace whose only interface is loopback, every handler answers,
// and the kernel's count of packets and connections without a route says that nothing outside was even tried.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

async function inside(script: string): Promise<{ stdout: string }> {
  const namespaces = process.getuid!() === 0 ? ["--net", "--mount"] : ["--map-root-user", "--net", "--mount"];
  const words = [
    ...namespaces,
    "python3",
    new URL("offline_namespace.py", import.meta.url).pathname,
    process.execPath,
    "--no-warnings",
    new URL(script, import.meta.url).pathname,
  ];
  return promisify(execFile)("unshare", words, { maxBuffer: 1 << 24 });
}

test("the count notices an attempt, by address and by name", async () => {
  const { stdout } = await inside("offline_attempt.ts");
  assert.match(stdout, /attempts [1-9]/);
});

for (const wrangler of ["wrangler", "wrangler-486"]) {
  test(`${wrangler}: answers, and attempts nothing outside`, async () => {
    process.env.OFFLINE_WRANGLER = wrangler;
    const { stdout } = await inside("offline_inside.ts");
    assert.match(stdout, /answers 6\nattempts 0\n/, stdout);
  });
}
