// Bundles the page on which a browser runs benchmarks.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  // The peers are large.
  build: { outDir: here("../../../dist/bench-page"), emptyOutDir: true, target: "esnext", chunkSizeWarningLimit: 4096 },
});
