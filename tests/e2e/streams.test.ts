// Many streams at once, a third of them left by their readers; and the server killed under load.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../../npm/glia-dev/test/helpers.ts";
import { count_completion, count_prompt, kLongQuestion, kModel, read_events, World, type Streamed } from "./world.ts";

const kStreams = 32;
const kTokens = 40;
/** The dropped ones would go on for long. */
const kLongTokens = 1500;
const question = (index: number): string => `Say something about the number ${index}.`;

const is_dropped = (index: number): boolean => index % 3 === 1;

function open(world: World, index: number, signal?: AbortSignal): Promise<Response> {
  const max_tokens = String(signal ? kLongTokens : kTokens);
  const query = new URLSearchParams({
    question: signal ? kLongQuestion : question(index),
    seed: String(100 + index),
    max_tokens,
  });
  return fetch(`${world.base}/api/stream?${query}`, signal ? { signal } : {});
}

/** Reads two pieces, then leaves. */
async function leave_early(world: World, index: number): Promise<void> {
  const controller = new AbortController();
  const reader = (await open(world, index, controller.signal)).body!.getReader();
  await reader.read();
  await reader.read();
  controller.abort();
}

describe("32 streams, a third left by their readers", () => {
  let world: World;
  let streamed: Array<Streamed | undefined>;
  before(async () => {
    world = await World.start("wrangler");
  });
  after(() => world?.end());

  test("the others are whole", async () => {
    streamed = await Promise.all(
      Array.from({ length: kStreams }, async (_, index) => {
        if (is_dropped(index)) return void (await leave_early(world, index));
        return read_events(await (await open(world, index)).text());
      }),
    );
    for (const [index, stream] of streamed.entries()) {
      if (is_dropped(index)) continue;
      assert.equal(stream!.done, 1, `stream ${index} ended`);
      const counted = { prompt: count_prompt(question(index)), completion: count_completion(stream!.text, kTokens) };
      assert.deepEqual(
        [stream!.usage!.prompt_tokens, stream!.usage!.completion_tokens],
        [counted.prompt, counted.completion],
        `stream ${index}`,
      );
    }
  });

  test("nothing is left of those that were dropped: not running, no KV page held", () => world.idle(3000));

  test("each is, to the letter, what it is alone", async () => {
    for (const [index, stream] of streamed.entries()) {
      if (is_dropped(index)) continue;
      const alone = read_events(await (await open(world, index)).text());
      assert.equal(alone.text, stream!.text, `stream ${index}`);
    }
  });

  test("the ledger has every call, the dropped ones with what they used", async () => {
    const row = await world.ledger();
    const dropped = streamed.filter((stream) => stream === undefined).length;
    assert.equal(row.calls, kStreams + (kStreams - dropped));
    const whole = 2 * streamed.reduce((sum, stream) => sum + (stream?.usage?.completion_tokens ?? 0), 0);
    const charged = row.completion_tokens - whole;
    assert.ok(
      charged >= 2 * dropped && charged < dropped * kLongTokens * 0.5,
      `${charged} tokens of ${dropped} dropped streams`,
    );
    const cancelled = world.run
      .output()
      .split("\n")
      .filter((line) => line.includes("  cancelled, "));
    assert.equal(cancelled.length, dropped, "each dropped one is printed as cancelled");
  });
});

describe("the server killed under load", () => {
  let world: World;
  before(async () => {
    world = await World.start("wrangler");
  });
  after(() => world?.end());

  test("calls under way break off, new ones throw within a second and say what happened; then it answers again", async () => {
    const settled = read_events(await (await open(world, 1)).text());
    const before_kill = await world.ledger();
    assert.equal(before_kill.calls, 1);
    assert.equal(before_kill.completion_tokens, settled.usage!.completion_tokens);

    const whole = world.post<{ error: string }>("/api/chat", {
      question: kLongQuestion,
      seed: 1,
      max_tokens: 400,
    });
    const readers = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const query = new URLSearchParams({ question: kLongQuestion, seed: String(index + 1), max_tokens: "400" });
        const reader = (await fetch(`${world.base}/api/stream?${query}`)).body!.getReader();
        await reader.read();
        return reader;
      }),
    );
    process.kill(world.glia_pid(), "SIGKILL");
    const killed = performance.now();

    const failed = await world.post<{ error: string }>("/api/chat", {
      question: "Still there?",
      seed: 1,
      max_tokens: 8,
    });
    const after_ms = performance.now() - killed;
    if (failed.status !== 200) {
      assert.ok(after_ms < 1500, `answered after ${after_ms} ms`);
      assert.match(failed.body.error, /7503: Glia .*(Try again|Call again|Type: )/);
    }
    const { status, body } = await whole;
    assert.equal(status, 502);
    assert.match(body.error, /7503: Glia stopped while it answered this call\. Call again/);
    for (const reader of readers) {
      let text = "";
      await assert.rejects(async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          text += Buffer.from(value).toString();
        }
        assert.ok(text.includes("[DONE]"), "a cut stream must not end as a whole one");
        text = "whole";
      });
      assert.notEqual(text, "whole");
    }

    await until(
      "it answers again",
      async () => (await world.post("/api/chat", { question: "And now?", seed: 2, max_tokens: 8 })).status === 200,
      20_000,
    );
    assert.match(world.run.output(), /\[glia\] Glia stopped unexpectedly \(SIGKILL\) and is being started again/);
    assert.match(world.run.output(), /\[glia\] Glia is back; env\.AI answers again/);
    assert.equal(world.run.output().match(/SIGKILL/g)!.length, 1);
  });

  test("the ledger is intact: what was settled is there, and the calls after it", async () => {
    const row = (await world.ledger_by_command()).find((entry) => entry.model === kModel)!;
    assert.deepEqual(row, await world.ledger());
    assert.ok(row.calls >= 2 && row.calls <= 4, `${row.calls} calls`);
  });
});
