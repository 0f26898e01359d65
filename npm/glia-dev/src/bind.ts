// The address that a Worker's bindings are sent to: `<relay>/bind/<major of Miniflare>/<what its bindings stand for>`.
//
// A call says which binding made it and not which index that is, so the address says it. It is Miniflare's to keep: nothing
// has to be registered before the first call, and two Workers may use one name for two indexes.

export interface Bound {
  /** Of Miniflare; unknown for an address that no preload made. */
  major: string;
  /** Index names by the name of the Vectorize binding. */
  indexes: Readonly<Record<string, string>>;
  /** Set when the indexes are those of one Miniflare alone; names its session (Glia.own_session). */
  own?: string | undefined;
}

export function bind_path({ major, indexes, own }: Bound): string {
  if (Object.keys(indexes).length === 0) return `bind/${major}`;
  const bound = JSON.stringify({ indexes, own });
  return `bind/${major}/${Buffer.from(bound).toString("base64url")}`;
}

/** Of the words behind `bind/`; undefined when nobody of us wrote them. */
export function read_bound(major: string | undefined, bound: string | undefined): Bound | undefined {
  if (bound === undefined) return { major: major ?? "", indexes: {} };
  try {
    const { indexes, own } = JSON.parse(Buffer.from(bound, "base64url").toString("utf8")) as Partial<Bound>;
    if (typeof indexes !== "object" || indexes === null) return undefined;
    return { major: major ?? "", indexes, own };
  } catch {
    return undefined;
  }
}
