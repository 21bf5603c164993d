// Builds the volunteer page into dist/web, from where the coordinator serves it.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Beside each file that gets smaller its packed forms, which the coordinator sends to whoever takes them. */
function packed(): Plugin {
  const forms = { ".br": promisify(brotliCompress), ".gz": promisify(gzip) };
  return {
    name: "bitswarm:packed",
    apply: "build",
    writeBundle: async ({ dir = "" }) => {
      for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = await readFile(path);
        for (const [suffix, pack] of Object.entries(forms)) {
          const smaller = await pack(bytes);
          if (smaller.length < bytes.length) await writeFile(`${path}${suffix}`, smaller);
        }
      }
    },
  };
}

// biome-ignore lint/style/noDefaultExport: vite loads a config by its default export.
export default defineConfig({
  root: here("."),
  // A proxy may serve the page under any path.
  base: "./",
  publicDir: false,
  plugins: [packed()],
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
