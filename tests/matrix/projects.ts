// The projects of the matrix. Those from a template have its files as they are, an `ai` binding in their configuration, and a
// second entry that answers /ai and hands everything else to the template's own.
import { cpSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { read, write_files } from "./world.ts";

export const kModel = "@cf/meta/llama-3.2-1b-instruct";
export const kDate = "2026-04-01";

export interface Template {
  /** Under create-cloudflare's templates/. */
  path: string;
  language: "ts" | "js";
  /** The interface of `env`, where it is not Env. */
  env?: string;
  /** A path that the template itself answers. */
  own_path: string;
  own_answer: RegExp;
}

export const kTemplates: Record<string, Template> = {
  "hello-world ts": { path: "hello-world/ts", language: "ts", own_path: "/", own_answer: /Hello World!/ },
  "hello-world js": { path: "hello-world/js", language: "js", own_path: "/", own_answer: /Hello World!/ },
  hono: {
    path: "hono/workers/templates",
    language: "ts",
    env: "CloudflareBindings",
    own_path: "/message",
    own_answer: /Hello Hono!/,
  },
  "durable-object": {
    path: "hello-world-durable-object/ts",
    language: "ts",
    own_path: "/",
    own_answer: /Hello, world!/,
  },
  assets: { path: "hello-world-with-assets/ts", language: "ts", own_path: "/", own_answer: /<html/i },
  queues: { path: "queues/ts", language: "ts", own_path: "/", own_answer: /Sent message to the queue/ },
  scheduled: { path: "scheduled/ts", language: "ts", own_path: "/", own_answer: /scheduled handler/ },
  workflows: { path: "hello-world-workflows/ts", language: "ts", own_path: "/", own_answer: /"id"/ },
};

/** /ai streams, /ai?whole answers at once. */
const kCall = `
    const url = new URL(request.url);
    if (url.pathname === "/ai") {
      const prompt = "Say hello to a new project.";
      if (url.searchParams.has("whole")) {
        const answer = await env.AI.run("${kModel}", { prompt, max_tokens: 8, seed: 1 });
        return Response.json({ text: answer.response });
      }
      const stream = await env.AI.run("${kModel}", { prompt, max_tokens: 8, seed: 1, stream: true });
      return new Response(stream, { headers: { "content-type": "text/event-stream", "x-secret": String(env.SECRET) } });
    }`;
const kEntryJs = `import worker from "./index";
CLASSES
export default {
  ...worker,
  async fetch(request, env, ctx) {${kCall}
    return worker.fetch(request, env, ctx);
  },
};
`;
const kEntryTs = `import worker from "./index";
CLASSES
const own = worker as unknown as ExportedHandler<Env>;

export default {
  ...own,
  async fetch(request, env, ctx): Promise<Response> {${kCall.replace(', "x-secret": String(env.SECRET)', "")}
    return own.fetch!(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
`;

/** Makes the project `name` of a template under an installation; resolves with its folder. */
export function make_from_template(installation: string, templates: string, name: string, template: Template): string {
  const folder = join(installation, name.replaceAll(/\W+/g, "-"));
  cpSync(join(templates, template.path), folder, { recursive: true });
  if (existsSync(join(folder, "__dot__gitignore")))
    renameSync(join(folder, "__dot__gitignore"), join(folder, ".gitignore"));
  const entry = `src/with_ai.${template.language}`;
  const config = fill(read(join(folder, "wrangler.jsonc")))
    .replace(/"main": "src\/index\.\w+"/, `"main": "${entry}"`)
    .replace("{", '{\n  "ai": { "binding": "AI" },');
  // By name: wrangler types looks for the classes of Durable Objects, and does not follow `export *`.
  const own = read(join(folder, `src/index.${template.language}`));
  const classes = [...own.matchAll(/^export class (\w+)/gm)].map(([, name]) => `export { ${name} } from "./index";\n`);
  const source = (
    template.language === "js" ? kEntryJs : kEntryTs.replaceAll("Env>", `${template.env ?? "Env"}>`)
  ).replace("CLASSES", classes.join(""));
  write_files(folder, { "wrangler.jsonc": config, [entry]: source });
  const manifest = join(folder, "package.json");
  writeFileSync(manifest, existsSync(manifest) ? fill(read(manifest)) : '{"name": "from-template", "private": true}\n');
  // create-hono makes its own.
  if (template.language === "ts" && !existsSync(join(folder, "tsconfig.json")))
    write_files(folder, { "tsconfig.json": kTsconfig });
  return folder;
}

function fill(text: string): string {
  return text
    .replaceAll("<WORKER_NAME>", "from-template")
    .replaceAll("<PACKAGE_NAME>", "from-template")
    .replaceAll("<COMPATIBILITY_DATE>", kDate);
}

const kTsconfig = `${JSON.stringify(
  {
    compilerOptions: {
      target: "es2024",
      lib: ["es2024"],
      module: "es2022",
      moduleResolution: "bundler",
      noEmit: true,
      isolatedModules: true,
      strict: true,
      skipLibCheck: true,
    },
    include: ["worker-configuration.d.ts", "src/**/*.ts"],
  },
  undefined,
  2,
)}\n`;

/** A Worker of one file. */
const kPlainJs = `export default {
  async fetch(request, env) {${kCall}
    if (url.pathname.startsWith("/back/")) return env.BACK.fetch(new URL(url.pathname.slice(5), url));
    return new Response("front");
  },
};
`;

/** A Worker whose binding, remote or not, and secret stand in an environment only. `format`: the configuration file's. */
export function make_with_environment(folder: string, format: "toml" | "json" | "jsonc", remote: boolean): void {
  const config = {
    name: "with-environment",
    main: "src/index.js",
    compatibility_date: kDate,
    env: { staging: { ai: { binding: "AI", ...(remote ? { remote } : {}) } } },
  };
  const toml = `name = "with-environment"\nmain = "src/index.js"\ncompatibility_date = "${kDate}"\n\n[env.staging]\n[env.staging.ai]\nbinding = "AI"\n${remote ? "remote = true\n" : ""}`;
  write_files(folder, {
    "package.json": '{"name": "with-environment", "private": true}\n',
    "src/index.js": kPlainJs,
    [`wrangler.${format}`]:
      format === "toml"
        ? toml
        : `${format === "jsonc" ? "// A comment.\n" : ""}${JSON.stringify(config, undefined, 2)}\n`,
    ".dev.vars": 'SECRET="of no environment"\n',
    ".dev.vars.staging": 'SECRET="of staging"\n',
  });
}

/** Two Workers with AI; /back/… of the first is answered by the second. Folders `front` and `back`. */
export function make_two_workers(folder: string): void {
  const config = (name: string, more: object): string =>
    JSON.stringify({ name, main: "index.js", compatibility_date: kDate, ai: { binding: "AI" }, ...more }, undefined, 2);
  write_files(folder, {
    "package.json": '{"name": "two-workers", "private": true}\n',
    "pnpm-workspace.yaml": 'packages:\n  - "front"\n  - "back"\n',
    "front/package.json": '{"name": "front", "private": true, "type": "module"}\n',
    "front/wrangler.jsonc": config("front", { services: [{ binding: "BACK", service: "back" }] }),
    "front/index.js": kPlainJs,
    "back/package.json": '{"name": "back", "private": true, "type": "module"}\n',
    "back/wrangler.jsonc": config("back", {}),
    "back/index.js": kPlainJs.replace('"front"', '"back"'),
  });
}

/** A Vite project with @cloudflare/vite-plugin. */
export function make_vite(folder: string): void {
  write_files(folder, {
    "package.json": '{"name": "with-vite", "private": true, "type": "module"}\n',
    "vite.config.js": `import { cloudflare } from "@cloudflare/vite-plugin";
import { defineConfig } from "vite";

export default defineConfig({ plugins: [cloudflare()] });
`,
    "index.html": "<!doctype html><title>with Vite</title>\n",
    "wrangler.jsonc": JSON.stringify({
      name: "with-vite",
      main: "src/index.js",
      compatibility_date: kDate,
      ai: { binding: "AI" },
      assets: { run_worker_first: ["/ai"] },
    }),
    "src/index.js": kPlainJs,
  });
}

const kPrintStream = `let told = false;
let all = "";
for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
  all += chunk;
  if (!told && /"response":"[^"]/.test(all)) {
    told = true;
    console.log("FIRST TOKEN");
  }
}
console.log("WHOLE", JSON.stringify(all));
`;

/** Scripts that reach a Worker's bindings by wrangler's functions. */
export const kScripts = {
  getPlatformProxy: `import { getPlatformProxy } from "wrangler";
const proxy = await getPlatformProxy();
const stream = await proxy.env.AI.run("${kModel}", { prompt: "Say hello.", max_tokens: 8, seed: 1, stream: true });
${kPrintStream}await proxy.dispose();
`,
  unstable_startWorker: `import { unstable_startWorker } from "wrangler";
const worker = await unstable_startWorker({ config: "wrangler.jsonc", dev: { remote: false, inspector: false, server: { port: 0 } } });
const stream = (await worker.fetch("http://example.com/ai")).body;
${kPrintStream}await worker.dispose();
process.exit(0);
`,
  unstable_dev: `import { unstable_dev } from "wrangler";
const worker = await unstable_dev("src/index.js", { config: "wrangler.jsonc", local: true, experimental: { disableExperimentalWarning: true } });
const stream = (await worker.fetch("/ai")).body;
${kPrintStream}await worker.stop();
process.exit(0);
`,
};

export function make_scripts(folder: string): void {
  const config = { name: "scripts", main: "src/index.js", compatibility_date: kDate, ai: { binding: "AI" } };
  write_files(folder, {
    "package.json": '{"name": "scripts", "private": true, "type": "module"}\n',
    "wrangler.jsonc": JSON.stringify(config),
    "src/index.js": kPlainJs,
    ...Object.fromEntries(Object.entries(kScripts).map(([name, text]) => [`${name}.mjs`, text])),
  });
}

export function new_folder(installation: string, name: string): string {
  const folder = join(installation, name);
  mkdirSync(folder);
  return folder;
}
