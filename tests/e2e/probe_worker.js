// Calls env.AI as it is told, and tells everything that a Worker can see of the answer.
const fields = (ai) => ({
  lastRequestId: ai.lastRequestId,
  aiGatewayLogId: ai.aiGatewayLogId,
  lastRequestHttpStatusCode: ai.lastRequestHttpStatusCode,
  lastRequestInternalStatusCode: ai.lastRequestInternalStatusCode,
});

async function read(value, pieces, controller) {
  if (!(value instanceof ReadableStream)) return value;
  const reader = value.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let count = 0; ; count++) {
    if (count === pieces) controller.abort();
    const { done, value: piece } = await reader.read();
    if (done) return { stream: text };
    text += piece;
  }
}

async function raw(response) {
  const headers = Object.fromEntries(response.headers);
  return {
    raw: { status: response.status, headers, upgraded: response.webSocket !== null, text: await response.text() },
  };
}

async function call(ai, { method = "run", args = [], model, inputs, options, abort_ms, abort_pieces, form }) {
  if (method === "models") return ai.models(...args);
  if (method === "toMarkdown") return ai.toMarkdown({ name: "a.txt", blob: new Blob(["a"], { type: "text/plain" }) });
  if (method === "supported") return ai.toMarkdown().supported();
  if (method === "getUrl") return ai.gateway("mine").getUrl("openai");
  if (method === "getLog") return ai.gateway("mine").getLog("1");
  if (method === "gatewayRun")
    return raw(await ai.gateway("mine").run({ provider: "x", endpoint: "y", headers: {}, query: {} }));
  if (method === "autorag") return ai.autorag("mine").search({ query: "x" });
  if (method === "autoragList") return ai.autorag("mine").list();
  if (method === "aiSearch") return ai.aiSearch().get("mine").search({ query: "x" });
  if (method === "websearch") return ai.websearch({ gatewayId: "mine", query: "x" });
  const controller = new AbortController();
  const signal = abort_ms === undefined && abort_pieces === undefined ? {} : { signal: controller.signal };
  if (abort_ms !== undefined) setTimeout(() => controller.abort(), abort_ms);
  if (form) {
    const body = new FormData();
    body.append("prompt", "x");
    const encoded = new Response(body);
    inputs = { multipart: { body: encoded.body, contentType: encoded.headers.get("content-type") } };
  }
  const answer = await ai.run(model, inputs, { ...options, ...signal });
  return answer instanceof Response ? raw(answer) : read(answer, abort_pieces, controller);
}

export default {
  async fetch(request, env) {
    const told = await request.json();
    const started = Date.now();
    try {
      const value = await call(env.AI, told);
      return Response.json({ value, ...fields(env.AI), ms: Date.now() - started });
    } catch (error) {
      return Response.json({
        error: { name: error.name, message: error.message },
        ...fields(env.AI),
        ms: Date.now() - started,
      });
    }
  },
};
