// The Worker under test, the same in every runner.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const prompt = url.searchParams.get("prompt") ?? "Say hello";
    const stream = url.pathname === "/stream";
    try {
      if (url.pathname === "/vectors") {
        await env.DOCS.upsert([
          { id: "east", values: [1, 0, 0] },
          { id: "north", values: [0, 1, 0] },
        ]);
        const { matches } = await env.DOCS.query([0.9, 0.1, 0], { topK: 10 });
        return Response.json(matches.map(({ id }) => id));
      }
      const answer = await env.AI.run("@cf/meta/llama-3.1-8b-instruct", { prompt, max_tokens: 8, stream });
      return stream
        ? new Response(answer, { headers: { "content-type": "text/event-stream" } })
        : Response.json(answer);
    } catch (error) {
      return Response.json({ error: error.message }, { status: 502 });
    }
  },
};
