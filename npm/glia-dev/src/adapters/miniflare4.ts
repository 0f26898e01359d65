// Miniflare 4: options of a Worker, or { workers: [...] }; a Worker's `ai` is { binding, remoteProxyConnectionString? }, its
// `vectorize` { <BINDING>: { index_name, remoteProxyConnectionString? } }.
import type { Bind } from "./miniflare.ts";

interface VectorizeIndex {
  index_name: string;
  remoteProxyConnectionString?: URL;
}

interface WorkerOptions {
  ai?: { binding: string; remoteProxyConnectionString?: URL };
  vectorize?: Record<string, VectorizeIndex>;
}

interface Options extends WorkerOptions {
  workers?: WorkerOptions[];
}

function point_worker<T extends WorkerOptions>(worker: T, bind: Bind): T {
  const given = Object.entries(worker.vectorize ?? {});
  if (!worker.ai && given.length === 0) return worker;
  const remoteProxyConnectionString = bind(Object.fromEntries(given.map(([name, index]) => [name, index.index_name])));
  const pointed = { ...worker };
  if (worker.ai) pointed.ai = { ...worker.ai, remoteProxyConnectionString };
  if (given.length > 0) {
    pointed.vectorize = Object.fromEntries(
      given.map(([name, index]) => [name, { ...index, remoteProxyConnectionString }]),
    );
  }
  return pointed;
}

export function point_at_glia(options: unknown, bind: Bind): unknown {
  const given = options as Options;
  const pointed = point_worker(given, bind);
  return given.workers ? { ...pointed, workers: given.workers.map((worker) => point_worker(worker, bind)) } : pointed;
}
