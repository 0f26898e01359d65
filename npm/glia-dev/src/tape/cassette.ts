// A folder of recordings: one readable JSON file a distinct call, with its answers in the order in which they came.
// Files hold the answer, the model and a hash of the call; no prompt, no header of the request. They are written whole, then
// renamed into place: a reader never sees half of one, in whichever process it is.
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import type { Call } from "./call.ts";

/** Milliseconds since the request, and what came then. */
export type Piece = [ms: number, text: string];

export interface Answer {
  status: number;
  headers: Record<string, string>;
  /** One of these: a text, bytes that are no UTF-8, a stream in its pieces. */
  body?: string;
  base64?: string;
  stream?: Piece[];
  /** The connection broke after what is here. */
  cut?: true;
}

interface RecordingFile {
  format: "glia recording 1";
  dialect: string;
  request: string;
  model: string;
  key: string;
  answers: Answer[];
}

const kFormat = "glia recording 1";

export function file_name(call: Call): string {
  const name = (call.model || call.route).replaceAll(/[^a-zA-Z0-9.]+/g, "-").replaceAll(/^-+|-+$/g, "");
  return `${name.slice(0, 80)}.${call.dialect}.${call.key.slice(0, 16)}.json`;
}

export class CassetteError extends Error {
  override name = "CassetteError";
}

/** What is kept of an answer's headers: those that a client can act on. */
export function kept_headers(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (
      value === undefined ||
      !/^(content-type|cache-control|retry-after|allow|x-request-id|x-glia-.*|cf-.*)$/.test(name)
    )
      continue;
    kept[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return kept;
}

/** The body of an answer in its most readable exact form. */
export function answer_of(
  status: number,
  headers: Record<string, string>,
  chunks: ReadonlyArray<{ ms: number; bytes: Buffer }>,
  cut: boolean,
): Answer {
  const whole = Buffer.concat(chunks.map((chunk) => chunk.bytes));
  const answer: Answer = { status, headers };
  if (!Buffer.from(whole.toString("utf8")).equals(whole)) answer.base64 = whole.toString("base64");
  else if (headers["content-type"]?.startsWith("text/event-stream")) answer.stream = pieces_of(chunks);
  else answer.body = whole.toString("utf8");
  if (cut) answer.cut = true;
  return answer;
}

function pieces_of(chunks: ReadonlyArray<{ ms: number; bytes: Buffer }>): Piece[] {
  const decoder = new StringDecoder("utf8");
  const pieces: Piece[] = [];
  for (const { ms, bytes } of chunks) {
    const text = decoder.write(bytes); // what begins here and ends in the next chunk goes with that
    if (text !== "") pieces.push([Math.round(ms), text]);
  }
  return pieces;
}

/** Writes what is recorded. Answers of one call stand in the order in which the calls began. */
export class Recorder {
  readonly folder: string;
  readonly #calls = new Map<string, { call: Call; begun: number; answers: Map<number, Answer> }>();
  #writing: Promise<void> = Promise.resolve();
  #problem: Error | undefined;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** A call begins; hand its answer to the function returned, or nothing when there was none. */
  begin(call: Call): (answer: Answer) => void {
    const entry = this.#calls.get(call.key) ?? { call, begun: 0, answers: new Map<number, Answer>() };
    this.#calls.set(call.key, entry);
    const index = entry.begun++;
    return (answer) => {
      entry.answers.set(index, answer);
      this.#writing = this.#writing
        .then(() => this.#write(call, entry.answers))
        .catch((error: Error) => {
          this.#problem ??= error;
        });
    };
  }

  /** Resolves when all is on disk. Throws CassetteError when something could not be written. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#problem)
      throw new CassetteError(`an answer could not be recorded in ${this.folder}: ${this.#problem.message}`);
  }

  async #write(call: Call, answers: ReadonlyMap<number, Answer>): Promise<void> {
    const file: RecordingFile = {
      format: kFormat,
      dialect: call.dialect,
      request: `${call.method} ${call.route}`,
      model: call.model,
      key: call.key,
      answers: [...answers].sort(([a], [b]) => a - b).map(([, answer]) => answer),
    };
    const path = join(this.folder, file_name(call));
    const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      await writeFile(temporary, print(file));
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

/** Indented JSON, but each piece of a stream on one line. */
function print(file: RecordingFile): string {
  const text = JSON.stringify(file, null, 2);
  return `${text.replaceAll(/\[\n\s+(\d+),\n\s+("(?:[^"\\]|\\.)*")\n\s+\]/g, "[$1, $2]")}\n`;
}

/** Gives the recorded answers back, in order; the last of a call repeats. */
export class Player {
  readonly folder: string;
  readonly #files = new Map<string, Promise<Answer[] | undefined>>();
  #played = new Map<string, number>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Undefined when nothing is recorded for the call. Throws CassetteError for a file that is no recording. */
  async next(call: Call): Promise<Answer | undefined> {
    const index = this.#played.get(call.key) ?? 0;
    this.#played.set(call.key, index + 1);
    let file = this.#files.get(call.key);
    if (!file) this.#files.set(call.key, (file = this.#read(call)));
    const answers = await file;
    return answers?.[Math.min(index, answers.length - 1)];
  }

  /** Begins anew with the first answer of each call. */
  reset(): void {
    this.#played = new Map();
    this.#files.clear();
  }

  async #read(call: Call): Promise<Answer[] | undefined> {
    const path = join(this.folder, file_name(call));
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new CassetteError(`the recording ${path} cannot be read: ${(error as Error).message}`);
    }
    let file: Partial<RecordingFile>;
    try {
      file = JSON.parse(text) as Partial<RecordingFile>;
    } catch {
      throw new CassetteError(`${path} is no recording: it is not JSON`);
    }
    if (file.format !== kFormat || !Array.isArray(file.answers) || !file.answers.every(is_answer))
      throw new CassetteError(`${path} is no recording that this version reads (format: ${kFormat})`);
    return file.key === call.key && file.answers.length > 0 ? file.answers : undefined;
  }
}

function is_answer(value: unknown): value is Answer {
  const answer = value as Partial<Answer> | null;
  if (typeof answer !== "object" || answer === null) return false;
  const { status, headers, body, base64, stream } = answer;
  if (!Number.isInteger(status) || status! < 200 || status! > 599) return false;
  if (typeof headers !== "object" || headers === null) return false;
  if (!Object.values(headers).every((header) => typeof header === "string")) return false;
  if (typeof body === "string" || typeof base64 === "string") return true;
  return (
    Array.isArray(stream) &&
    stream.every((piece) => Array.isArray(piece) && typeof piece[0] === "number" && typeof piece[1] === "string")
  );
}
