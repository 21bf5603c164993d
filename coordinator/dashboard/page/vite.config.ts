// Builds the dashboard's page into dist/dashboard, from where the coordinator serves it beside the volunteers'.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { packed } from "#packed";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  // A proxy may serve the page under any path.
  base: "./",
  publicDir: false,
  plugins: [packed()],
  build: {
    outDir: here("../../../dist/dashboard"),
    emptyOutDir: true,
    // The page is at /dashboard, and its files are below that.
    assetsDir: "dashboard",
    target: "esnext",
    // On a busy machine a build takes long, and nobody who starts a run has to know why.
    rolldownOptions: { checks: { bundlerTimings: false } },
    // The page's content security policy allows no data: scripts or images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
