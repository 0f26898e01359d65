// What the package exports: Glia for tests of Workers. docs/testing.md says how it is used.
export { createGlia } from "./testing/create_glia.ts";
export type { Glia, GliaCall, GliaOptions, GliaUsage, MiniflareAiOptions } from "./testing/create_glia.ts";
export type { Fault, FaultKind } from "./faults.ts";
