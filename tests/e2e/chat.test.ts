// Every handler of the example answers from the real model: the exact text under a seed, its tokens counted again here, and
// the ledger's row.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  answer_in_terminal,
  count_completion,
  count_prompt,
  kLongQuestion,
  kModel,
  kPrice,
  kWeights,
  World,
  type UsageRow,
  type WranglerName,
} from "./world.ts";

interface ChatAnswer {
  answer: string;
  usage: { promptTokens: number; completionTokens: number };
  cached: boolean;
  count: number;
}

function close(actual: number, expected: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= 1e-6 * Math.max(1, Math.abs(expected)),
    `${what}: ${actual}, expected ${expected}`,
  );
}

for (const wrangler of ["wrangler", "wrangler-486"] satisfies WranglerName[]) {
  describe(`under ${wrangler}`, () => {
    let world: World;
    before(async () => {
      world = await World.start(wrangler);
    });
    after(() => world?.end());

    /** Runs `act`, and holds what the ledger gained to what was counted here. */
    async function charged(act: () => Promise<Array<{ prompt: number; completion: number }>>): Promise<void> {
      const was = await world.ledger();
      const counted = await act();
      const is = await world.ledger();
      const prompt = counted.reduce((sum, call) => sum + call.prompt, 0);
      const completion = counted.reduce((sum, call) => sum + call.completion, 0);
      assert.equal(is.calls - was.calls, counted.length, "calls");
      assert.equal(is.prompt_tokens - was.prompt_tokens, prompt, "prompt tokens");
      assert.equal(is.completion_tokens - was.completion_tokens, completion, "completion tokens");
      close(is.neurons - was.neurons, (prompt * kPrice.prompt + completion * kPrice.completion) / 1e6, "neurons");
      assert.equal(is.stand_in, true);
    }

    test("a JSON answer is exact, counted and charged; the second time it comes from KV and costs nothing", async () => {
      const asked = { question: "What makes the tides of the sea rise and fall?", seed: 42, max_tokens: 48 };
      const expected = await answer_in_terminal(asked.question, asked.seed, asked.max_tokens);
      assert.ok(expected.length > 20, expected);
      await charged(async () => {
        const { status, body } = await world.post<ChatAnswer>("/api/chat", asked);
        assert.equal(status, 200);
        assert.deepEqual([body.answer, body.cached], [expected, false]);
        const counted = {
          prompt: count_prompt(asked.question),
          completion: count_completion(body.answer, asked.max_tokens),
        };
        assert.deepEqual(body.usage, { promptTokens: counted.prompt, completionTokens: counted.completion });
        return [counted];
      });
      await charged(async () => {
        const { body } = await world.post<ChatAnswer>("/api/chat", asked);
        assert.deepEqual([body.answer, body.cached], [expected, true]);
        return [];
      });
    });

    test("a stream is the same text, in pieces, with the same usage and one [DONE]", async () => {
      const question = "Name three things that a lighthouse keeper does at night.";
      const { body } = await world.post<ChatAnswer>("/api/chat", { question, seed: 7, max_tokens: 40 });
      await charged(async () => {
        const streamed = await world.stream(question, 7, 40);
        assert.equal(streamed.text.trim(), body.answer);
        assert.equal(streamed.done, 1);
        const counted = { prompt: count_prompt(question), completion: count_completion(streamed.text, 40) };
        // The same question again: what of its prompt fills whole pages of the prefix cache was not computed again.
        const { prompt_tokens_details, ...usage } = streamed.usage!;
        assert.ok(prompt_tokens_details!.cached_tokens > 0 && prompt_tokens_details!.cached_tokens < counted.prompt);
        assert.deepEqual(usage, {
          prompt_tokens: counted.prompt,
          completion_tokens: counted.completion,
          total_tokens: counted.prompt + counted.completion,
        });
        return [counted];
      });
      assert.equal((await world.remembered("stream")).answer, body.answer);
    });

    test("the pieces come while the model writes", async () => {
      const response = await fetch(
        `${world.base}/api/stream?${new URLSearchParams({ question: kLongQuestion, seed: "3", max_tokens: "96" })}`,
      );
      const began = performance.now();
      const reader = response.body!.getReader();
      const arrivals: number[] = [];
      for (;;) {
        const { done } = await reader.read();
        if (done) break;
        arrivals.push(performance.now() - began);
      }
      assert.ok(arrivals.length > 20, `${arrivals.length} pieces`);
      assert.ok(arrivals[0]! < arrivals.at(-1)! / 3, `first after ${arrivals[0]} ms of ${arrivals.at(-1)} ms`);
    });

    test("a Durable Object asks", async () => {
      const question = "Welcome a guest named Ada.";
      const expected = await answer_in_terminal(question, 5, 48);
      await charged(async () => {
        const { body } = await world.json<{ greeting: string }>("/api/greeting?name=Ada&seed=5");
        assert.equal(body.greeting, expected);
        return [{ prompt: count_prompt(question), completion: count_completion(expected, 48) }];
      });
    });

    test("a Queue's consumer asks", async () => {
      const question = "Name three fruits.";
      const expected = await answer_in_terminal(question, 4, 24);
      await charged(async () => {
        assert.equal((await world.post("/api/later", { question, seed: 4, max_tokens: 24 })).status, 202);
        assert.deepEqual(await world.remembered("queue").then((entry) => [entry.question, entry.answer]), [
          question,
          expected,
        ]);
        return [{ prompt: count_prompt(question), completion: count_completion(expected, 24) }];
      });
    });

    test("a cron trigger asks", async () => {
      const question = "Give me one short piece of advice for today.";
      const expected = await answer_in_terminal(question, 2, 64);
      await charged(async () => {
        assert.equal((await fetch(`${world.base}/cdn-cgi/handler/scheduled`)).status, 200);
        assert.equal((await world.remembered("scheduled")).answer, expected);
        return [{ prompt: count_prompt(question), completion: count_completion(expected, 64) }];
      });
    });

    test("a Workflow asks", async () => {
      const { body } = await world.json<Array<{ answer: string }>>("/api/history");
      const question = `Say in one sentence what this text is about: ${body
        .slice(0, 3)
        .map((entry) => entry.answer)
        .join(" ")}`;
      const expected = await answer_in_terminal(question, 8, 64);
      await charged(async () => {
        const created = await world.post<{ id: string }>("/api/digests", { seed: 8 });
        let state: { status: string; output?: { digest: string } } = { status: "" };
        for (
          const end = performance.now() + 60_000;
          state.status !== "complete" && performance.now() < end;
          await delay(150)
        ) {
          state = (await world.json<typeof state>(`/api/digests/${created.body.id}`)).body;
          assert.notEqual(state.status, "errored");
        }
        assert.equal(state.output?.digest, expected);
        return [{ prompt: count_prompt(question), completion: count_completion(expected, 64) }];
      });
    });

    test("the history goes to R2 and comes back", async () => {
      const made = await world.post<{ url: string; entries: number }>("/api/exports", {});
      assert.equal(made.status, 201);
      const entries = await world.json<unknown[]>(made.body.url);
      assert.equal(entries.body.length, made.body.entries);
      assert.ok(entries.body.length >= 6);
    });

    test("an error of the service reaches the Worker as the service throws it", async () => {
      const { status, body } = await world.post<{ error: string }>("/api/chat", { question: "x", max_tokens: -3 });
      assert.equal(status, 502);
      assert.match(body.error, /^5006: .*max_tokens/);
    });

    test("glia usage says the same as the server", async () => {
      const rows: UsageRow[] = await world.ledger_by_command();
      assert.deepEqual(
        rows.find((row) => row.model === kModel),
        await world.ledger(),
      );
    });

    test("glia-dev printed a line for each call, with the weights and their being a stand-in", async () => {
      const { calls } = await world.ledger();
      const lines = world.run
        .output()
        .split("\n")
        .filter((line) => line.startsWith(`[glia] ${kModel} ← ${kWeights} (stand-in)  `));
      assert.equal(lines.length, calls);
      for (const line of lines) assert.match(line, / ms to first token, \S+ tok\/s, \S+ neurons$/);
      assert.match(
        world.run.output(),
        /env\.AI +AI +local \(glia, SmolLM2-135M-Instruct and 1 more for \d+ model ids\)/,
      );
    });

    test("nothing is left running in the engine", () => world.idle());
  });
}
