// What is looked at before anything is read: the request, the source's classes, and the disk.

import { statfs } from "node:fs/promises";
import path from "node:path";
import { bytesText } from "../../shared/base/bytes-text.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { MOST_CLASSES } from "../../shared/data/data-kinds.ts";
import { printable } from "../base/printable.ts";
import { sourceSplits } from "./gather.ts";
import type { Tell } from "./import-event.ts";
import type { ImportRequest } from "./import-request.ts";
import type { Journal } from "./journal.ts";
import type { OpenSource } from "./layouts/layout.ts";

/** Bytes of an image in a store, of its bytes in a source; never more than so many of one whose number is known. */
const STORED_SHARE = 0.4;
const STORED_IMAGE_BYTES = 45_000;

async function freeOnDisk(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** @throws CONFIG_INVALID for a store in its own source */
export function requireOutside({ source, out }: ImportRequest): void {
  const inside = path.relative(path.resolve(source), path.resolve(out));
  if (inside !== "" && (inside.startsWith("..") || path.isAbsolute(inside))) return;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `--out ${out} lies in the source ${source}, which would become a part of itself; give another folder`,
  );
}

/** @throws DATA_INVALID */
export function requireClasses(
  { source }: Pick<ImportRequest, "source">,
  { classes, media }: Pick<OpenSource, "classes" | "media">,
): void {
  if (classes.length < 2 && media !== "clips") {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source} has ${classes.length} class${classes.length === 1 ? ` (${printable(classes[0].name)})` : "es"}; at least 2 are needed: a folder for each class, or the folder above this one`,
    );
  }
  if (classes.length > MOST_CLASSES) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source} has ${classes.length} classes; the limit is ${MOST_CLASSES}, as labels have two bytes: import fewer`,
    );
  }
}

/** What the store will take, roughly. */
function estimatedBytes(source: OpenSource): number {
  const splits = sourceSplits(source).map(([, split]) => split);
  if (source.media !== "encoded") return splits.reduce((sum, { bytes }) => sum + bytes, 0);
  return splits.reduce(
    (sum, { bytes, samples }) =>
      sum + Math.min(bytes, samples === undefined ? STORED_SHARE * bytes : samples * STORED_IMAGE_BYTES),
    0,
  );
}

/**
 * @param freeBytes of the disk of a folder
 * @throws STORAGE_FAILED where the disk is far too small
 */
export async function checkDisk(
  request: ImportRequest,
  source: OpenSource,
  journal: Journal,
  tell: Tell,
  freeBytes: (folder: string) => Promise<number> = freeOnDisk,
): Promise<void> {
  const done = Object.values(journal.stored).reduce((sum, { bytes }) => sum + bytes, 0);
  const needs = estimatedBytes(source) - done;
  const free = await freeBytes(request.out).catch(() => Number.POSITIVE_INFINITY);
  if (needs <= free) return;
  const what = `the store takes about ${bytesText(needs)} more and ${request.out} has ${bytesText(free)} free`;
  // An estimate that is off by half is still no reason to wait for hours.
  if (needs / 2 > free)
    throw new BitswarmError("STORAGE_FAILED", `${what}: make room, or give a folder of another disk`);
  tell({
    type: "notice",
    message: `${what}, which may not suffice; should it not, make room and give the same command again`,
  });
}
