// For the builds of pages: beside each file that gets smaller its packed forms, which the coordinator sends to whoever
// takes them.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";

export function packed() {
  const forms = { ".br": promisify(brotliCompress), ".gz": promisify(gzip) };
  return {
    name: "bitswarm:packed",
    apply: "build",
    writeBundle: async ({ dir = "" }) => {
      for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg|wasm)$/.test(entry.name)) continue;
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
