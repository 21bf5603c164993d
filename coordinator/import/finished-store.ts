// A store that is there already: what it is, and whether it is the one that is asked for.

import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { contentHash } from "../disk/content-hash.ts";
import { storageError } from "../disk/storage-error.ts";
import { LocalStore } from "../store/local-store.ts";
import {
  MANIFEST_FILE,
  REJECTED_FILE,
  type StoreManifest,
  type StoreSplit,
  UNFINISHED_FOLDER,
} from "../store/manifest.ts";
import type { ImportSummary, Listed } from "./import-event.ts";
import type { ImportRequest } from "./import-request.ts";
import { requireSameOptions } from "./journal.ts";
import { NAMED_REJECTS } from "./rejects.ts";

/** What a finished store is. */
export async function summaryOf(
  store: string,
  manifest: StoreManifest,
  sha256: string,
  already: boolean,
): Promise<ImportSummary> {
  const splits = Object.entries(manifest.splits) as [StoreSplit, StoreManifest["splits"]["train"]][];
  return {
    store,
    sha256,
    classes: manifest.classes.length,
    media: manifest.media,
    splits: Object.fromEntries(splits.map(([name, { samples, shards }]) => [name, { samples, shards: shards.length }])),
    bytes: splits.flatMap(([, { shards }]) => shards).reduce((sum, { bytes }) => sum + bytes, 0),
    converted: manifest.converted,
    rejected: manifest.rejected,
    firstRejects: await firstRejects(path.join(store, REJECTED_FILE)),
    already,
  };
}

/** Rejects that a list begins with. */
export async function firstRejects(list: string): Promise<Listed[]> {
  const store = new LocalStore(path.dirname(list));
  const first: Listed[] = [];
  let rest = "";
  try {
    for await (const piece of store.sideFile(path.basename(list))) {
      const lines = (rest + Buffer.from(piece).toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (first.length < NAMED_REJECTS) first.push(JSON.parse(line) as Listed);
      if (first.length === NAMED_REJECTS) return first;
    }
  } catch (error) {
    if (!(error instanceof BitswarmError) && !(error instanceof SyntaxError)) throw error;
  }
  return first;
}

/** The store that is there already. @throws CONFIG_INVALID for one of other options */
export async function finishedStore({ out, options }: ImportRequest): Promise<ImportSummary | undefined> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw storageError(error, out, undefined, "read");
  });
  if (names.includes(MANIFEST_FILE)) {
    const manifest = await new LocalStore(out).manifest();
    requireSameOptions(out, "is finished, and was made", manifest.options, options);
    const sha256 = contentHash(await readFile(path.join(out, MANIFEST_FILE)));
    await rm(path.join(out, UNFINISHED_FOLDER), { recursive: true, force: true });
    return summaryOf(out, manifest, sha256, true);
  }
  if (names.length > 0 && !names.includes(UNFINISHED_FOLDER)) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--out ${out} has files in it and is no store; give a new or an empty folder`,
    );
  }
  return undefined;
}
