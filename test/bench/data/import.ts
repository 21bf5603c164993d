// Images a second that `coordinator import` takes from a folder into a store, and what of a core each costs.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultOptions } from "../../../coordinator/import/import-request.ts";
import { importStore } from "../../../coordinator/import/import-store.ts";
import type { Emit } from "../line.ts";
import { rounded } from "../statistics.ts";
import { mosaics } from "./mosaics.ts";

const DIFFERENT = 40;
const CLASSES = 10;
/** Each picture, so many times. */
const COPIES = 16;
/** As most of ImageNet is. */
const ENCODED = { quality: 96, chromaSubsampling: "4:4:4" } as const;

async function writeFolder(folder: string): Promise<number> {
  const pictures = await mosaics(DIFFERENT, ENCODED);
  for (const split of ["train", "val"]) {
    for (let label = 0; label < CLASSES; label++) {
      const into = join(folder, split, `class-${label}`);
      await mkdir(into, { recursive: true });
      for (let i = label; i < DIFFERENT; i += CLASSES)
        for (let copy = 0; copy < COPIES; copy++) {
          // A comment after the first two bytes makes each file one of its own.
          const comment = [0xff, 0xfe, 0, 5, copy, i, split === "train" ? 1 : 0];
          const jpeg = pictures[i]!;
          await writeFile(
            join(into, `${i}-${copy}.jpg`),
            Buffer.concat([jpeg.subarray(0, 2), Buffer.from(comment), jpeg.subarray(2)]),
          );
        }
    }
  }
  return 2 * DIFFERENT * COPIES;
}

export async function benchImport(emit: Emit): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "bitswarm-bench-import-"));
  try {
    const source = join(scratch, "images");
    const images = await writeFolder(source);
    for (const workers of [1, 2]) {
      const cpu = process.cpuUsage();
      const begin = performance.now();
      const request = {
        source,
        out: join(scratch, `store-${workers}`),
        workers,
        options: defaultOptions,
        limitRejects: { kind: "count", count: 0 },
      } as const;
      const signal = new AbortController().signal;
      await importStore(request, { signal, tell: () => undefined, now: () => performance.now() });
      const ms = (performance.now() - begin) / images;
      const { user, system } = process.cpuUsage(cpu);
      const coreMs = (user + system) / 1000 / images;
      await emit({
        record: "images",
        name: `import of a folder: 500×375, q 96, 4:4:4, half of them held out, ${workers} thread${workers > 1 ? "s" : ""}`,
        perSecond: rounded(1000 / coreMs, 3),
        coreMs: rounded(coreMs, 3),
        ms: rounded(ms, 3),
        parts: {},
      });
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
