// Bundles the page in which a browser fetches and keeps pieces.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({ root: here("."), build: { emptyOutDir: true, target: "esnext" } });
