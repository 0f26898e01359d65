import { ask, askStreaming, MODEL, recorder, type Question } from "./ai";
import { desk } from "./desk";
import { recall, remember } from "./history";

export { Desk } from "./desk";
export { Digest } from "./digest";

const EXPORT_LIMIT = 1000;
const CACHE_SECONDS = 3600;
const EVENT_STREAM = { "content-type": "text/event-stream", "cache-control": "no-store" };

/** The question of a request: the query of a GET, the JSON body of a POST. */
async function questionOf(request: Request): Promise<Question> {
  const fields: Record<string, unknown> =
    request.method === "GET"
      ? Object.fromEntries(new URL(request.url).searchParams)
      : await request.json<Record<string, unknown>>();
  const text = typeof fields["question"] === "string" ? fields["question"].trim() : "";
  if (text === "") throw new BadRequest("A question is missing.");
  const seed = fields["seed"] === undefined ? undefined : Number(fields["seed"]);
  const maxTokens = fields["max_tokens"] === undefined ? 256 : Number(fields["max_tokens"]);
  return { text, maxTokens, ...(seed === undefined ? {} : { seed }) };
}

class BadRequest extends Error {}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function cacheKey(question: Question): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify([MODEL, question.text, question.seed, question.maxTokens]));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return `answer:${[...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function chat(request: Request, env: Env): Promise<Response> {
  const question = await questionOf(request);
  const key = await cacheKey(question);
  const count = await desk(env).increment();
  const cached = await env.CACHE.get<Record<string, unknown>>(key, "json");
  if (cached) return Response.json({ ...cached, cached: true, count });
  const { text, promptTokens, completionTokens } = await ask(env, question);
  const answer = { answer: text, usage: { promptTokens, completionTokens } };
  await env.CACHE.put(key, JSON.stringify(answer), { expirationTtl: CACHE_SECONDS });
  await remember(env, "chat", question.text, text);
  return Response.json({ ...answer, cached: false, count });
}

async function stream(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  const question = await questionOf(request);
  await desk(env).increment();
  let events: ReadableStream<Uint8Array>;
  try {
    events = await askStreaming(env, question);
  } catch (error) {
    // An EventSource cannot read the body of a failure, so it gets the reason as an event.
    if (request.method !== "GET") throw error;
    return new Response(`data: ${JSON.stringify({ error: messageOf(error) })}\n\n`, { headers: EVENT_STREAM });
  }
  const recorded = events.pipeThrough(
    recorder((text) => ctx.waitUntil(remember(env, "stream", question.text, text.trim()))),
  );
  return new Response(recorded, { headers: EVENT_STREAM });
}

async function exportHistory(env: Env): Promise<Response> {
  const entries = await recall(env, EXPORT_LIMIT);
  const name = `history-${new Date().toISOString().replaceAll(/[:.]/g, "-")}.json`;
  await env.EXPORTS.put(name, JSON.stringify(entries, null, 2), { httpMetadata: { contentType: "application/json" } });
  return Response.json({ name, entries: entries.length, url: `/api/exports/${name}` }, { status: 201 });
}

async function download(env: Env, name: string): Promise<Response> {
  const object = await env.EXPORTS.get(name);
  if (!object) return Response.json({ error: "There is no such export." }, { status: 404 });
  const headers = new Headers({ "content-disposition": `attachment; filename="${name}"` });
  object.writeHttpMetadata(headers);
  return new Response(object.body, { headers });
}

async function digest(request: Request, env: Env): Promise<Response> {
  const { seed } = await request.json<{ seed?: number }>().catch((): { seed?: number } => ({}));
  const instance = await env.DIGEST.create({ params: seed === undefined ? {} : { seed } });
  return Response.json({ id: instance.id }, { status: 202 });
}

async function route(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const last = pathname.slice(pathname.lastIndexOf("/") + 1);
  switch (`${request.method} ${pathname}`) {
    case "POST /api/chat":
      return chat(request, env);
    case "GET /api/stream":
    case "POST /api/stream":
      return stream(request, env, ctx);
    case "GET /api/history":
      return Response.json(await recall(env, 50));
    case "GET /api/count":
      return Response.json({ count: await desk(env).count() });
    case "GET /api/greeting": {
      const seed = searchParams.get("seed");
      return Response.json({
        greeting: await desk(env).greet(searchParams.get("name") ?? "Ada", seed === null ? undefined : Number(seed)),
      });
    }
    case "POST /api/later":
      await env.LATER.send(await questionOf(request));
      return Response.json({ queued: true }, { status: 202 });
    case "POST /api/digests":
      return digest(request, env);
    case "POST /api/exports":
      return exportHistory(env);
  }
  if (request.method === "GET" && pathname.startsWith("/api/exports/")) return download(env, last);
  if (request.method === "GET" && pathname.startsWith("/api/digests/"))
    return Response.json(await (await env.DIGEST.get(last)).status());
  return Response.json({ error: "There is nothing here." }, { status: 404 });
}

export default {
  async fetch(request, env, ctx): Promise<Response> {
    try {
      return await route(request, env, ctx);
    } catch (error) {
      if (error instanceof BadRequest || error instanceof SyntaxError)
        return Response.json({ error: error.message }, { status: 400 });
      return Response.json({ error: messageOf(error) }, { status: 502 });
    }
  },

  async scheduled(_controller, env, ctx): Promise<void> {
    const question = "Give me one short piece of advice for today.";
    ctx.waitUntil(
      ask(env, { text: question, maxTokens: 64, seed: 2 }).then(({ text }) =>
        remember(env, "scheduled", question, text),
      ),
    );
  },

  async queue(batch, env): Promise<void> {
    for (const message of batch.messages) {
      const { text } = await ask(env, message.body);
      await remember(env, "queue", message.body.text, text);
      message.ack();
    }
  },
} satisfies ExportedHandler<Env, Question>;
