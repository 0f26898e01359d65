// What glia-dev tells the preload in the processes that it starts, through the environment.

export interface Handover {
  /** The relay's base URL. */
  relay: string;
  /** Text for the mode column of wrangler's bindings table, without the word local. */
  label: string;
  /** The command is our own `wrangler dev --local`: none of its bindings is remote. */
  local_only: boolean;
  /** In a test runner each Miniflare has Vectorize indexes of its own, gone with it. */
  own_indexes: boolean;
}

const kVariable = "GLIA_DEV";

export function read_handover(env: NodeJS.ProcessEnv): Handover | undefined {
  const text = env[kVariable];
  return text === undefined ? undefined : (JSON.parse(text) as Handover);
}

/** The environment of a command that shall have the preload. */
export function environment_with(env: NodeJS.ProcessEnv, handover: Handover, preload: URL): NodeJS.ProcessEnv {
  const option = `--import=${preload.href}`;
  return {
    ...env,
    NODE_OPTIONS: env.NODE_OPTIONS ? `${env.NODE_OPTIONS} ${option}` : option,
    [kVariable]: JSON.stringify(handover),
    // In front of /v1/… and /client/v4/…, for a program that talks HTTP within this session.
    GLIA_SESSION_URL: handover.relay,
    // What wrangler would otherwise ask the network for, unless the user wants it.
    CLOUDFLARE_CF_FETCH_ENABLED: env.CLOUDFLARE_CF_FETCH_ENABLED ?? "false",
    WRANGLER_SEND_METRICS: env.WRANGLER_SEND_METRICS ?? "false",
    WRANGLER_SEND_ERROR_REPORTS: env.WRANGLER_SEND_ERROR_REPORTS ?? "false",
  };
}

export function preload_url(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./preload.ts" : "./preload.js", import.meta.url);
}
