// The demo as a folder that any web server can serve, below any path: the built page and a run's networks.

import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { packageRoot } from "../base/package-root.ts";
import { storageError } from "../disk/storage-error.ts";
import { readPageFiles } from "../server/page-files.ts";
import { DEMO_PATH, demoNetworks, INDEX_PAGE, TRACK_PAGE } from "./demo-networks.ts";

/** What a folder may hold that is written over: a demo of before. */
const ours = new Set([INDEX_PAGE, DEMO_PATH]);

export interface WrittenDemo {
  readonly step: number;
  readonly fileBytes: number;
  readonly notices: readonly string[];
}

/** @throws STORAGE_FAILED for a folder with anything else in it, which might be lost */
async function requireOwn(out: string): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") {
      throw new BitswarmError("STORAGE_FAILED", `--out ${out} is a file; a demo is a folder: name one that is new`);
    }
    throw storageError(error, out, "Name a folder by --out that can be written", "read");
  });
  const strange = names.find((name) => !ours.has(name));
  if (strange === undefined) return;
  throw new BitswarmError(
    "STORAGE_FAILED",
    `--out ${out} is a folder with other things in it, such as ${strange}: name one that is new or empty, or a demo of before`,
  );
}

/**
 * Writes the demo of a run's newest checkpoint that verifies.
 * @throws STORAGE_FAILED, RUNTIME_MISSING where the page was not built, and what `demoNetworks` does
 */
export async function writeDemo(runDir: string, out: string): Promise<WrittenDemo> {
  await requireOwn(out);
  const built = join(packageRoot(), "dist", "demo");
  const page = await readPageFiles(built);
  if (page.size === 0) {
    throw new BitswarmError("RUNTIME_MISSING", `the demo's page is not built in ${built}: run \`npm run build\``);
  }
  const { files, step, follows, notices } = await demoNetworks(runDir);
  // The folder has the page that fits its networks, under the name that web servers look for.
  const { bytes: index } = page.get(follows ? TRACK_PAGE : INDEX_PAGE)!;
  const beside = [...page].filter(([path]) => path !== TRACK_PAGE && path !== INDEX_PAGE);
  const all = new Map([[INDEX_PAGE, index], ...beside.map(([path, { bytes }]) => [path, bytes] as const), ...files]);
  let fileBytes = 0;
  try {
    await rm(join(out, DEMO_PATH), { recursive: true, force: true });
    for (const [path, bytes] of all) {
      const file = resolve(out, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, bytes);
      fileBytes += bytes.length;
    }
  } catch (error) {
    throw storageError(error, out, "Name a folder by --out that can be written", "written");
  }
  return { step, fileBytes, notices };
}
