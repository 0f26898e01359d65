// The user's project: where its wrangler is, what it is called, how a command of it is found.
import { existsSync, readFileSync } from "node:fs";
import { basename, delimiter, dirname, join, resolve } from "node:path";

/** What went wrong is the user's to mend; the message says what to type. The process exits with 1. */
export class ProjectError extends Error {
  override name = "ProjectError";
}

/** Every `node_modules` from `folder` up to the root, nearest first. */
function node_modules_above(folder: string): string[] {
  const found: string[] = [];
  for (let at = resolve(folder); ; at = dirname(at)) {
    found.push(join(at, "node_modules"));
    if (at === dirname(at)) return found;
  }
}

export interface Wrangler {
  /** Its bin script, run with this process's Node. */
  script: string;
  version: string;
}

/** The project's wrangler, looked for as Node does from `folder` upward. Throws ProjectError when there is none. */
export function find_wrangler(folder: string): Wrangler {
  for (const modules of node_modules_above(folder)) {
    const manifest_path = join(modules, "wrangler", "package.json");
    if (!existsSync(manifest_path)) continue;
    const manifest = JSON.parse(readFileSync(manifest_path, "utf8")) as {
      version: string;
      bin: string | Record<string, string>;
    };
    const bin = typeof manifest.bin === "string" ? manifest.bin : manifest.bin["wrangler"];
    if (bin === undefined) throw new ProjectError(`${manifest_path} names no wrangler program`);
    return { script: join(modules, "wrangler", bin), version: manifest.version };
  }
  throw new ProjectError(
    `This project has no wrangler (looked in ${resolve(folder)} and above).\nType: npm install --save-dev wrangler`,
  );
}

/** PATH with the project's `node_modules/.bin` folders first, so that a command is found as npm scripts find it. */
export function path_with_project(folder: string, path: string | undefined): string {
  const bins = node_modules_above(folder)
    .map((modules) => join(modules, ".bin"))
    .filter((bin) => existsSync(bin));
  return [...bins, ...(path ? [path] : [])].join(delimiter);
}

/** A name for the session: package.json's, else the folder's. */
export function project_name(folder: string): string {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { name?: unknown };
    if (typeof manifest.name === "string" && manifest.name !== "") return manifest.name;
  } catch {
    // A project without package.json is named by its folder.
  }
  return basename(resolve(folder)) || "worker";
}

/** The folder wrangler works in: its own `--cwd`, else ours. */
export function project_folder(wrangler_arguments: readonly string[], cwd: string): string {
  for (const [index, argument] of wrangler_arguments.entries()) {
    if (argument === "--cwd") return resolve(cwd, wrangler_arguments[index + 1] ?? ".");
    if (argument.startsWith("--cwd=")) return resolve(cwd, argument.slice("--cwd=".length));
  }
  return cwd;
}
