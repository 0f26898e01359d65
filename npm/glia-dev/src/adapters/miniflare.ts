// Which adapter is for which Miniflare. Adapters only rewrite options: every AI and Vectorize binding goes to the relay.
import * as miniflare4 from "./miniflare4.ts";
import * as miniflare5 from "./miniflare5.ts";

/** Where calls of a Worker's bindings go, from the index names of its Vectorize bindings. */
export type Bind = (indexes: Readonly<Record<string, string>>) => URL;

/** Rewrites the options of one Miniflare instance; the argument is not changed. */
export type PointAtGlia = (options: unknown, bind: Bind) => unknown;

const kAdapters: ReadonlyMap<number, PointAtGlia> = new Map([
  [4, miniflare4.point_at_glia],
  [5, miniflare5.point_at_glia],
]);

export class UnknownMiniflareError extends Error {
  override name = "UnknownMiniflareError";
  constructor(version: string) {
    super(
      `glia-dev does not know Miniflare ${version}: it works with Miniflare ${[...kAdapters.keys()].join(" and ")} ` +
        `(wrangler 4.86 and newer). Type: npm install --save-dev glia-dev@latest`,
    );
  }
}

export interface Adapter {
  major: number;
  point_at_glia: PointAtGlia;
}

/** Throws UnknownMiniflareError. */
export function adapter_for(version: string): Adapter {
  const major = Number.parseInt(version, 10);
  const point_at_glia = kAdapters.get(major);
  if (!point_at_glia) throw new UnknownMiniflareError(version);
  return { major, point_at_glia };
}
