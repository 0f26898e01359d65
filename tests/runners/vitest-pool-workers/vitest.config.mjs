import { defineWorkersConfig } from "@cloudflare/vitest-pool-workers/config";
import { createGlia } from "glia-dev";

export default defineWorkersConfig(async () => {
  const glia = await createGlia({ seed: 7, faults: [{ fault: 3040, after: 3, times: 1 }] });
  return {
    test: {
      poolOptions: {
        workers: {
          remoteBindings: false,
          wrangler: { configPath: "./wrangler.jsonc" },
          miniflare: glia.miniflareOptions("AI", { DOCS: "docs" }),
        },
      },
    },
  };
});
