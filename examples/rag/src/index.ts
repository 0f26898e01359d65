import { answer, answer_streaming } from "./answer";
import { add, index, list, Refused, remove } from "./documents";
import { CANDIDATES, search, type Search } from "./search";

const NOTHING = "There is nothing here.";

interface Asked extends Search {
  stream: boolean;
  seed?: number;
}

async function asked(request: Request): Promise<Asked> {
  const body = await request.json<Record<string, unknown>>();
  const question = typeof body["question"] === "string" ? body["question"].trim() : "";
  if (question === "") throw new Refused("A question is missing.");
  const most = body["most"] === undefined ? 5 : Number(body["most"]);
  if (!Number.isInteger(most) || most < 1 || most > CANDIDATES)
    throw new Refused(`most: a whole number from 1 to ${CANDIDATES} is expected.`);
  const seed = body["seed"] === undefined ? {} : { seed: Number(body["seed"]) };
  return { question, most, rerank: body["rerank"] !== false, stream: body["stream"] === true, ...seed };
}

/** The files of a form, or the body of a request that names one: `POST /api/documents?name=notes.md`. */
async function upload(request: Request, env: Env): Promise<Response> {
  const name = new URL(request.url).searchParams.get("name");
  if (name !== null)
    return Response.json([await add(env, checked(name), await request.arrayBuffer())], { status: 201 });
  const form = await request.formData();
  const files = form.getAll("file").filter((file): file is File => file instanceof File && file.name !== "");
  if (files.length === 0) throw new Refused("A file is missing.");
  const added = [];
  for (const file of files) added.push(await add(env, checked(file.name), await file.arrayBuffer()));
  return Response.json(added, { status: 201 });
}

function checked(name: string): string {
  if (name.trim() === "" || name.length > 200 || /[\p{Cc}/]/u.test(name))
    throw new Refused("A document's name has 1 to 200 characters, none of them a slash.");
  return name;
}

async function download(env: Env, name: string): Promise<Response> {
  const object = await env.DOCUMENTS.get(name);
  if (!object) return Response.json({ error: "There is no such document." }, { status: 404 });
  const headers = new Headers({ "x-content-type-options": "nosniff" });
  object.writeHttpMetadata(headers);
  return new Response(object.body, { headers });
}

async function ask(request: Request, env: Env): Promise<Response> {
  const { question, seed, stream, ...how } = await asked(request);
  const sources = await search(env, { question, ...how });
  if (sources.length === 0) throw new Refused("No document was uploaded yet.");
  if (!stream) return Response.json({ answer: await answer(env, question, sources, seed), sources });
  return new Response(await answer_streaming(env, question, sources, seed), {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}

async function route(request: Request, env: Env): Promise<Response> {
  const { pathname } = new URL(request.url);
  switch (`${request.method} ${pathname}`) {
    case "GET /api/documents":
      return Response.json(await list(env));
    case "POST /api/documents":
      return upload(request, env);
    case "GET /api/index":
      return Response.json(await index(env).describe());
    case "POST /api/search":
      return Response.json(await search(env, await asked(request)));
    case "POST /api/ask":
      return ask(request, env);
  }
  const name = /^\/api\/documents\/([^/]+)$/.exec(pathname)?.[1];
  if (name !== undefined && request.method === "GET") return download(env, decodeURIComponent(name));
  if (name !== undefined && request.method === "DELETE")
    return (await remove(env, decodeURIComponent(name)))
      ? new Response(null, { status: 204 })
      : Response.json({ error: "There is no such document." }, { status: 404 });
  return Response.json({ error: NOTHING }, { status: 404 });
}

export default {
  async fetch(request, env): Promise<Response> {
    try {
      return await route(request, env);
    } catch (error) {
      if (error instanceof Refused || error instanceof SyntaxError || error instanceof URIError)
        return Response.json({ error: error.message }, { status: 400 });
      return Response.json({ error: error instanceof Error ? error.message : String(error) }, { status: 502 });
    }
  },
} satisfies ExportedHandler<Env>;
