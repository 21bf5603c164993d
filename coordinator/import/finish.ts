// The end of an import: lists move beside the shards, and the manifest is written, which makes it a store.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { MEDIA_CLIP, MEDIA_JPEG, MEDIA_PIXELS } from "../../shared/data/dataset.ts";
import { readShard } from "../../shared/data/shard-layout.ts";
import { JPEG_DECODER } from "../../shared/image/jpeg.ts";
import { PixelMoments } from "../data/sharder.ts";
import { contentHash } from "../disk/content-hash.ts";
import { diskFiles, writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { LocalStore } from "../store/local-store.ts";
import {
  LONGEST_CLASS_NAME,
  MANIFEST_FILE,
  parseManifest,
  REJECTED_FILE,
  STORE_FORMAT,
  STORE_VERSION,
  type StoreManifest,
  type StoreMedia,
  type StoreSplit,
  sideFiles,
  storeFormat,
} from "../store/manifest.ts";
import { GO_ON } from "./append-file.ts";
import { filledSplits } from "./arrange.ts";
import { CROP_SIDE } from "./convert/make-clip.ts";
import type { Journal } from "./journal.ts";
import type { OpenSource, SourceClass } from "./layouts/layout.ts";

/** Per channel, of ImageNet's training images (torchvision's models are trained with these). */
const imageNetScale = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/** A longer list of rejects stays in the order of the source. */
const MOST_SORTED_BYTES = 2 ** 26;

const byCodeUnit = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** What samples of a source are in a store. */
export function storedAs({ media }: Pick<OpenSource, "media">): StoreMedia {
  switch (media) {
    case "encoded":
      return MEDIA_JPEG;
    case "pixels":
      return MEDIA_PIXELS;
    case "clips":
      return MEDIA_CLIP;
  }
}

/** Rejects in an order that the source's has no part in. */
async function sortRejects(folder: string): Promise<void> {
  const path = join(folder, REJECTED_FILE);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.size > MOST_SORTED_BYTES) return;
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
  await writeDurably(
    path,
    lines
      .sort(byCodeUnit)
      .map((line) => `${line}\n`)
      .join(""),
  );
}

/** Moves a file that may have been moved before a kill. */
async function moveOnce(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    const there = await stat(to).catch(() => undefined);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || there === undefined) throw error;
  }
}

async function hashOf(path: string): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { sha256: hash.digest("hex"), bytes };
}

/** Mean and deviation of raw pixels, of the training samples. */
async function scaleOf(
  store: string,
  journal: Journal,
  shape: StoreManifest["shape"],
  signal: AbortSignal,
): Promise<Pick<StoreManifest, "mean" | "std">> {
  const format = storeFormat({ media: "pixels", options: journal.options });
  const moments = new PixelMoments(shape.c);
  const reader = new LocalStore(store);
  for (const shard of journal.arranged.train?.shards ?? []) {
    signal.throwIfAborted();
    const row = readShard({ format, shape }, await reader.range(shard, 0, shard.bytes), shard.samples, shard.sha256);
    for (let i = 0; i < shard.samples; i++) moments.add(row(i).content);
  }
  return moments.take(store);
}

function classOf({ name, id }: SourceClass): SourceClass {
  const shown = name.slice(0, LONGEST_CLASS_NAME);
  return id === undefined ? { name: shown } : { name: shown, id };
}

export interface FinishedStore {
  readonly manifest: StoreManifest;
  /** Of the manifest's bytes. */
  readonly sha256: string;
}

/**
 * @param folder where the import worked
 * @throws STORAGE_FAILED; what `signal` says where it stops
 */
export async function finish(
  store: string,
  folder: string,
  source: Pick<OpenSource, "classes" | "media" | "shape">,
  layout: StoreManifest["layout"],
  journal: Journal,
  signal: AbortSignal,
): Promise<FinishedStore> {
  const splits = filledSplits(journal);
  const { options } = journal;
  const pixels = source.media === "pixels" ? source.shape : undefined;
  if (source.media === "pixels" && pixels === undefined) throw new RangeError("pixels without a shape");
  const side = source.media === "clips" ? CROP_SIDE : options.short;
  const shape = pixels ?? { h: side, w: side, c: 3 };
  const scale = pixels ? await scaleOf(store, journal, pixels, signal) : imageNetScale;
  try {
    await sortRejects(folder);
    const names = sideFiles(splits);
    for (const name of names) await moveOnce(join(folder, name), join(store, name));
    await diskFiles.syncDirectory(store);
    const files: [string, StoreManifest["files"][string]][] = [];
    for (const name of names) files.push([name, await hashOf(join(store, name))]);
    const shards = (split: StoreSplit) => {
      const list = journal.arranged[split]?.shards ?? [];
      return { samples: list.reduce((sum, { samples }) => sum + samples, 0), shards: list };
    };
    const manifest = {
      format: STORE_FORMAT,
      version: STORE_VERSION,
      layout,
      options,
      media: storedAs(source),
      shape,
      classes: source.classes.map(classOf),
      ...scale,
      decoder: pixels ? "none" : JPEG_DECODER,
      splits: Object.fromEntries(splits.map((split) => [split, shards(split)])),
      converted: journal.converted,
      rejected: journal.rejected,
      files: Object.fromEntries(files),
    };
    const bytes = Buffer.from(`${JSON.stringify(manifest)}\n`);
    const path = join(store, MANIFEST_FILE);
    // What is not read again must not be written.
    const read = parseManifest(bytes, path);
    await writeDurably(path, bytes);
    return { manifest: read, sha256: contentHash(bytes) };
  } catch (error) {
    throw storageError(error, store, GO_ON);
  }
}
