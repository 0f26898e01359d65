// Miniflare 5: workers[].config.env.<BINDING> of type "ai" or "vectorize" goes to a remote proxy when its `dev.remote` is true,
// and there is one workers[].dev.remoteProxyConnectionString for all such bindings of a Worker.
import type { Bind } from "./miniflare.ts";

interface Binding {
  type: string;
  /** Of a Vectorize binding: the index. */
  name?: string;
  dev?: { remote?: boolean };
}

interface WorkerOptions {
  config?: { env?: Record<string, Binding> };
  dev?: { remoteProxyConnectionString?: URL };
}

interface Options {
  workers?: WorkerOptions[];
}

function is_ours(binding: Binding | undefined): boolean {
  return binding?.type === "ai" || binding?.type === "vectorize";
}

function point_worker(worker: WorkerOptions, bind: Bind): WorkerOptions {
  const bindings = Object.entries(worker.config?.env ?? {});
  const ours = bindings.filter(([, binding]) => is_ours(binding));
  if (ours.length === 0) return worker;
  const others = bindings.filter(([, binding]) => !is_ours(binding) && binding?.dev?.remote === true);
  if (others.length > 0 && worker.dev?.remoteProxyConnectionString !== undefined) {
    const names = others.map(([name]) => `env.${name}`).join(", ");
    throw new Error(
      `glia-dev cannot serve env.${ours[0]![0]} while ${names} of the same Worker is remote: Miniflare 5 sends all remote bindings ` +
        `of a Worker to one place. Remove \`remote\` from ${names}, or run wrangler dev --local`,
    );
  }
  const env = { ...worker.config!.env };
  for (const [name, binding] of ours) env[name] = { ...binding, dev: { ...binding.dev, remote: true } };
  const indexes = ours.filter(([, binding]) => binding.type === "vectorize");
  const url = bind(Object.fromEntries(indexes.map(([name, binding]) => [name, binding.name ?? ""])));
  return {
    ...worker,
    config: { ...worker.config, env },
    dev: { ...worker.dev, remoteProxyConnectionString: url },
  };
}

export function point_at_glia(options: unknown, bind: Bind): unknown {
  const given = options as Options;
  return given.workers ? { ...given, workers: given.workers.map((worker) => point_worker(worker, bind)) } : options;
}
