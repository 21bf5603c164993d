// Bundles the page on which a browser verifies oracle files.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  build: { outDir: here("../../../dist/verify-page"), emptyOutDir: true, target: "esnext" },
});
