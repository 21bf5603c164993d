// How far an import is, durable whenever it is said: whoever comes after a kill goes on from there, and from nothing
// that was written later.

import { join } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { shardSchema } from "../../shared/data/dataset.ts";
import { contentHash } from "../disk/content-hash.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { readPlainFile } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { type ImportOptions, importOptionsSchema, type StoreSplit, storeSplits } from "../store/manifest.ts";
import { GO_ON } from "./append-file.ts";
import { bucketsFor, MOST_BUCKETS } from "./bucket-files.ts";
import type { OpenSource } from "./layouts/layout.ts";

export const JOURNAL_FILE = "journal.json";
/** A manifest's shards are the most of it. */
const MOST_JOURNAL_BYTES = 2 ** 25;

const count = z.number().int().min(0);
const split = z.enum(storeSplits);

const sourceSchema = z.strictObject({
  layout: z.string(),
  /** Of names and ids. */
  classes: z.string(),
  media: z.enum(["encoded", "pixels", "clips"]),
  splits: z.partialRecord(split, z.strictObject({ samples: count.nullable(), bytes: z.number() })),
});

const journalSchema = z.strictObject({
  version: z.literal(1),
  source: sourceSchema,
  options: importOptionsSchema,
  buckets: z.number().int().min(1).max(MOST_BUCKETS),
  /** Reading, by the source's splits. */
  read: z.partialRecord(
    split,
    z.strictObject({ cursor: z.string().nullable(), ended: z.boolean(), files: count, bytes: z.number() }),
  ),
  /** What is in buckets, by the store's splits. */
  stored: z.partialRecord(
    split,
    z.strictObject({ samples: count, bytes: count, lengths: z.array(z.tuple([count, count])).max(MOST_BUCKETS) }),
  ),
  rejected: count,
  rejectedBytes: count,
  /** What is in whole shards, by the store's splits. */
  arranged: z.partialRecord(
    split,
    z.strictObject({
      shards: z.array(shardSchema),
      /** The bucket that comes next, and the samples of those before. */
      bucket: count,
      before: count,
      listBytes: count,
      ended: z.boolean(),
    }),
  ),
  converted: count,
  convertedBytes: count,
});

export type Journal = z.output<typeof journalSchema>;
export type SourceMark = z.output<typeof sourceSchema>;

/** What a source is known by when an import goes on. */
export function markOf(layout: string, { classes, media, splits }: OpenSource): SourceMark {
  const facts = storeSplits.flatMap((name) => {
    const found = splits[name];
    return found ? [[name, { samples: found.samples ?? null, bytes: found.bytes }] as const] : [];
  });
  return {
    layout,
    classes: contentHash(JSON.stringify(classes.map(({ name, id }) => [name, id ?? null]))),
    media,
    splits: Object.fromEntries(facts),
  };
}

export function freshJournal(source: SourceMark, options: ImportOptions): Journal {
  const bytes = Object.values(source.splits).reduce((sum, facts) => sum + facts.bytes, 0);
  return {
    version: 1,
    source,
    options,
    buckets: bucketsFor(bytes),
    read: {},
    stored: {},
    rejected: 0,
    rejectedBytes: 0,
    arranged: {},
    converted: 0,
    convertedBytes: 0,
  };
}

/** Journal of a folder; nothing where none was written yet. @throws DATA_INVALID, STORAGE_FAILED */
export async function readJournal(folder: string): Promise<Journal | undefined> {
  const path = join(folder, JOURNAL_FILE);
  let bytes: Buffer;
  try {
    bytes = await readPlainFile(path, { code: "DATA_INVALID", mostBytes: MOST_JOURNAL_BYTES });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw storageError(error, path, undefined, "read");
  }
  try {
    return journalSchema.parse(JSON.parse(bytes.toString("utf8")));
  } catch (cause) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${path} is no journal that this program wrote: remove ${folder} and begin again`,
      { cause },
    );
  }
}

export async function writeJournal(folder: string, journal: Journal): Promise<void> {
  const path = join(folder, JOURNAL_FILE);
  try {
    await writeDurably(path, JSON.stringify(journal));
  } catch (error) {
    throw storageError(error, path, GO_ON);
  }
}

const optionNames: Readonly<Record<keyof ImportOptions, string>> = {
  seed: "--seed",
  chunk: "--chunk",
  short: "--short",
  quality: "--quality",
  holdout: "--holdout",
  crops: "--crops",
};

/**
 * Refuses to go on with other options than those that the store was begun with.
 * @param what the store is: "was begun", "is finished"
 * @throws CONFIG_INVALID naming each
 */
export function requireSameOptions(store: string, what: string, had: ImportOptions, asked: ImportOptions): void {
  const names = (Object.keys(optionNames) as (keyof ImportOptions)[]).filter(
    // What says nothing of a store was not kept of it.
    (name) => had[name] !== undefined && had[name] !== asked[name],
  );
  if (names.length === 0) return;
  const shown = (name: keyof ImportOptions) => (name === "holdout" ? `${+(100 * had.holdout).toFixed(6)}%` : had[name]);
  const differ = names.map((name) => `${optionNames[name]} ${shown(name)}`).join(" ");
  const asks = names.map((name) => optionNames[name]).join(", ");
  throw new BitswarmError(
    "CONFIG_INVALID",
    `${store} ${what} with ${differ}, and ${asks} now ${names.length === 1 ? "says" : "say"} otherwise: give the same, or another folder with --out`,
  );
}

/** @throws DATA_INVALID where it is another source than the store was begun with */
export function requireSameSource(store: string, had: SourceMark, found: SourceMark): void {
  const differs = (Object.keys(had) as (keyof SourceMark)[]).filter(
    (name) => JSON.stringify(had[name]) !== JSON.stringify(found[name]),
  );
  if (differs.length === 0) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${store} was begun from another source, or this one has changed since (${differs.join(", ")}): give the same source, or another folder with --out`,
  );
}

/** How much of a split was read. */
export function readOf(journal: Journal, split: StoreSplit): NonNullable<Journal["read"][StoreSplit]> {
  return journal.read[split] ?? { cursor: null, ended: false, files: 0, bytes: 0 };
}
