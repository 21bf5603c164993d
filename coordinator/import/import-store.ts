// From a source to a store: recognises, reads, arranges and finishes, or goes on where another process left off.

import { rm } from "node:fs/promises";
import path from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { printable } from "../base/printable.ts";
import { type Claim, claimFolder } from "../disk/claim.ts";
import { makeFolders } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { REJECTED_FILE, SHARDS_FOLDER, UNFINISHED_FOLDER } from "../store/manifest.ts";
import { Arrange, checkClasses, filledSplits } from "./arrange.ts";
import { finish, storedAs } from "./finish.ts";
import { finishedStore, firstRejects, summaryOf } from "./finished-store.ts";
import { Gather, holdsOut, sourceSplits } from "./gather.ts";
import { checkDisk, requireClasses, requireOutside } from "./import-checks.ts";
import type { ImportSummary, Tell } from "./import-event.ts";
import { type ImportRequest, USUAL_CROPS } from "./import-request.ts";
import { freshJournal, markOf, readJournal, requireSameOptions, requireSameSource, writeJournal } from "./journal.ts";
import type { OpenSource } from "./layouts/layout.ts";
import { type RecognisedSource, recogniseSource } from "./layouts/recognise.ts";
import { ProgressTeller } from "./progress-teller.ts";

/** Files passed over that a notice names. */
const NAMED_LEFT = 3;

