// Results as one zip, as GOT-10k's server takes them: in its root a folder a sequence, or a file each.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Zippable, zip } from "fflate";
import { BitswarmError } from "../../shared/base/errors.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { type ResultLayout, resultPaths } from "./result-files.ts";

/** Within the years that zip knows, and the same for the same results. */
const MADE = new Date("2000-01-01T00:00:00Z");

/** @throws DATA_MISSING for a sequence without results, STORAGE_FAILED */
export async function writeSubmission(
  file: string,
  folder: string,
  layout: ResultLayout,
  names: readonly string[],
): Promise<void> {
  const entries: Zippable = {};
  for (const name of names) {
    for (const one of Object.values(resultPaths(layout, name))) {
      const whole = path.join(folder, one);
      const bytes = await readFile(whole).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") {
          throw new BitswarmError(
            "DATA_MISSING",
            `${whole} is not there, and a submission needs every sequence: track it first`,
          );
        }
        throw storageError(error, whole, undefined, "read");
      });
      entries[one.split(path.sep).join("/")] = [new Uint8Array(bytes), { mtime: MADE }];
    }
  }
  const zipped = await new Promise<Uint8Array>((resolve, reject) => {
    zip(entries, (error, data) => (error ? reject(error) : resolve(data)));
  });
  await writeDurably(file, zipped).catch((error) => {
    throw storageError(error, file, undefined, "written");
  });
}
