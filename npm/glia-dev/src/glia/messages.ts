// What a Worker's env.AI.run throws, and the terminal shows, while Glia cannot answer: what is wrong and what to type.
import { homedir } from "node:os";
import type { Found } from "./probe.ts";
import { kVersion } from "../version.ts";

function other_port(url: URL): number {
  return Number(url.port || 80) + 1;
}

function address(url: URL): string {
  return url.origin;
}

export function short_path(path: string): string {
  const home = homedir();
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}

/** For everything that probe() can find except a ready glia. */
export function problem_of(found: Exclude<Found, { kind: "ready" }>, url: URL): string {
  switch (found.kind) {
    case "nothing":
      return not_running(url);
    case "loading":
      return "Glia is still loading its weights. Try again in a few seconds.";
    case "other_version":
      return (
        `Glia ${found.version.version} runs at ${address(url)}, but this is glia-dev ${kVersion}. ` +
        `Stop that Glia and start glia-dev again, or type: npx glia-dev --glia-port ${other_port(url)}`
      );
    case "other_program":
      return `Port ${url.port || 80} is taken by another program, which is not Glia. Type: npx glia-dev --glia-port ${other_port(url)}`;
    case "silent":
      return (
        `The program at ${address(url)} takes connections but does not answer. ` +
        `End it, or type: npx glia-dev --glia-port ${other_port(url)}`
      );
  }
}

export function not_running(url: URL): string {
  const port = url.port === "" ? "80" : url.port;
  return `Glia is not running at ${address(url)}. Type: glia serve --port ${port}`;
}

export function starting(log: string): string {
  return `Glia is starting. Try again in a moment (log: ${short_path(log)}).`;
}

/** `checkout`: this package lies in the project's own repository, where the program is built, not installed. */
export function no_program(checkout: boolean): string {
  const platform_package = `glia-${process.platform}-${process.arch}`;
  return (
    `There is no glia program on this machine (looked at GLIA_BIN, the package ${platform_package}, PATH${checkout ? ", build/" : ""}). ` +
    `Type: ${checkout ? "make" : `npm install --save-dev ${platform_package}`}, or set GLIA_BIN`
  );
}

export function did_not_start(how: string, last_line: string, log: string): string {
  return `Glia did not start (${how})${last_line === "" ? "" : `: ${last_line}`}. The whole log: ${short_path(log)}`;
}

export function stopped(how: string, log: string): string {
  return `Glia stopped unexpectedly (${how}) and is being started again. Try again in a moment (log: ${short_path(log)}).`;
}

export function keeps_stopping(how: string, log: string, url: URL): string {
  return (
    `Glia keeps stopping (${how}) and is not started again. See ${short_path(log)}, then type: glia serve --port ${url.port || 80}, ` +
    `or start glia-dev again`
  );
}

export function lost_during_call(): string {
  return "Glia stopped while it answered this call. Call again; if it stays away, type: glia serve";
}

export function unexpected(url: URL, error: unknown): string {
  return `Glia at ${address(url)} does not answer as this glia-dev expects (${error instanceof Error ? error.message : String(error)})`;
}
