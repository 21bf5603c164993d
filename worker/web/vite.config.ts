// Builds the volunteer page into dist/web, from where the coordinator serves it.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { packed } from "#packed";
import { smallSchemas, workerChunks } from "#page-scripts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  // A proxy may serve the page under any path.
  base: "./",
  publicDir: false,
  plugins: [workerChunks(), smallSchemas(), packed()],
  build: {
    outDir: here("../../dist/web"),
    emptyOutDir: true,
    // Every browser that has WebGPU understands the newest syntax.
    target: "esnext",
    // On a busy machine a build takes long, and nobody who starts a run has to know why.
    rolldownOptions: { checks: { bundlerTimings: false } },
    // The page's content security policy allows no data: scripts or images.
    assetsInlineLimit: 0,
    modulePreload: {
      polyfill: false,
      // The helper that loads more touches the document, which a Web Worker has not.
      resolveDependencies: (_file, dependencies, { hostType }) => (hostType === "html" ? dependencies : []),
    },
  },
});
