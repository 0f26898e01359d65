// The Vectorize of mock-glia: as much of the service as the bindings' own class asks for, exact and in memory.

interface Vector {
  id: string;
  values: number[];
  namespace?: string;
  metadata?: unknown;
}

export interface VectorAnswer {
  status: number;
  body: unknown;
  note?: string;
}

const cosine = (a: readonly number[], b: readonly number[]): number => {
  const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, at) => sum + value * y[at]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

/** The indexes of one account, or of one session whose indexes are its own. */
export class MockVectorize {
  readonly indexes = new Map<string, Map<string, Vector>>();

  /** One call of the binding of `index`: `/insert`, `/query`, … */
  call(index: string, path: string, type: string, body: string): VectorAnswer {
    const vectors = this.indexes.get(index) ?? new Map<string, Vector>();
    const ok = (value: unknown): VectorAnswer => ({ status: 200, body: value });
    switch (path) {
      case "/insert":
      case "/upsert": {
        if (type !== "application/x-ndjson") return { status: 400, body: { code: 1, error: `type ${type}` } };
        const given = body
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as Vector);
        this.indexes.set(index, vectors);
        for (const vector of given) {
          const known = vectors.values().next().value;
          if (known && known.values.length !== vector.values.length)
            return { status: 400, body: { code: 40012, error: `expected ${known.values.length} dimensions` } };
          if (path === "/upsert" || !vectors.has(vector.id)) vectors.set(vector.id, vector);
        }
        return ok({ mutationId: `${index}-${vectors.size}` });
      }
      case "/query": {
        const {
          vector,
          vectorId,
          topK = 5,
          filter,
        } = JSON.parse(body) as {
          vector?: number[];
          vectorId?: string;
          topK?: number;
          filter?: object;
        };
        if (filter) return { ...ok({ count: 0, matches: [] }), note: `no index on ${Object.keys(filter).join()}` };
        const asked = vector ?? vectors.get(vectorId ?? "")?.values ?? [];
        const matches = [...vectors.values()]
          .map(({ id, values }) => ({ id, score: cosine(asked, values) }))
          .sort((a, b) => b.score - a.score)
          .slice(0, topK);
        return ok({ count: matches.length, matches });
      }
      case "/getByIds":
        return ok((JSON.parse(body) as { ids: string[] }).ids.flatMap((id) => vectors.get(id) ?? []));
      case "/deleteByIds":
        for (const id of (JSON.parse(body) as { ids: string[] }).ids) vectors.delete(id);
        return ok({ mutationId: `${index}-deleted` });
      case "/info": {
        const dimensions = vectors.values().next().value?.values.length ?? 0;
        return ok({ dimensions, vectorCount: vectors.size, processedUpToDatetime: null, processedUpToMutation: null });
      }
      default:
        return { status: 404, body: { code: 7003, error: path } };
    }
  }
}
