// Faults as their users write them: in createGlia, in glia.faults.json, on the command line; and as the server takes them.
import { readFileSync } from "node:fs";

/** What goes wrong: an error of the service by its internal code, or what a network and a model do. */
export type FaultKind = 3036 | 3040 | 3021 | 5028 | 3007 | (number & {}) | "empty" | "slow" | "cut";

export interface Fault {
  fault: FaultKind;
  /** Calls of this id only (or of an alias of it). */
  model?: string;
  /** Calls by this way only: `env.AI`, the REST route, OpenAI's routes. */
  route?: "binding" | "rest" | "openai";
  /** So many calls pass first. */
  after?: number;
  /** Then the first of every so many meets the fault (1: each). */
  every?: number;
  /** So often at most. */
  times?: number;
  /** "slow": from the call to its first token (2000), and between tokens (0). */
  firstTokenMs?: number;
  betweenTokensMs?: number;
  /** "cut": so many tokens arrive before the connection breaks (3). */
  afterTokens?: number;
}

export interface WireFault {
  fault: number | string;
  model?: string;
  route?: string;
  after?: number;
  every?: number;
  times?: number;
  first_token_ms?: number;
  between_tokens_ms?: number;
  after_tokens?: number;
}

export class FaultError extends Error {
  override name = "FaultError";
}

const kFields: Record<string, { wire: keyof WireFault; number: boolean }> = {
  fault: { wire: "fault", number: false },
  model: { wire: "model", number: false },
  route: { wire: "route", number: false },
  after: { wire: "after", number: true },
  every: { wire: "every", number: true },
  times: { wire: "times", number: true },
  firstTokenMs: { wire: "first_token_ms", number: true },
  betweenTokensMs: { wire: "between_tokens_ms", number: true },
  afterTokens: { wire: "after_tokens", number: true },
};

/** Throws FaultError for what is no list of faults; the server checks the values. */
export function to_wire(faults: unknown, where = "faults"): WireFault[] {
  if (!Array.isArray(faults)) throw new FaultError(`${where}: a list of faults is expected`);
  return faults.map((fault: unknown, index) => {
    const at = `${where}[${index}]`;
    if (typeof fault !== "object" || fault === null) throw new FaultError(`${at}: an object is expected`);
    const wire: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(fault)) {
      const field = kFields[name];
      if (!field)
        throw new FaultError(`${at}: a fault has no field ${name}; there are ${Object.keys(kFields).join(", ")}`);
      if (value !== undefined) wire[field.wire] = value;
    }
    if (!("fault" in wire))
      throw new FaultError(`${at}: what goes wrong is missing (fault: 3040, "empty", "slow", "cut"…)`);
    return wire as unknown as WireFault;
  });
}

/** `3040`, or `slow,firstTokenMs=500,model=@cf/…,times=2`. Throws FaultError. */
export function parse_fault(text: string): WireFault {
  const [kind, ...rest] = text.split(",");
  const fault: Record<string, unknown> = { fault: /^\d+$/.test(kind!) ? Number(kind) : kind };
  for (const part of rest) {
    const at = part.indexOf("=");
    const name = part.slice(0, at);
    const field = kFields[name];
    if (at < 0 || !field || name === "fault")
      throw new FaultError(
        `--fault ${text}: ${part} is no field of a fault; for example --fault 3040,times=2 or --fault slow,firstTokenMs=500`,
      );
    fault[name] = field.number ? Number(part.slice(at + 1)) : part.slice(at + 1);
  }
  return to_wire([fault], "--fault")[0]!;
}

/** A file that holds a list of faults. Throws FaultError. */
export function read_faults(path: string): WireFault[] {
  try {
    return to_wire(JSON.parse(readFileSync(path, "utf8")) as unknown, path);
  } catch (error) {
    if (error instanceof FaultError) throw error;
    throw new FaultError(`${path}: ${(error as Error).message}`);
  }
}
