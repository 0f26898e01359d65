// @cloudflare/vite-plugin has wrangler's choice of remote bindings in a bundle of its own (1.64 tried): it too would open a
// session at Cloudflare for AI, and ask for a login.
import Module from "node:module";
import { patch_wrangler } from "./wrangler.ts";

/** True when `url` is the plugin's bundle. */
export function is_vite_plugin(url: string): boolean {
  return /\/@cloudflare\/vite-plugin\/dist\/index\.mjs$/.test(url);
}

/** The bundle is an ES module: it is changed as it is loaded, where this Node can do that (22.15 and newer). */
export function watch_for_vite_plugin(): void {
  Module.registerHooks?.({
    load(url, context, next) {
      const loaded = next(url, context);
      if (!is_vite_plugin(url) || !loaded.source) return loaded;
      const { source } = loaded;
      const text = typeof source === "string" ? source : Buffer.from(source as Uint8Array).toString("utf8");
      return { ...loaded, source: patch_wrangler(text) };
    },
  });
}
