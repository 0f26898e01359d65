import { index, passages, type StoredPassage } from "./documents";
import { embed, rerank } from "./models";
import { readable } from "./passages";

export interface Source extends StoredPassage {
  /** How near its vector is to the question's: the cosine. */
  near: number;
  /** The place among the nearest, from 1. */
  nearest: number;
  /** The reranker's, from 0 to 1; null without one. */
  score: number | null;
}

export interface Search {
  question: string;
  /** Put the nearest passages into the order of the reranker. */
  rerank: boolean;
  /** How many sources. */
  most: number;
}

/** The most that the service answers a query with that asks for no values. */
export const CANDIDATES = 20;

/** The passages that answer a question, best first. */
export async function search(env: Env, { question, rerank: reranked, most }: Search): Promise<Source[]> {
  const [vector] = await embed(env, [question]);
  const { matches } = await index(env).query(vector!, { topK: reranked ? CANDIDATES : most });
  const places = new Map(matches.map(({ id, score }, at) => [id, { near: score, nearest: at + 1 }]));
  const found = await passages(
    env,
    matches.map(({ id }) => id),
  );
  const nearest = found.map((passage) => ({ ...passage, ...places.get(passage.id)!, score: null }));
  if (!reranked || nearest.length === 0) return nearest.slice(0, most);
  const best = await rerank(env, question, nearest.map(readable), most);
  return best.flatMap(({ place, score }) => {
    const source = nearest[place];
    return source ? [{ ...source, score }] : [];
  });
}
