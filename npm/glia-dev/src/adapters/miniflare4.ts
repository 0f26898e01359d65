// Miniflare 4: options of a Worker, or { workers: [...] }; a Worker's `ai` is { binding, remoteProxyConnectionString? }.

interface WorkerOptions {
  ai?: { binding: string; remoteProxyConnectionString?: URL };
}

interface Options extends WorkerOptions {
  workers?: WorkerOptions[];
}

function point_worker<T extends WorkerOptions>(worker: T, bind: URL): T {
  if (!worker.ai) return worker;
  return { ...worker, ai: { ...worker.ai, remoteProxyConnectionString: bind } };
}

export function point_at_glia(options: unknown, bind: URL): unknown {
  const given = options as Options;
  const pointed = point_worker(given, bind);
  return given.workers ? { ...pointed, workers: given.workers.map((worker) => point_worker(worker, bind)) } : pointed;
}
