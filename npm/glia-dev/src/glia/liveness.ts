// Whether a server that takes its time still lives. A long run or weights that load are no reason to give up on a call; a
// program that does not even say its version is: it was stopped, or hangs.
import { setTimeout as delay } from "node:timers/promises";

export interface Patience {
  every_ms: number;
  /** This many askings in a row without an answer are enough. */
  times: number;
}

const kPatience: Patience = { every_ms: 4000, times: 3 };
const kAnswerWithinMs = 2000;

/** Asks the server at `url` now and then, and calls `then` once when it has gone silent. Returns how to stop that. */
export function when_silent(url: URL, then: () => void, { every_ms, times }: Patience = kPatience): () => void {
  const stop = new AbortController();
  const version = new URL("/version", url);
  void (async () => {
    for (let silent = 0; silent < times;) {
      await delay(every_ms, undefined, { signal: stop.signal, ref: false });
      silent = (await answers(version, stop.signal)) ? 0 : silent + 1;
    }
    then();
  })().catch(() => {});
  return () => stop.abort();
}

/** A connection that is refused or broken is an answer too: then the call itself breaks. */
async function answers(url: URL, stop: AbortSignal): Promise<boolean> {
  const late = AbortSignal.timeout(kAnswerWithinMs);
  try {
    await (await fetch(url, { signal: AbortSignal.any([stop, late]) })).arrayBuffer();
    return true;
  } catch {
    return !late.aborted;
  }
}
