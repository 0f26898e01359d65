// The page in Chromium: it types the answer while the model writes, by EventSource without asking again, and by fetch.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { chromium, type Browser, type Page } from "playwright-core";
import { kLongQuestion, World } from "./world.ts";

const kChromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const kFlags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Longer than an EventSource waits before it connects again. */
const kReconnectMs = 4000;

describe("the page", () => {
  let world: World;
  let browser: Browser;
  before(async () => {
    world = await World.start("wrangler");
    browser = await chromium.launch({ executablePath: kChromium, headless: true, args: kFlags });
  });
  after(async () => {
    await browser?.close();
    await world?.end();
  });

  interface Opened {
    page: Page;
    streams: string[];
    outside: string[];
    problems: string[];
  }

  /** `max_tokens` and a seed are put into what the page asks, which asks without them: so that the answer is long enough. */
  async function open(max_tokens = 80): Promise<Opened> {
    const page = await browser.newPage();
    await page.route("**/api/stream*", (route) => {
      const request = route.request();
      if (request.method() === "GET")
        return route.continue({ url: `${request.url()}&seed=2&max_tokens=${max_tokens}` });
      return route.continue({
        postData: JSON.stringify({ ...(request.postDataJSON() as object), seed: 2, max_tokens }),
      });
    });
    const opened: Opened = { page, streams: [], outside: [], problems: [] };
    page.on("request", (request) => {
      if (request.url().includes("/api/stream")) opened.streams.push(request.method());
      if (!request.url().startsWith(world.base) && !request.url().startsWith("data:"))
        opened.outside.push(request.url());
    });
    page.on("pageerror", (error) => opened.problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && opened.problems.push(message.text()));
    await page.goto(world.base);
    return opened;
  }

  /** Types a question on the keyboard alone; resolves with the lengths that the growing answer had. */
  async function ask(page: Page, text: string): Promise<{ lengths: number[]; answer: string }> {
    await page.focus("#question");
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
    const lengths: number[] = [];
    for (let typing = true; typing; await delay(30)) {
      const state = await page.evaluate(() => {
        const last = [...document.querySelectorAll(".answer")].at(-1);
        return { length: last?.textContent?.length ?? 0, typing: last?.classList.contains("typing") ?? false };
      });
      if (state.length !== lengths.at(-1)) lengths.push(state.length);
      typing = state.typing;
    }
    return { lengths, answer: (await page.textContent("li:last-child .answer"))! };
  }

  test("EventSource: the answer grows, is closed at [DONE] and not asked for again", async () => {
    const { page, streams, outside, problems } = await open();
    const { lengths, answer } = await ask(page, kLongQuestion);
    assert.ok(lengths.length > 5, `grew in ${lengths.length} steps`);
    assert.ok(answer.length > 40, answer);
    assert.match((await page.textContent("li:last-child .facts"))!, /^\d+ tokens in .* s, the first after \d+ ms$/);
    await delay(kReconnectMs);
    assert.deepEqual(streams, ["GET"]);
    assert.equal((await world.ledger()).calls, 1);
    assert.deepEqual([outside, problems], [[], []]);
    await page.close();
  });

  test("fetch: the same by a POST, chosen on the page; the history is there after a reload", async () => {
    const { page, streams, outside, problems } = await open();
    await page.getByText("fetch", { exact: true }).click();
    const { lengths, answer } = await ask(page, kLongQuestion);
    assert.ok(lengths.length > 5, `grew in ${lengths.length} steps`);
    assert.deepEqual(streams, ["POST"]);
    await page.reload();
    await page.waitForSelector("li:nth-child(2) .answer");
    assert.equal(((await page.textContent("li:last-child .answer")) ?? "").trim(), answer.trim());
    assert.deepEqual([outside, problems], [[], []]);
    await page.close();
  });

  test("Escape stops the answer, and the run on the server", async () => {
    const { page } = await open(1000);
    await page.focus("#question");
    await page.keyboard.type(kLongQuestion);
    await page.keyboard.press("Enter");
    await page.waitForFunction(
      () => (document.querySelector("li:last-child .answer.typing")?.textContent?.length ?? 0) > 10,
    );
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelector(".typing") === null);
    assert.equal(await page.textContent("li:last-child .facts"), "stopped");
    await world.idle(2000);
    await page.close();
  });
});

test("a question that cannot be answered says why, by either way", async () => {
  const world = await World.start("wrangler", { env: { GLIA_BIN: "/bin/false" } });
  const browser = await chromium.launch({ executablePath: kChromium, headless: true, args: kFlags });
  try {
    const page = await browser.newPage();
    await page.goto(world.base);
    for (const way of ["EventSource", "fetch"]) {
      await page.getByText(way, { exact: true }).click();
      await page.focus("#question");
      await page.keyboard.type("Are you there?");
      await page.keyboard.press("Enter");
      await page.waitForSelector("li:last-child .answer.failed");
      assert.match(
        (await page.textContent("li:last-child .answer"))!,
        /^7503: Glia did not start \(exit code 1\)/,
        way,
      );
    }
  } finally {
    await browser.close();
    await world.end();
  }
});
