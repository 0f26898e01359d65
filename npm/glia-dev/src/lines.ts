// Every line that glia-dev itself puts on the terminal.
import type { ServerInfo } from "./glia/glia.ts";
import { short_path } from "./glia/messages.ts";
import type { ServedModel } from "./glia/probe.ts";
import type { CallEvent } from "./glia/session.ts";

export interface Style {
  dim(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  red(text: string): string;
}

/** Colours when the stream is a terminal, unless NO_COLOR; FORCE_COLOR forces. */
export function style_for(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Style {
  const forced = env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== "0" && env.FORCE_COLOR !== "false";
  const on =
    !env.NO_COLOR && (forced || (stream.isTTY === true && env.TERM !== "dumb" && env.FORCE_COLOR === undefined));
  const paint = (open: number, close: number) => (text: string) => (on ? `\x1b[${open}m${text}\x1b[${close}m` : text);
  return { dim: paint(2, 22), green: paint(32, 39), yellow: paint(33, 39), red: paint(31, 39) };
}

/** The distinct weights of a list of served ids, in the list's order, with how many ids each answers; not of ids for which
 * there are none until somebody names some: a call of such an id says so. */
function weights_of(models: readonly ServedModel[]): Array<{ weights: string; ids: ServedModel[] }> {
  const groups = new Map<string, ServedModel[]>();
  for (const model of models.filter((each) => each.weights !== ""))
    groups.set(model.weights, [...(groups.get(model.weights) ?? []), model]);
  return [...groups].map(([weights, ids]) => ({ weights, ids }));
}

function bare_id(id: string): string {
  return id.slice(id.lastIndexOf("/") + 1);
}

/** For the bindings table: `glia, SmolLM2-135M-Instruct for llama-3.1-8b-instruct`, or for how many ids. */
export function mode_label(models: readonly ServedModel[] | undefined): string {
  if (models === undefined) return "glia, not answering yet";
  const groups = weights_of(models);
  const [first] = groups;
  if (first === undefined) return "glia, no models";
  const ids = groups.reduce((sum, group) => sum + group.ids.length, 0);
  if (groups.length > 1) return `glia, ${first.weights} and ${groups.length - 1} more for ${ids} model ids`;
  if (first.ids.every((model) => !model.stand_in)) return `glia, ${first.weights}`;
  return `glia, ${first.weights} for ${first.ids.length === 1 ? bare_id(first.ids[0]!.id) : `all ${first.ids.length} model ids`}`;
}

/** What was connected to. */
export function connected_lines(info: ServerInfo, again: boolean, url: URL, log: string, style: Style): string[] {
  const tag = style.green("[glia]");
  if (again) return [`${tag} Glia is back; env.AI answers again.`];
  const { version, started } = info;
  const how = started ? `started, log ${short_path(log)}` : "already running, shared";
  return [
    `${tag} Glia ${version.version} at ${url.origin} ${style.dim(`(${[version.device, how].filter(Boolean).join("; ")})`)}`,
  ];
}

/** One line each for weights that are missing on this machine. */
export function missing_lines(models: readonly ServedModel[], style: Style): string[] {
  const lines: string[] = [];
  for (const { weights, ids } of weights_of(models.filter((model) => !model.available))) {
    const advice = ids.find((model) => model.advice)?.advice;
    lines.push(
      `${style.yellow("[glia]")} The weights ${weights} are not on this machine yet.${advice ? ` ${advice}` : ""}`,
    );
  }
  return lines;
}

export function problem_line(problem: string, style: Style): string {
  return `${style.yellow("[glia]")} ${problem}`;
}

function number(value: number): string {
  if (value === 0) return "0";
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toPrecision(2);
}

/** One line per finished call: model, weights, time to the first token, tokens per second, neurons; or the error. */
export function call_line(event: CallEvent, style: Style): string {
  const weights = event.weights
    ? ` ${style.dim("←")} ${event.weights}${event.stand_in ? style.dim(" (stand-in)") : ""}`
    : "";
  const head = `${event.model}${weights}`;
  if (event.status === "error") {
    const code = event.code ? `${event.code}: ` : "";
    const fault = event.fault == null ? "" : style.dim(" (a fault that is rehearsed)");
    return `${style.red("[glia]")} ${head}  ${style.red(`${code}${event.message ?? "failed"}`)}${fault}`;
  }
  const facts: string[] = [];
  if (event.first_token_ms != null) facts.push(`${number(event.first_token_ms)} ms to first token`);
  if (event.tokens_per_s != null) facts.push(`${number(event.tokens_per_s)} tok/s`);
  if (event.status === "ok" && event.completion_tokens === 0 && event.prompt_tokens)
    facts.push(`${event.prompt_tokens} tokens read in ${number(event.total_ms ?? 0)} ms`);
  if (event.fault != null) facts.push(`fault ${event.fault}`);
  if (event.neurons != null) facts.push(`${number(event.neurons)} neurons`);
  const tag = event.status === "cancelled" ? style.yellow("[glia]") : style.green("[glia]");
  return `${tag} ${head}  ${event.status === "cancelled" ? `${style.yellow("cancelled")}, ` : ""}${style.dim(facts.join(", "))}`;
}

/** A call that never reached Glia. */
export function refused_line(model: string, problem: string, style: Style): string {
  return `${style.red("[glia]")} ${model ? `${model}  ` : ""}${style.red(problem)}`;
}

/** A line of --show-io. */
export function shown_line(line: string, style: Style): string {
  return `${style.dim("[glia]")} ${line}`;
}
