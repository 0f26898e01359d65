// Miniflare 5: workers[].config.env.<BINDING> of type "ai" goes to a remote proxy when its `dev.remote` is true, and there is
// one workers[].dev.remoteProxyConnectionString for all such bindings of a Worker.

interface Binding {
  type: string;
  dev?: { remote?: boolean };
}

interface WorkerOptions {
  config?: { env?: Record<string, Binding> };
  dev?: { remoteProxyConnectionString?: URL };
}

interface Options {
  workers?: WorkerOptions[];
}

function point_worker(worker: WorkerOptions, bind: URL): WorkerOptions {
  const bindings = Object.entries(worker.config?.env ?? {});
  const ours = bindings.filter(([, binding]) => binding?.type === "ai");
  if (ours.length === 0) return worker;
  const others = bindings.filter(([, binding]) => binding?.type !== "ai" && binding?.dev?.remote === true);
  if (others.length > 0 && worker.dev?.remoteProxyConnectionString !== undefined) {
    const names = others.map(([name]) => `env.${name}`).join(", ");
    throw new Error(
      `glia-dev cannot serve env.${ours[0]![0]} while ${names} of the same Worker is remote: Miniflare 5 sends all remote bindings ` +
        `of a Worker to one place. Remove \`remote\` from ${names}, or run wrangler dev --local`,
    );
  }
  const env = { ...worker.config!.env };
  for (const [name, binding] of ours) env[name] = { ...binding, dev: { ...binding.dev, remote: true } };
  return { ...worker, config: { ...worker.config, env }, dev: { ...worker.dev, remoteProxyConnectionString: bind } };
}

export function point_at_glia(options: unknown, bind: URL): unknown {
  const given = options as Options;
  return given.workers ? { ...given, workers: given.workers.map((worker) => point_worker(worker, bind)) } : options;
}
