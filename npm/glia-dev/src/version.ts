import { readFileSync } from "node:fs";

/** This package's version; the glia it works with has the same. */
export const kVersion = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
).version;

/** The version of docs/protocol-internal.md that this package speaks. */
export const kProtocol = 1;
