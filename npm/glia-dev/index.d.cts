import type { createGlia as CreateGlia } from "./dist/index.js" with { "resolution-mode": "import" };
export type {
  Fault,
  FaultKind,
  Glia,
  GliaCall,
  GliaOptions,
  GliaUsage,
  MiniflareAiOptions,
} from "./dist/index.js" with { "resolution-mode": "import" };
export declare const createGlia: typeof CreateGlia;
