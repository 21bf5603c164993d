// Builds the volunteer page into dist/web, from where the coordinator serves it.

import { defineConfig } from "vite";

const root = new URL(".", import.meta.url).pathname;

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root,
  base: "/",
  publicDir: false,
  build: {
    outDir: `${root}../../dist/web`,
    emptyOutDir: true,
    // Every browser that has WebGPU understands the newest syntax.
    target: "esnext",
    // The page's content security policy allows no data: scripts or images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
});
