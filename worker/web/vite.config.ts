// Builds the volunteer page into dist/web, from where the coordinator serves it.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  base: "/",
  publicDir: false,
  build: {
    outDir: here("../../dist/web"),
    emptyOutDir: true,
    // Every browser that has WebGPU understands the newest syntax.
    target: "esnext",
    // The page's content security policy allows no data: scripts or images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
});
