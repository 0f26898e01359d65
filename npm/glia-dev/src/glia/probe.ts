// Asks what listens at an address: glia (which version, ready or loading), another program, or nothing.
import { kProtocol, kVersion } from "../version.ts";

export interface Version {
  name: string;
  version: string;
  protocol: number;
  device?: string;
  profile?: string;
}

export interface ServedModel {
  id: string;
  weights: string;
  stand_in: boolean;
  available: boolean;
  /** The file's name in the folder of weights. */
  file?: string;
  /** What to type when the weights are not on this machine. */
  advice?: string;
}

export type Found =
  | { kind: "nothing" }
  | { kind: "ready"; version: Version }
  | { kind: "loading"; version: Version }
  | { kind: "other_version"; version: Version }
  | { kind: "other_program" }
  | { kind: "silent" };

const kAnswerWithinMs = 700;

/** Never throws. Answers within about two times kAnswerWithinMs. */
export async function probe(url: URL): Promise<Found> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(new URL("/version", url), { signal: AbortSignal.timeout(kAnswerWithinMs) });
    body = await response.json().catch(() => undefined);
  } catch (error) {
    const code = error_code(error);
    if (code === "ECONNREFUSED" || code === "ECONNRESET") return { kind: "nothing" };
    if (error instanceof Error && error.name === "TimeoutError") return { kind: "silent" };
    return code === "ENOTFOUND" || code === "EHOSTUNREACH" || code === "ENETUNREACH"
      ? { kind: "nothing" }
      : { kind: "other_program" };
  }
  if (!response.ok || !is_version(body)) return { kind: "other_program" };
  if (body.protocol !== kProtocol || body.version !== kVersion) return { kind: "other_version", version: body };
  try {
    const health = await fetch(new URL("/health", url), { signal: AbortSignal.timeout(kAnswerWithinMs) });
    await health.arrayBuffer();
    return { kind: health.ok ? "ready" : "loading", version: body };
  } catch {
    return { kind: "silent" };
  }
}

function is_version(body: unknown): body is Version {
  const version = body as Version | null | undefined;
  return version?.name === "glia" && typeof version.version === "string" && typeof version.protocol === "number";
}

/** The system's error code of a failed fetch or socket. */
export function error_code(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof AggregateError && at.errors.length > 0) return error_code(at.errors[0]);
    const code = (at as NodeJS.ErrnoException).code;
    if (typeof code === "string") return code;
  }
  return undefined;
}

/** Which weights answer for which id. */
export async function served_models(url: URL): Promise<ServedModel[]> {
  const response = await fetch(new URL("/glia/v1/models", url), { signal: AbortSignal.timeout(2000) });
  if (!response.ok) throw new Error(`GET /glia/v1/models answered ${response.status}`);
  return (await response.json()) as ServedModel[];
}
