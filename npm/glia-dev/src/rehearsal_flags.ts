// The flags of glia-dev that rehearse: faults, a seed, recordings, what is said shown.
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { FaultError, parse_fault, read_faults, type WireFault } from "./faults.ts";
import type { SessionOptions } from "./glia/session.ts";
import type { ReplaySpeed } from "./tape/play.ts";
import { UsageError } from "./usage_error.ts";

/** Read from the project's folder where it is there. */
export const kFaultsFile = "glia.faults.json";

export class RehearsalFlags {
  record: string | undefined;
  replay: string | undefined;
  replay_speed: ReplaySpeed = "instant";
  show_io = false;
  seed: number | undefined;
  readonly faults: WireFault[] = [];
  faults_file: string | undefined;

  /** True when the flag is one of these; `next` gives the argument after it. Throws UsageError. */
  take(argument: string, next: () => string | undefined): boolean {
    const [, name, given] =
      /^--(record|replay|replay-speed|show-io|seed|fault|faults)(?:=(.*))?$/s.exec(argument) ?? [];
    if (name === undefined) return false;
    if (name === "show-io") {
      this.show_io = true;
      return true;
    }
    const value = given ?? next();
    if (value === undefined || value === "") throw new UsageError(`--${name} needs a value`);
    this.#set(name, value);
    return true;
  }

  #set(name: string, value: string): void {
    switch (name) {
      case "record":
        this.record = value;
        break;
      case "replay":
        this.replay = value;
        break;
      case "replay-speed":
        if (value !== "real" && value !== "instant") throw new UsageError("--replay-speed is `real` or `instant`");
        this.replay_speed = value;
        break;
      case "seed":
        this.seed = Number(value);
        if (!/^\d+$/.test(value) || !Number.isSafeInteger(this.seed))
          throw new UsageError(`--seed ${value}: a whole number from 0 is expected`);
        break;
      case "fault":
        this.faults.push(as_usage(() => parse_fault(value)));
        break;
      default:
        this.faults_file = value;
    }
  }

  /** Throws UsageError for flags that exclude each other. */
  check(): void {
    if (this.record !== undefined && this.replay !== undefined)
      throw new UsageError("--record and --replay exclude each other");
    if (this.replay !== undefined && (this.faults.length > 0 || this.faults_file !== undefined))
      throw new UsageError("faults need Glia itself: record them, and replay that");
  }

  /** Adds to what the session asks for; a line for the terminal when faults are on. Throws UsageError. */
  apply(session: SessionOptions, folder: string): string | undefined {
    if (this.seed !== undefined) session.seed = this.seed;
    const own = join(folder, kFaultsFile);
    const file = this.faults_file === undefined ? (existsSync(own) ? own : undefined) : resolve(this.faults_file);
    const faults = [...this.faults, ...(file === undefined ? [] : as_usage(() => read_faults(file)))];
    if (faults.length === 0) return undefined;
    session.faults = faults;
    const from = file === undefined ? "" : ` (${relative(process.cwd(), file) || file})`;
    return `${faults.length === 1 ? "1 fault is" : `${faults.length} faults are`} rehearsed${from}: calls will fail as it says.`;
  }
}

function as_usage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FaultError) throw new UsageError(error.message);
    throw error;
  }
}
