import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { createGlia } from "glia-dev";
import { defineConfig } from "vitest/config";

export default defineConfig(async () => {
  const glia = await createGlia({ seed: 7, faults: [{ fault: 3040, after: 3, times: 1 }] });
  return {
    plugins: [
      cloudflareTest({
        remoteBindings: false,
        wrangler: { configPath: "./wrangler.jsonc" },
        miniflare: glia.miniflareOptions("AI", { DOCS: "docs" }),
      }),
    ],
  };
});
