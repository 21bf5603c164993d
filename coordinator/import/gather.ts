// The first half of an import: the source is read in its own order, its files are converted in threads, and what comes
// out is put into buckets, in the source's order again, so that a cursor says all of what was done.

import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { printable, printableJson } from "../base/printable.ts";
import { REJECTED_FILE, type StoreSplit, storeSplits } from "../store/manifest.ts";
import { AppendFile } from "./append-file.ts";
import { type BucketLength, BucketWriter, LONGEST_NAME } from "./bucket-files.ts";
import { ConvertPool } from "./convert/convert-pool.ts";
import type { ImageTarget, Outcome } from "./convert/outcome.ts";
import type { Listed } from "./import-event.ts";
import { type ImportRequest, USUAL_CROPS } from "./import-request.ts";
import { type Journal, readOf, writeJournal } from "./journal.ts";
import type { Item, OpenSource, SourceSample, SourceSplit } from "./layouts/layout.ts";
import { isOver, NAMED_REJECTS, type ReadSoFar, tooManyRejects } from "./rejects.ts";
import { heldOutGroups, isHeldOut, sampleKey } from "./sample-key.ts";

/** Between two journals, unless writing one takes long. */
const JOURNAL_EVERY_MS = 2000;
const JOURNAL_EVERY_FILES = 2000;
/** Of the time, that at most goes into journals: disks differ. */
const JOURNAL_SHARE = 0.1;
/** Files of a thread that are on their way at once, and bytes of all. */
const AHEAD = 6;
const AHEAD_BYTES = 32 * 2 ** 20;

/** Of training images that are made smaller. */
const TRAIN_SUBSAMPLING = "4:2:0";
/** Of held-out ones, which are stored at the size that they are seen at: resized twice, they would lose most. */
const HELD = { quality: 96, subsampling: "4:4:4" } as const;

export interface GatherPorts {
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  readonly onReject: (reject: Listed) => void;
  /** After each file. */
  readonly onProgress: (split: StoreSplit) => void;
}

interface OnItsWay {
  readonly item: Item;
  readonly from: StoreSplit;
  readonly to: StoreSplit;
  readonly bytes: number;
  readonly outcome: Promise<Outcome> | undefined;
}

/** Splits of the source, in the order they are read. */
export function sourceSplits({ splits }: OpenSource): (readonly [StoreSplit, SourceSplit])[] {
  return storeSplits.flatMap((name) => {
    const split = splits[name];
    return split ? [[name, split] as const] : [];
  });
}

/** Whether a part of the training images is held out, since the source has no other split. */
export function holdsOut({ splits }: OpenSource, { options }: Pick<ImportRequest, "options">): boolean {
  return splits.val === undefined && splits.test === undefined && options.holdout > 0;
}

export function readSoFar(source: OpenSource, journal: Journal): ReadSoFar {
  const all = sourceSplits(source);
  const reads = all.map(([name]) => readOf(journal, name));
  const bytes = all.reduce((sum, [, split]) => sum + split.bytes, 0);
  const counts = all.map(([, { samples }]) => samples);
  return {
    files: reads.reduce((sum, { files }) => sum + files, 0),
    rejected: journal.rejected,
    total: counts.some((samples) => samples === undefined)
      ? undefined
      : counts.reduce<number>((sum, samples) => sum + (samples ?? 0), 0),
    share: bytes === 0 ? 0 : Math.min(1, reads.reduce((sum, read) => sum + read.bytes, 0) / bytes),
    ended: reads.every(({ ended }) => ended),
  };
}

export class Gather {
  readonly #source: OpenSource;
  readonly #request: ImportRequest;
  readonly #journal: Journal;
  readonly #ports: GatherPorts;
  readonly #buckets = new Map<StoreSplit, BucketWriter>();
  readonly #first: Listed[];
  #rejects: AppendFile | undefined;
  #pool: Promise<ConvertPool> | undefined;
  /** Groups of which none is trained on, once they are asked for. */
  #heldOut: ReadonlySet<string> | undefined;
  #onTheirWay: OnItsWay[] = [];
  #bytesOnTheirWay = 0;
  #filesSince = 0;
  #journalledAt: number;
  #journalMs = 0;
  /** A file is in the buckets, or not wholly, and the journal's cursor does not know of it. */
  #settling = false;

