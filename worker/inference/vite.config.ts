// Builds `bitswarm/inference` as one file for pages without a bundler: dist/inference/inference.js.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  publicDir: false,
  build: {
    lib: { entry: here("index.ts"), formats: ["es"], fileName: () => "inference.js" },
    outDir: here("../../dist/inference"),
    emptyOutDir: true,
    target: "es2023",
    rolldownOptions: { output: { minify: true } },
  },
});
