// Sends a recorded answer as the program would: byte for byte, at once or in its own time.
import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Answer } from "./cassette.ts";

export type ReplaySpeed = "instant" | "real";

export async function play(
  answer: Answer,
  speed: ReplaySpeed,
  response: ServerResponse,
  extra: Record<string, string>,
): Promise<void> {
  const start = performance.now();
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const headers = { ...answer.headers, ...extra };
  const whole = answer.body ?? (answer.base64 === undefined ? undefined : Buffer.from(answer.base64, "base64"));
  if (whole !== undefined && !answer.cut) {
    response.writeHead(answer.status, { ...headers, "content-length": Buffer.byteLength(whole) }).end(whole);
    return;
  }
  response.writeHead(answer.status, headers).flushHeaders();
  for (const [ms, text] of whole === undefined ? (answer.stream ?? []) : [[0, whole] as const]) {
    const wait = speed === "real" ? ms - (performance.now() - start) : 0;
    if (wait > 0) await delay(wait, undefined, { signal: gone.signal, ref: false }).catch(() => {});
    if (response.destroyed) return;
    await new Promise<void>((resolve) => response.write(text, () => resolve()));
  }
  if (answer.cut) response.destroy();
  else response.end();
}
