export type Source = "chat" | "stream" | "queue" | "scheduled" | "durable object" | "workflow";

export interface Entry {
  id: number;
  asked_at: string;
  source: Source;
  question: string;
  answer: string;
}

/** The table is made by the first request that needs it. */
async function table(db: D1Database): Promise<D1Database> {
  await db
    .prepare(
      "CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY, asked_at TEXT NOT NULL, source TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL)",
    )
    .run();
  return db;
}

export async function remember(env: Env, source: Source, question: string, answer: string): Promise<void> {
  const db = await table(env.DB);
  await db
    .prepare("INSERT INTO history (asked_at, source, question, answer) VALUES (?, ?, ?, ?)")
    .bind(new Date().toISOString(), source, question, answer)
    .run();
}

/** Newest first. */
export async function recall(env: Env, limit: number): Promise<Entry[]> {
  const db = await table(env.DB);
  const { results } = await db
    .prepare("SELECT id, asked_at, source, question, answer FROM history ORDER BY id DESC LIMIT ?")
    .bind(limit)
    .all<Entry>();
  return results;
}
