import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: at("."),
  resolve: {
    // The client is built from its sources, so that the two can never be of different builds.
    alias: [
      { find: /^atelier-client$/, replacement: at("../sdk/src/client.ts") },
      { find: /^atelier-client\/document$/, replacement: at("../sdk/src/document.ts") },
    ],
    dedupe: ["yjs", "lib0", "y-protocols", "@codemirror/state", "@codemirror/view"],
  },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    manifest: true,
    // The budget is checked by `npm run check`, in compressed bytes.
    chunkSizeWarningLimit: 2_000,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      onwarn(warning, warn) {
        // "use client" means something to server rendering only.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning);
      },
    },
  },
});
