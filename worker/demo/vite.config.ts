// Builds the demo into dist/demo, from where the coordinator serves it beside the volunteers' page, and where exports
// take it from.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { packed } from "#packed";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  // It works below any path.
  base: "./",
  publicDir: false,
  plugins: [packed()],
  build: {
    outDir: here("../../dist/demo"),
    emptyOutDir: true,
    // The coordinator has the page at /demo, and its files below that; so they lie in an exported folder, too.
    assetsDir: "demo",
    // Two pages: one that tries pictures, one that follows in a film.
    rolldownOptions: { input: { index: here("index.html"), track: here("track.html") } },
    target: "es2023",
    // The page's content security policy allows no data: scripts or images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
});
