// A server that lacks its default weights gets them, when it is on this machine.
import { short_path } from "../glia/messages.ts";
import { served_models, type ServedModel } from "../glia/probe.ts";
import { kDefaultWeights } from "./default_weights.ts";
import { ensure_weights, weights_folder, WeightsError, type FetchOptions } from "./weights.ts";

const kLoopback = /^(127\.[\d.]+|localhost|\[::1\])$/;

/**
 * Fetches what the server at `url` lacks of the default weights. Resolves with what it serves then, and a line each for what
 * went wrong.
 */
export async function fetch_missing(
  models: ServedModel[],
  url: URL,
  options: FetchOptions,
): Promise<{ models: ServedModel[]; problems: string[] }> {
  const problems: string[] = [];
  if (options.from === "off" || !kLoopback.test(url.hostname)) return { models, problems };
  const lacks = (file: string): boolean => models.some((model) => model.file === file && !model.available);
  for (const weights of kDefaultWeights.filter(({ file }) => lacks(file))) {
    try {
      await ensure_weights(weights, options);
    } catch (error) {
      if (!(error instanceof WeightsError)) throw error;
      problems.push(error.message);
      continue;
    }
    models = await served_models(url).catch(() => models);
    if (lacks(weights.file))
      problems.push(
        `Glia at ${url.origin} does not look for weights in ${short_path(weights_folder(options.env))}. ` +
          `Set GLIA_MODELS to the folder that its settings name, and start glia-dev again`,
      );
  }
  return { models, problems };
}
