import { embed } from "./models";
import { readable, split, type Passage } from "./passages";

export interface DocumentEntry {
  name: string;
  bytes: number;
  passages: number;
  uploaded_at: string;
}

export interface StoredPassage extends Passage {
  id: string;
  document: string;
}

export class Refused extends Error {}

const MOST_BYTES = 4 << 20;
/** Vectors that one call of Vectorize takes from a Worker, and ids that it deletes. */
const MOST_VECTORS = 1000;
const MOST_DELETED = 100;
/** Parameters that one statement of D1 takes. */
const MOST_PARAMETERS = 100;

/** `wrangler types` names the class of Vectorize's first version; the second is what the service has. */
export function index(env: Env): Vectorize {
  return env.PASSAGES as unknown as Vectorize;
}

/** The tables are made by the first request that needs them. */
async function tables(env: Env): Promise<D1Database> {
  await env.DB.batch([
    env.DB.prepare(
      "CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, passages INTEGER NOT NULL, uploaded_at TEXT NOT NULL)",
    ),
    env.DB.prepare(
      "CREATE TABLE IF NOT EXISTS passages (id TEXT PRIMARY KEY, document TEXT NOT NULL, place INTEGER NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL)",
    ),
    env.DB.prepare("CREATE INDEX IF NOT EXISTS passages_of_document ON passages (document, place)"),
  ]);
  return env.DB;
}

/** Ids hold 64 bytes at most, names of documents may be longer. */
async function key_of(name: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return [...new Uint8Array(digest.slice(0, 12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function batches<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size));
}

/** Bytes to R2, passages to D1, vectors to Vectorize; a document of that name is replaced. */
export async function add(env: Env, name: string, bytes: ArrayBuffer): Promise<DocumentEntry> {
  if (bytes.byteLength > MOST_BYTES) throw new Refused(`A document has ${MOST_BYTES >> 20} MiB at most.`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new Refused(`${name} is not a text in UTF-8.`);
  }
  const passages = split(name, text);
  if (passages.length === 0) throw new Refused(`${name} is empty.`);
  const vectors = await embed(env, passages.map(readable));
  const key = await key_of(name);
  const rows = passages.map((passage, place) => ({ ...passage, id: `${key}-${place}`, place }));

  const db = await tables(env);
  const before = await passage_ids(db, name);
  const entry = { name, bytes: bytes.byteLength, passages: rows.length, uploaded_at: new Date().toISOString() };
  await env.DOCUMENTS.put(name, bytes, { httpMetadata: { contentType: "text/plain; charset=utf-8" } });
  await db.batch([
    db.prepare("DELETE FROM passages WHERE document = ?").bind(name),
    ...rows.map(({ id, place, title, text }) =>
      db
        .prepare("INSERT INTO passages (id, document, place, title, text) VALUES (?, ?, ?, ?, ?)")
        .bind(id, name, place, title, text),
    ),
    db
      .prepare("INSERT OR REPLACE INTO documents (name, bytes, passages, uploaded_at) VALUES (?, ?, ?, ?)")
      .bind(entry.name, entry.bytes, entry.passages, entry.uploaded_at),
  ]);
  const found = rows.map(({ id }, at) => ({ id, values: vectors[at]!, metadata: { document: name } }));
  for (const batch of batches(found, MOST_VECTORS)) await index(env).upsert(batch);
  const kept = new Set(rows.map(({ id }) => id));
  await forget(
    env,
    before.filter((id) => !kept.has(id)),
  );
  return entry;
}

export async function list(env: Env): Promise<DocumentEntry[]> {
  const db = await tables(env);
  const { results } = await db.prepare("SELECT * FROM documents ORDER BY name").all<DocumentEntry>();
  return results;
}

/** False when there was none. */
export async function remove(env: Env, name: string): Promise<boolean> {
  const db = await tables(env);
  const ids = await passage_ids(db, name);
  const [deleted] = await db.batch([
    db.prepare("DELETE FROM documents WHERE name = ?").bind(name),
    db.prepare("DELETE FROM passages WHERE document = ?").bind(name),
  ]);
  await env.DOCUMENTS.delete(name);
  await forget(env, ids);
  return (deleted?.meta.changes ?? 0) > 0;
}

/** In the order of `ids`; one that was deleted since it was found is left out. */
export async function passages(env: Env, ids: readonly string[]): Promise<StoredPassage[]> {
  const db = await tables(env);
  const found = new Map<string, StoredPassage>();
  for (const batch of batches(ids, MOST_PARAMETERS)) {
    const { results } = await db
      .prepare(`SELECT id, document, title, text FROM passages WHERE id IN (${batch.map(() => "?").join()})`)
      .bind(...batch)
      .all<StoredPassage>();
    for (const passage of results) found.set(passage.id, passage);
  }
  return ids.flatMap((id) => found.get(id) ?? []);
}

async function passage_ids(db: D1Database, document: string): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM passages WHERE document = ? ORDER BY place")
    .bind(document)
    .all<{ id: string }>();
  return results.map(({ id }) => id);
}

async function forget(env: Env, ids: readonly string[]): Promise<void> {
  for (const batch of batches(ids, MOST_DELETED)) await index(env).deleteByIds(batch);
}