  /** @param journal is changed as reading goes on @param first rejects of before, the first of them */
  constructor(
    source: OpenSource,
    request: ImportRequest,
    journal: Journal,
    first: readonly Listed[],
    ports: GatherPorts,
  ) {
    this.#source = source;
    this.#request = request;
    this.#journal = journal;
    this.#ports = ports;
    this.#first = [...first];
    this.#journalledAt = ports.now();
  }

  /** Rejects, the first of them. */
  get firstRejects(): readonly Listed[] {
    return this.#first;
  }

  /**
   * Reads on until all is read, or the signal stops it; what was done is durable when this ends, however it ends.
   * @throws IMPORT_REJECTS where too much is rejected, STORAGE_FAILED, and what reading the source throws
   */
  async run(): Promise<void> {
    this.#requireFewRejects();
    // Buckets that are in shards are gone.
    if (readSoFar(this.#source, this.#journal).ended) return;
    try {
      await this.#open();
      try {
        for (const [name, split] of sourceSplits(this.#source)) {
          if (!readOf(this.#journal, name).ended) await this.#read(name, split);
          if (this.#ports.signal.aborted) return;
        }
        this.#requireFewRejects();
      } catch (error) {
        // What is on its way is lost, what was settled is kept, unless the error came in between.
        if (!this.#settling) await this.#write().catch(() => undefined);
        throw error;
      }
    } finally {
      await this.#close();
    }
  }

  async #open(): Promise<void> {
    const { folder } = this.#ports;
    const none: BucketLength[] = Array.from({ length: this.#journal.buckets }, () => [0, 0]);
    const names = sourceSplits(this.#source).map(([name]) => name);
    if (holdsOut(this.#source, this.#request)) names.push("val");
    for (const name of names) {
      const lengths = this.#journal.stored[name]?.lengths ?? none;
      this.#journal.stored[name] ??= { samples: 0, bytes: 0, lengths };
      this.#buckets.set(name, await BucketWriter.open(folder, name, lengths));
    }
    this.#rejects = await AppendFile.open(join(folder, REJECTED_FILE), this.#journal.rejectedBytes);
  }

  async #close(): Promise<void> {
    for (const { outcome } of this.#onTheirWay) outcome?.catch(() => undefined);
    await (await this.#pool)?.close();
    for (const bucket of this.#buckets.values()) await bucket.close();
    await this.#rejects?.close();
  }

  async #read(name: StoreSplit, split: SourceSplit): Promise<void> {
    const { cursor } = readOf(this.#journal, name);
    const ahead = AHEAD * this.#request.workers;
    for await (const item of split.read(cursor ?? undefined)) {
      if (this.#ports.signal.aborted) break;
      this.#begin(name, item);
      while (this.#onTheirWay.length > ahead || (this.#bytesOnTheirWay > AHEAD_BYTES && this.#onTheirWay.length > 1)) {
        await this.#settle();
      }
      await this.#journalWhenDue();
    }
    while (this.#onTheirWay.length > 0) await this.#settle();
    if (!this.#ports.signal.aborted) this.#journal.read[name] = { ...readOf(this.#journal, name), ended: true };
    await this.#write();
  }

  #isHeldOut({ group, content }: SourceSample): boolean {
    const { seed, holdout } = this.#request.options;
    const { groups } = this.#source.splits.train;
    if (group === undefined) return isHeldOut(seed, content, holdout);
    if (groups === undefined) return isHeldOut(seed, Buffer.from(group), holdout);
    this.#heldOut ??= heldOutGroups(seed, groups, holdout);
    return this.#heldOut.has(group);
  }

  #begin(from: StoreSplit, item: Item): void {
    const { sample } = item;
    let to = from;
    if (sample && holdsOut(this.#source, this.#request) && this.#isHeldOut(sample)) to = "val";
    const bytes = sample?.content.length ?? 0;
    let outcome: Promise<Outcome> | undefined;
    if (sample && this.#source.media !== "pixels") {
      outcome = this.#convert(sample.content, to);
      // It is waited for in its turn; until then its failure is nobody's.
      outcome.catch(() => undefined);
    }
    this.#onTheirWay.push({ item, from, to, bytes, outcome });
    this.#bytesOnTheirWay += bytes;
  }

  get #mostCrops(): number {
    return this.#request.options.crops ?? USUAL_CROPS;
  }

  async #convert(content: Uint8Array<ArrayBuffer>, to: StoreSplit): Promise<Outcome> {
    this.#pool ??= ConvertPool.start(this.#request.workers);
    const { short, quality } = this.#request.options;
    const target: ImageTarget =
      to === "train" ? { short, quality, subsampling: TRAIN_SUBSAMPLING } : { short, ...HELD };
    return (await this.#pool).convert(content, target, this.#source.media === "clips" ? this.#mostCrops : undefined);
  }

  /** Takes in the first that is on its way. */
  async #settle(): Promise<void> {
    const [{ item, from, to, bytes, outcome: coming }] = this.#onTheirWay;
    const outcome = await coming;
    this.#onTheirWay.shift();
    this.#bytesOnTheirWay -= bytes;
    const { sample, reject } = item;
    this.#settling = true;
    if (reject) await this.#reject({ split: from, source: reject.source, why: reject.why });
    else if (outcome?.verdict === "reject") await this.#reject({ split: from, source: sample.name, why: outcome.why });
    else await this.#keep(from, to, sample, outcome);
    const read = readOf(this.#journal, from);
    this.#journal.read[from] = { ...read, cursor: item.cursor, files: read.files + 1, bytes: item.bytesRead };
    this.#settling = false;
    this.#filesSince++;
    if (reject || outcome?.verdict === "reject") this.#requireFewRejects();
    this.#ports.onProgress(from);
  }

  async #keep(
    from: StoreSplit,
    to: StoreSplit,
    sample: SourceSample,
    outcome: Exclude<Outcome, { verdict: "reject" }> | undefined,
  ): Promise<void> {
    const { name, label } = sample;
    if (!Number.isInteger(label) || label < 0 || label >= this.#source.classes.length) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${from}: ${printable(name)} has label ${label}; expected 0 to ${this.#source.classes.length - 1}`,
      );
    }
    if (Buffer.byteLength(name) > LONGEST_NAME) {
      return await this.#reject({
        split: from,
        source: name.slice(0, 100),
        why: `its name has more than ${LONGEST_NAME} bytes`,
      });
    }
    const content = outcome?.content ?? sample.content;
    const why = outcome?.verdict === "convert" ? outcome.why : "";
    const key = sampleKey(this.#request.options.seed, to, name);
    await this.#buckets.get(to)?.add({ key, label, name, why, content });
    const stored = this.#journal.stored[to] as NonNullable<Journal["stored"][StoreSplit]>;
    this.#journal.stored[to] = { ...stored, samples: stored.samples + 1, bytes: stored.bytes + content.length };
  }

  async #reject(reject: Listed): Promise<void> {
    this.#journal.rejected++;
    if (this.#first.length < NAMED_REJECTS) this.#first.push(reject);
    await this.#rejects?.append(Buffer.from(`${printableJson(reject)}\n`));
    this.#ports.onReject(reject);
  }

  #requireFewRejects(): void {
    const { limitRejects } = this.#request;
    const so = readSoFar(this.#source, this.#journal);
    if (!isOver(limitRejects, so)) return;
    throw tooManyRejects(limitRejects, so, this.#first, join(this.#ports.folder, REJECTED_FILE));
  }

  async #journalWhenDue(): Promise<void> {
    const since = this.#ports.now() - this.#journalledAt;
    const due = since >= JOURNAL_EVERY_MS || this.#filesSince >= JOURNAL_EVERY_FILES;
    if (due && since >= this.#journalMs / JOURNAL_SHARE) await this.#write();
  }

  /** The journal, once all that it speaks of is durable. */
  async #write(): Promise<void> {
    const begin = this.#ports.now();
    for (const [name, bucket] of this.#buckets) {
      const stored = this.#journal.stored[name] as NonNullable<Journal["stored"][StoreSplit]>;
      this.#journal.stored[name] = { ...stored, lengths: await bucket.sync() };
    }
    await this.#rejects?.sync();
    this.#journal.rejectedBytes = this.#rejects?.length ?? 0;
    await writeJournal(this.#ports.folder, this.#journal);
    this.#journalledAt = this.#ports.now();
    this.#filesSince = 0;
    this.#journalMs = this.#journalledAt - begin;
  }
}