export interface ImportPorts {
  /** Stops it, with all that was done durable. */
  readonly signal: AbortSignal;
  readonly tell: Tell;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  /** Of the disk of a folder. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

async function claim(out: string, folder: string, { tell }: ImportPorts): Promise<Claim> {
  const claimed = await claimFolder(folder, (by, ms) => {
    const who = by ? `process ${by.pid} of ${by.host}` : "somebody";
    tell({
      type: "notice",
      message: `${who} worked on ${out}; waiting up to ${ms / 1000} s to see whether it still does`,
    });
  });
  if (claimed.kind === "claimed") return claimed.claim;
  const { pid, host } = claimed.by;
  throw new BitswarmError(
    "STORE_IN_USE",
    `process ${pid} of ${host} imports into ${out}; wait for it, or give another folder with --out`,
  );
}

function tellOfSource(recognised: RecognisedSource, source: OpenSource, { tell }: ImportPorts): void {
  const splits = sourceSplits(source).map(([name, { samples = null, bytes }]) => [name, { samples, bytes }] as const);
  tell({
    type: "recognised",
    layout: recognised.layout.kind,
    why: recognised.why,
    classes: source.classes.length,
    media: source.media,
    splits: Object.fromEntries(splits),
  });
  const others = recognised.others.map(({ kind, title }) => `${title} (--layout ${kind})`);
  if (others.length > 0) tell({ type: "notice", message: `it could be read as ${others.join(" or ")}, too` });
  for (const message of source.notices) tell({ type: "notice", message });
  const { left } = source;
  if (left.length === 0) return;
  const shown = left.slice(0, NAMED_LEFT).map(({ source: name, why }) => `${printable(name)} (${why})`);
  const more = left.length > shown.length ? ` and ${left.length - shown.length} more` : "";
  tell({
    type: "notice",
    message: `${left.length} file${left.length === 1 ? " is" : "s are"} passed over: ${shown.join(", ")}${more}`,
  });
}

/** @param drawn a part should have been held out */
function noneHeldOut({ media, splits: { train } }: OpenSource, drawn: boolean): string {
  if (!drawn) return "the store has no held-out split, which a run needs";
  if (media !== "clips") return "no image was held out as val: give a larger --holdout, a run needs a held-out split";
  const why =
    (train.groups?.length ?? 0) < 2
      ? "the source has one video alone, which is trained on"
      : "the videos that would have been could not be used, see above";
  return `no video is held out as val: ${why}; a run needs one, so add videos to the source and import it into another folder`;
}

/**
 * Makes a store, or goes on with one.
 * @returns the store's summary; undefined where the signal stopped it, and the same request goes on with it
 * @throws CONFIG_INVALID, DATA_MISSING, DATA_INVALID, IMPORT_REJECTS, STORE_IN_USE, STORAGE_FAILED, THREAD_FAILED
 */
export async function importStore(request: ImportRequest, ports: ImportPorts): Promise<ImportSummary | undefined> {
  const { out } = request;
  requireOutside(request);
  const there = await finishedStore(request);
  if (there) {
    ports.tell({ type: "done", ...there });
    return there;
  }
  const recognised = await recogniseSource(request.source, request.layout);
  const tell = (message: string) => ports.tell({ type: "notice", message });
  const source = await recognised.open({ ...(request.labels && { labels: request.labels }), tell });
  requireClasses(request, source);
  tellOfSource(recognised, source, ports);
  const folder = path.join(out, UNFINISHED_FOLDER);
  for (const each of [folder, path.join(out, SHARDS_FOLDER)]) {
    await makeFolders(each).catch((error) => {
      throw storageError(error, each, "Give another folder with --out, or mend that");
    });
  }
  const held = await claim(out, folder, ports);
  let summary: ImportSummary | undefined;
  try {
    // Another process may have ended the import since.
    summary = (await finishedStore(request)) ?? (await importInto(request, recognised, source, folder, ports));
  } finally {
    await held.release();
  }
  if (summary === undefined) return undefined;
  await rm(folder, { recursive: true, force: true });
  ports.tell({ type: "done", ...summary });
  return summary;
}

async function importInto(
  request: ImportRequest,
  recognised: RecognisedSource,
  source: OpenSource,
  folder: string,
  ports: ImportPorts,
): Promise<ImportSummary | undefined> {
  const { out } = request;
  const { signal, now, tell } = ports;
  const notice = (message: string) => tell({ type: "notice", message });
  const mark = markOf(recognised.layout.kind, source);
  const found = await readJournal(folder);
  if (found) {
    requireSameOptions(out, "was begun", found.options, request.options);
    requireSameSource(out, found.source, mark);
  }
  const { crops, ...ofAll } = request.options;
  const options = source.media === "clips" ? { ...ofAll, crops: crops ?? USUAL_CROPS } : ofAll;
  const journal = found ?? freshJournal(mark, options);
  await checkDisk(request, source, journal, tell, ports.freeBytes);
  if (!found) await writeJournal(folder, journal);
  const progress = new ProgressTeller(source, journal, ports);
  if (found) tell({ type: "resumed", share: progress.share });

  const drawn = holdsOut(source, request);
  if (drawn && !found) {
    const share = `${+(100 * request.options.holdout).toFixed(6)}%`;
    notice(
      source.media === "clips"
        ? `the source has no validation split: ${share} of its videos, one of two at the least, are held out as val, by a hash of their names (--holdout)`
        : `the source has no validation split: ${share} of its images are held out as val, by a hash of their bytes (--holdout)`,
    );
  }
  const gather = new Gather(source, request, journal, await firstRejects(path.join(folder, REJECTED_FILE)), {
    folder,
    signal,
    now,
    onReject: (reject) => tell({ type: "rejected", ...reject }),
    onProgress: (split) => progress.tell("reading", split),
  });
  await gather.run();
  if (signal.aborted) return undefined;
  if (Object.keys(journal.arranged).length === 0) {
    await checkClasses(folder, journal, source, notice);
    if (filledSplits(journal).length < 2) {
      notice(noneHeldOut(source, drawn));
    }
  }
  const media = storedAs(source);
  const arrange = new Arrange(journal, media, {
    store: out,
    folder,
    signal,
    onProgress: (split) => progress.tell("writing", split),
  });
  await arrange.run();
  if (signal.aborted) return undefined;
  const { kind, title } = recognised.layout;
  const why = recognised.why.replace(`${title} (${kind}): `, "");
  const finished = await finish(out, folder, source, { kind, title, why }, journal, signal).catch((error) => {
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  });
  return finished && summaryOf(out, finished.manifest, finished.sha256, false);
}
