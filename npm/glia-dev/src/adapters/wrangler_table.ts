// wrangler prints its table of bindings again whenever its registry of running Workers changes, which a queue of the project's own
// does at every start. A table that says nothing new is dropped, with the line that announces it.
import { stripVTControlCharacters } from "node:util";

type Write = (message: string) => void;

const kTitle = /has access to the following bindings:\s*$/;
const kAnnounced = /^\S* ?Connection status updated\s*$/;

/** wrangler writes a table, title first, without a pause: what comes before the next microtask belongs to it. */
export class TableOnce {
  readonly #write: Write;
  readonly #printed = new Map<string, string>();
  #announcement: string | undefined;
  #table: string[] | undefined;

  constructor(write: Write) {
    this.#write = write;
  }

  /** True when the message was taken, to be written later or never. */
  takes(message: string): boolean {
    const plain = stripVTControlCharacters(message);
    if (kTitle.test(plain)) {
      this.#end_table();
      this.#table = [message];
      queueMicrotask(() => this.#end_table());
      return true;
    }
    if (this.#table !== undefined) {
      this.#table.push(message);
      return true;
    }
    this.#announce();
    if (!kAnnounced.test(plain)) return false;
    this.#announcement = message;
    return true;
  }

  #end_table(): void {
    const table = this.#table;
    if (table === undefined) return;
    this.#table = undefined;
    const text = table.join("");
    const known = this.#printed.get(table[0]!) === text;
    this.#printed.set(table[0]!, text);
    if (known) {
      this.#announcement = undefined;
      return;
    }
    this.#announce();
    for (const message of table) this.#write(message);
  }

  #announce(): void {
    const message = this.#announcement;
    this.#announcement = undefined;
    if (message !== undefined) this.#write(message);
  }
}
