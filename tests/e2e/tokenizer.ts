// Byte-level BPE over the vocabulary in a GGUF, written for these tests alone: it shares nothing with the program under test,
// so that its count of tokens is an independent one.
import { closeSync, openSync, readSync } from "node:fs";

const kHeadBytes = 16 << 20;

/** The GGUF metadata entries whose key begins with "tokenizer.". */
function read_metadata(path: string): Map<string, unknown> {
  const file = openSync(path, "r");
  const head = Buffer.alloc(kHeadBytes);
  const size = readSync(file, head, 0, kHeadBytes, 0);
  closeSync(file);
  let at = 0;
  const u32 = (): number => head.readUInt32LE((at += 4) - 4);
  const u64 = (): number => Number(head.readBigUInt64LE((at += 8) - 8));
  const text = (): string => {
    const length = u64();
    if (at + length > size) throw new Error("the metadata is larger than expected");
    return head.toString("utf8", at, (at += length));
  };
  const value = (type: number): unknown => {
    switch (type) {
      case 0:
        return head.readUInt8((at += 1) - 1);
      case 1:
        return head.readInt8((at += 1) - 1);
      case 2:
        return head.readUInt16LE((at += 2) - 2);
      case 3:
        return head.readInt16LE((at += 2) - 2);
      case 4:
        return u32();
      case 5:
        return head.readInt32LE((at += 4) - 4);
      case 6:
        return head.readFloatLE((at += 4) - 4);
      case 7:
        return head.readUInt8((at += 1) - 1) !== 0;
      case 8:
        return text();
      case 9: {
        const element = u32();
        return Array.from({ length: u64() }, () => value(element));
      }
      case 10:
        return u64();
      case 11:
        return Number(head.readBigInt64LE((at += 8) - 8));
      case 12:
        return head.readDoubleLE((at += 8) - 8);
      default:
        throw new Error(`GGUF type ${type}`);
    }
  };
  if (head.toString("latin1", 0, 4) !== "GGUF") throw new Error(`${path} is not a GGUF`);
  at = 8;
  u64(); // tensors
  const entries = u64();
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < entries; i++) {
    const key = text();
    const read = value(u32());
    if (key.startsWith("tokenizer.")) metadata.set(key, read);
  }
  return metadata;
}

/** GPT-2's printable stand-in for each byte. */
const kByteLetters: string[] = (() => {
  const letters: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    letters.push(String.fromCodePoint(printable ? byte : next++));
  }
  return letters;
})();

const kWord = /'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export class Tokenizer {
  readonly #ids = new Map<string, number>();
  readonly #ranks = new Map<string, number>();
  readonly #special: RegExp;

  constructor(gguf: string) {
    const metadata = read_metadata(gguf);
    if (metadata.get("tokenizer.ggml.model") !== "gpt2" || metadata.get("tokenizer.ggml.pre") !== "smollm") {
      throw new Error("this tokenizer knows the vocabulary of SmolLM2 only");
    }
    const tokens = metadata.get("tokenizer.ggml.tokens") as string[];
    const types = metadata.get("tokenizer.ggml.token_type") as number[];
    tokens.forEach((token, id) => this.#ids.set(token, id));
    (metadata.get("tokenizer.ggml.merges") as string[]).forEach((merge, rank) => this.#ranks.set(merge, rank));
    const special = tokens.filter((_, id) => types[id] === 3);
    this.#special = new RegExp(
      `(${special.map((token) => token.replaceAll(/[|<>$^*+?.()[\]{}\\]/g, "\\$&")).join("|")})`,
    );
  }

  encode(text: string): number[] {
    return text.split(this.#special).flatMap((part) => {
      if (part === "") return [];
      if (this.#special.test(part)) return [this.#ids.get(part)!];
      // Each digit stands alone, then GPT-2's words.
      return part
        .split(/(\p{N})/u)
        .flatMap((piece) => (piece.match(kWord) ?? []).flatMap((word) => this.#encode_word(word)));
    });
  }

  #encode_word(word: string): number[] {
    let parts = [...Buffer.from(word, "utf8")].map((byte) => kByteLetters[byte]!);
    for (;;) {
      let best = -1;
      let best_rank = Infinity;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.#ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
        if (rank < best_rank) [best, best_rank] = [i, rank];
      }
      if (best < 0) break;
      const [left, right] = [parts[best]!, parts[best + 1]!];
      const merged: string[] = [];
      for (let i = 0; i < parts.length; i++) {
        if (parts[i] === left && parts[i + 1] === right) {
          merged.push(left + right);
          i++;
        } else merged.push(parts[i]!);
      }
      parts = merged;
    }
    return parts.map((part) => {
      const id = this.#ids.get(part);
      if (id === undefined) throw new Error(`not in the vocabulary: ${part}`);
      return id;
    });
  }

  /** The prompt of SmolLM2's chat template for these messages. */
  encode_chat(messages: ReadonlyArray<{ role: string; content: string }>): number[] {
    const turns = messages.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join("");
    return this.encode(`${turns}<|im_start|>assistant\n`);
  }
}
