// What stands between a call and Glia for recording, replaying and showing; the relay asks it.
import type { ServerResponse } from "node:http";
import { relative } from "node:path";
import type { Call } from "./call.ts";
import { answer_of, CassetteError, kept_headers, Player, Recorder } from "./cassette.ts";
import { play, type ReplaySpeed } from "./play.ts";
import { answer_lines, request_lines } from "./show.ts";

export interface TapeOptions {
  record?: string | undefined;
  replay?: string | undefined;
  replay_speed?: ReplaySpeed | undefined;
  /** Where --show-io prints; undefined: nothing is shown. */
  show?: ((line: string) => void) | undefined;
}

/** Listens to one answer as it comes from Glia. */
export interface Listener {
  head(status: number, headers: NodeJS.Dict<string | string[]>): void;
  piece(bytes: Buffer): void;
  /** It is whole, or broke off; not called when the client left first. */
  end(cut: boolean): void;
}

/** Internal code and status of a call that is not in the recording. */
export const kNotRecorded = { code: 7404, status: 404, name: "not_recorded" };

export class Tape {
  readonly #recorder: Recorder | undefined;
  readonly #player: Player | undefined;
  readonly #speed: ReplaySpeed;
  readonly #show: ((line: string) => void) | undefined;

  constructor(options: TapeOptions) {
    this.#recorder = options.record === undefined ? undefined : new Recorder(options.record);
    this.#player = options.replay === undefined ? undefined : new Player(options.replay);
    this.#speed = options.replay_speed ?? "instant";
    this.#show = options.show;
  }

  /** Undefined when the options ask for nothing: calls then pass without being looked at. */
  static for(options: TapeOptions): Tape | undefined {
    const { record, replay, show } = options;
    return record === undefined && replay === undefined && show === undefined ? undefined : new Tape(options);
  }

  get replays(): boolean {
    return this.#player !== undefined;
  }

  /** Answers from the recording. `miss` is called with what to tell the client when it is not there. */
  async replay(
    call: Call,
    response: ServerResponse,
    extra: Record<string, string>,
    miss: (problem: string) => void,
  ): Promise<{ body: Buffer; type: string } | undefined> {
    const player = this.#player!;
    try {
      const answer = await player.next(call);
      if (answer === undefined) {
        miss(miss_text(call, player.folder));
        return undefined;
      }
      const text = answer.body ?? answer.stream?.map(([, piece]) => piece).join("") ?? "";
      const body = answer.base64 === undefined ? Buffer.from(text) : Buffer.from(answer.base64, "base64");
      const type = answer.headers["content-type"] ?? "";
      this.#print([...request_lines(call), ...answer_lines(call, answer.status, type, body)]);
      await play(answer, this.#speed, response, extra);
      return { body, type };
    } catch (error) {
      if (!(error instanceof CassetteError)) throw error;
      miss(error.message);
      return undefined;
    }
  }

  /** A call goes to Glia. */
  listen(call: Call): Listener {
    const start = performance.now();
    const keep = this.#recorder?.begin(call);
    let status = 0;
    let headers: Record<string, string> = {};
    const chunks: Array<{ ms: number; bytes: Buffer }> = [];
    if (this.#show) this.#print(request_lines(call));
    return {
      head(from_status, from_headers) {
        status = from_status;
        headers = kept_headers(from_headers);
      },
      piece(bytes) {
        chunks.push({ ms: performance.now() - start, bytes });
      },
      end: (cut) => {
        // 503 is this machine's own: no weights, still loading. It would only hide that nothing was recorded.
        if (status !== 503) keep?.(answer_of(status, headers, chunks, cut));
        const body = Buffer.concat(chunks.map((chunk) => chunk.bytes));
        if (this.#show) this.#print(answer_lines(call, status, headers["content-type"] ?? "", body));
      },
    };
  }

  /** Replays begin anew. */
  reset(): void {
    this.#player?.reset();
  }

  async flush(): Promise<void> {
    await this.#recorder?.flush();
  }

  #print(lines: readonly string[]): void {
    for (const line of lines) this.#show?.(line);
  }
}

function miss_text(call: Call, folder: string): string {
  const inside = relative(process.cwd(), folder);
  const shown = inside !== "" && !inside.startsWith("..") ? inside : folder;
  return (
    `Nothing is recorded in ${shown} for this call of ${call.model || call.route} (${call.dialect}): its inputs differ from ` +
    `those recorded, or it never was. Record it: glia-dev --record ${shown}, or createGlia({ record: ${JSON.stringify(shown)} })`
  );
}
