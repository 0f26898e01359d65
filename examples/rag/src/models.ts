export const EMBEDDING = "@cf/baai/bge-base-en-v1.5";
export const RERANKER = "@cf/baai/bge-reranker-base";
export const CHAT = "@cf/meta/llama-3.1-8b-instruct";

/** Texts that the service embeds in one call. */
const MOST_TEXTS = 100;

/** A vector of 768 values for each text. */
export async function embed(env: Env, texts: string[]): Promise<number[][]> {
  const vectors: number[][] = [];
  for (let start = 0; start < texts.length; start += MOST_TEXTS) {
    const answer = await env.AI.run(EMBEDDING, { text: texts.slice(start, start + MOST_TEXTS) });
    if (!("data" in answer) || answer.data === undefined) throw new Error("The model gave no vectors.");
    vectors.push(...answer.data);
  }
  return vectors;
}

/** Which of the texts answer the question best, best first: their places in `texts` and scores from 0 to 1. */
export async function rerank(env: Env, query: string, texts: string[], most: number): Promise<Scored[]> {
  // The types of `wrangler types` leave `query` out; the service wants it.
  const inputs = { query, contexts: texts.map((text) => ({ text })), top_k: most };
  const answer = await env.AI.run(RERANKER, inputs);
  if (!("response" in answer) || answer.response === undefined) throw new Error("The model gave no scores.");
  return answer.response.map(({ id, score }) => ({ place: id ?? 0, score: score ?? 0 }));
}

export interface Scored {
  place: number;
  score: number;
}
