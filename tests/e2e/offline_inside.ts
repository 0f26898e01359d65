// Run inside the namespace: the example, every handler once.
import { attempts_outside } from "./offline_count.ts";
import { World, type WranglerName } from "./world.ts";

const world = await World.start(process.env.OFFLINE_WRANGLER as WranglerName);
let answers = 0;
try {
  const chat = await world.post<{ answer?: string; error?: string }>("/api/chat", {
    question: "What is a harbour?",
    seed: 1,
    max_tokens: 24,
  });
  if (!chat.body.answer) throw new Error(chat.body.error ?? "no answer");
  answers++;
  if ((await world.stream("What is a harbour?", 1, 24)).text.trim() === chat.body.answer) answers++;
  if ((await world.json<{ greeting: string }>("/api/greeting?seed=1")).body.greeting) answers++;
  await world.post("/api/later", { question: "Name a ship.", seed: 1, max_tokens: 12 });
  if ((await world.remembered("queue")).answer) answers++;
  await fetch(`${world.base}/cdn-cgi/handler/scheduled`);
  if ((await world.remembered("scheduled")).answer) answers++;
  await world.post("/api/digests", { seed: 1 });
  if ((await world.remembered("workflow")).answer) answers++;
} finally {
  await world.end();
}
console.log(`answers ${answers}\nattempts ${attempts_outside()}`);
