// What happened to the run, for good: one fsynced JSON line per commit, each hashed over the one before. Nothing is
// ever removed from it but what is damaged, of which a copy is kept.

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { commandText, resumeAdvice } from "../base/command-text.ts";
import { diskFiles, writeNew } from "../disk/durable-file.ts";
import { openPlainFile, readPlainFile } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { otherBuild } from "./other-build.ts";

const counting = z.number().int().min(0);
const hex = z.string().regex(/^[0-9a-f]{64}$/);

const commitRecordSchema = z.discriminatedUnion("type", [
  /** `step` counts committed steps, this one included; `ranges` are positions of the pass; `samples` their number. */
  z.strictObject({
    type: z.literal("step"),
    step: counting,
    pass: counting,
    phase: z.string(),
    epoch: counting,
    ranges: z.array(z.tuple([counting, counting])),
    samples: counting,
    paramsHash: hex,
  }),
  /** A network's score on the held-out samples after `step` steps. */
  z.strictObject({
    type: z.literal("evaluate"),
    step: counting,
    network: z.string(),
    /** The score's name. */
    score: z.string(),
    value: z.number(),
  }),
  /** The run went on from this checkpoint: records of later steps before this line no longer stand. */
  z.strictObject({ type: z.literal("resume"), fromStep: counting, checkpoint: z.string() }),
  /** Of what came before, this log does not tell all: the ledger of the checkpoint stands in for it. */
  z.strictObject({ type: z.literal("repair"), fromStep: counting, checkpoint: z.string(), ledger: z.unknown() }),
]);

export type CommitRecord = z.output<typeof commitRecordSchema>;

export const COMMIT_LOG = "commits.ndjson";
/** Of a log; the longest text that this platform makes is a little longer. */
export const MOST_LOG_BYTES = 500 * 2 ** 20;
const readLimit = { code: "COMMIT_LOG_CORRUPT", mostBytes: MOST_LOG_BYTES } as const;
/** Format 1 named kinds of round where this one names phases, and began its chain with zeros. */
const LOG_FORMAT = 2;
const firstLinkBefore = "0".repeat(64);
/** What the first record is chained to: a log of another format has another beginning. */
const firstLink = createHash("sha256").update(`bitswarm commit log ${LOG_FORMAT}`).digest("hex");

/** SHA-256 of the hash before and the record's JSON. */
function link(previous: string, record: unknown): string {
  return createHash("sha256").update(previous).update(JSON.stringify(record)).digest("hex");
}

export interface CommitLog {
  /** The run's. */
  readonly folder: string;
  /** What the file held when it was opened, in order. */
  readonly records: readonly CommitRecord[];
  /** Number of this writer, in each line that it writes: above that of every writer before it. */
  readonly fence: number;
  /** Says what was cut from the end after a crash, or repaired; null where nothing was. */
  readonly notice: string | null;
  /** Hash of the newest record. */
  readonly head: string;
  /**
   * Resolves when the record is on the disk. Calls are written in their order.
   * @throws COMMIT_LOG_FENCED where a writer with a higher number has written since, STORAGE_FAILED
   */
  append(record: CommitRecord): Promise<void>;
  /** For whoever is about to write something else of the run. @throws COMMIT_LOG_FENCED as append does */
  requireNewest(): Promise<void>;
  close(): Promise<void>;
}

interface Verified {
  /** Those before the first line that is damaged. */
  readonly records: readonly CommitRecord[];
  readonly head: string;
  /** The highest number of a writer in any line that can be read; lines from before there were any have 0. */
  readonly fence: number;
  /** Of the file, up to the first line that is damaged or has no end. */
  readonly whole: number;
  /** The first line that is not as it was written: its number and what is wrong with it. */
  readonly damage?: { readonly line: number; readonly what: string };
}

function corrupt(path: string, { line, what }: NonNullable<Verified["damage"]>): BitswarmError {
  const again = commandText("coordinator", ["resume", resolve(dirname(path))]);
  return new BitswarmError(
    "COMMIT_LOG_CORRUPT",
    `${path}, line ${line}: ${what}. The file was changed or damaged; \`${again}\` keeps a copy of it, cuts it there, and goes on from the newest checkpoint`,
  );
}

/** What a line holds, or what is wrong with it. */
type Line = { readonly record: CommitRecord; readonly h: string; readonly fence: number } | { readonly what: string };

/** @param head hash of the line before @param newest number of the newest writer so far */
function readLine(line: string, head: string, newest: number): Line {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { what: "is not JSON" };
  }
  // Not zod's output: the hash is over the fields in the order they were written in.
  const { h, ...hashed } = Object(value) as Record<string, unknown>;
  const parsed = z.looseObject({ h: hex, fence: counting }).safeParse(value);
  if (!parsed.success) return { what: "has no hash `h` of 64 hex digits, or no `fence` that is a count" };
  const expected = link(head, hashed);
  if (h !== expected) return { what: `its hash is ${String(h)}, the chain gives ${expected}` };
  const { fence: _, ...fields } = hashed;
  const record = commitRecordSchema.safeParse(fields);
  if (!record.success) {
    const [issue] = record.error.issues;
    return { what: `${issue.path.join(".") || "the record"}: ${issue.message}` };
  }
  const { fence } = parsed.data;
  if (fence < newest) return { what: `writer ${fence} wrote it after writer ${newest} took over` };
  return { record: record.data, h: expected, fence };
}

/** @throws RUN_OF_OTHER_BUILD */
function requireFormat(path: string, first: string): void {
  let value: unknown;
  try {
    value = JSON.parse(first);
  } catch {
    return;
  }
  const { h, ...hashed } = Object(value) as Record<string, unknown>;
  if (h === link(firstLinkBefore, hashed)) {
    throw otherBuild(`${path} is a commit log of format ${LOG_FORMAT - 1}`, LOG_FORMAT, LOG_FORMAT - 1);
  }
}

/** The writer of a line that is not part of the chain any more, if it says so. */
function fenceOf(line: string): number {
  try {
    return z.looseObject({ fence: counting }).parse(JSON.parse(line)).fence;
  } catch {
    return 0;
  }
}

/** Verifies the lines that have their end, up to the first that is damaged. @throws RUN_OF_OTHER_BUILD */
function verify(path: string, bytes: Buffer): Verified {
  const records: CommitRecord[] = [];
  let head = firstLink;
  let fence = 0;
  let whole = 0;
  // What follows the last newline is empty: it is cut here.
  const lines = bytes
    .toString("utf8", 0, bytes.lastIndexOf(0x0a) + 1)
    .split("\n")
    .slice(0, -1);
  for (const [index, text] of lines.entries()) {
    if (index === 0) requireFormat(path, text);
    const line = readLine(text, head, fence);
    if ("what" in line) {
      for (const later of lines.slice(index)) fence = Math.max(fence, fenceOf(later));
      return { records, head, fence, whole, damage: { line: index + 1, what: line.what } };
    }
    records.push(line.record);
    head = line.h;
    fence = line.fence;
    whole = bytes.indexOf(0x0a, whole) + 1;
  }
  return { records, head, fence, whole };
}

/** Of a run's log: its records, and what a person should know of it. */
export interface ReadLog {
  readonly records: readonly CommitRecord[];
  /** The first damaged line, behind which nothing is read; null where there is none. */
  readonly damage: string | null;
}

/** What of a run's log verifies, also of one that is running: changes nothing. A run without a log has no records. */
export async function inspectCommitLog(runDir: string): Promise<ReadLog> {
  const path = join(runDir, COMMIT_LOG);
  const bytes = await readPlainFile(path, readLimit).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return Buffer.alloc(0);
    throw storageError(error, path, undefined, "read");
  });
  const { records, damage } = verify(path, bytes);
  return { records, damage: damage === undefined ? null : corrupt(path, damage).message };
}

/**
 * The verified records of a run, also of one that is running: changes nothing. A run without a log has none.
 * @throws COMMIT_LOG_CORRUPT
 */
export async function readCommitLog(runDir: string): Promise<readonly CommitRecord[]> {
  const { records, damage } = await inspectCommitLog(runDir);
  if (damage !== null) throw new BitswarmError("COMMIT_LOG_CORRUPT", damage);
  return records;
}

/** A log as it was found, for this writer to go on with. */
interface FoundLog extends Pick<CommitLog, "records" | "notice" | "fence" | "head"> {
  readonly path: string;
  readonly file: FileHandle;
  readonly bytes: number;
}

class FileCommitLog implements CommitLog {
  readonly folder: string;
  readonly records: readonly CommitRecord[];
  readonly notice: string | null;
  readonly fence: number;
  readonly #path: string;
  readonly #file: FileHandle;
  #head: string;
  #bytes: number;
  #queue: Promise<void> = Promise.resolve();

  constructor({ path, file, records, notice, fence, head, bytes }: FoundLog) {
    this.folder = dirname(path);
    this.#path = path;
    this.#file = file;
    this.records = records;
    this.notice = notice;
    this.fence = fence;
    this.#head = head;
    this.#bytes = bytes;
  }

  get head(): string {
    return this.#head;
  }

  append(record: CommitRecord): Promise<void> {
    const done = this.#queue.then(() => this.#write(record));
    this.#queue = done.catch(() => {});
    return done;
  }

  requireNewest(): Promise<void> {
    return this.#queue.then(() => this.#requireUnchanged());
  }

  async #write(record: CommitRecord): Promise<void> {
    const { fence } = this;
    const fenced = { ...record, fence };
    const h = link(this.#head, fenced);
    const line = Buffer.from(`${JSON.stringify({ ...fenced, h })}\n`);
    await this.#requireUnchanged();
    try {
      let written = 0;
      while (written < line.length) {
        const { bytesWritten } = await this.#file.write(line, written, line.length - written, this.#bytes + written);
        written += bytesWritten;
      }
      await this.#file.sync();
    } catch (error) {
      // A full disk must not leave half a line for the next record to be glued to.
      await this.#file.truncate(this.#bytes).catch(() => {});
      throw storageError(error, this.#path, resumeAdvice(this.folder));
    }
    this.#bytes += line.length;
    this.#head = h;
  }

  /** @throws COMMIT_LOG_FENCED where another writer has written to the file, which is never written over */
  async #requireUnchanged(): Promise<void> {
    const { size } = await this.#file.stat();
    if (size === this.#bytes) return;
    const found = await readPlainFile(this.#path, readLimit).then((bytes) => verify(this.#path, bytes));
    throw new BitswarmError(
      "COMMIT_LOG_FENCED",
      `${this.#path} grew from ${this.#bytes} to ${size} bytes while writer ${this.fence} had it open; its newest writer is ${found.fence}. Another coordinator drives this run: stop one of them, then \`${commandText("coordinator", ["resume", resolve(this.folder)])}\` if need be`,
    );
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#file.close();
  }
}

/** How a log is opened. */
export interface OpenLogOptions {
  /** Number of this writer where somebody else gives them out; one above the last unless given. */
  readonly fence?: number;
  /** Cut a damaged log before its first damaged line, with a copy of it beside. */
  readonly repair?: boolean;
}

/** Keeps what is about to be cut. @returns the name of the copy */
async function keepCopy(path: string, bytes: Buffer): Promise<string> {
  for (let number = 1; ; number++) {
    const copy = `${path}.damaged-${number}`;
    if (await writeNew(copy, bytes)) return copy;
  }
}

/**
 * Opens the run's log, made if it is not there, after verifying its chain. A last line without its end, as a crash
 * leaves it, was never acknowledged: it is cut, and `notice` says so. Whoever has it open still is fenced off by this
 * writer's first line.
 * @throws COMMIT_LOG_CORRUPT naming the line where it is damaged and not to be repaired, COMMIT_LOG_FENCED where a
 * writer with a higher number was here, STORAGE_FAILED
 */
export async function openCommitLog(
  runDir: string,
  { fence, repair = false }: OpenLogOptions = {},
): Promise<CommitLog> {
  const path = join(runDir, COMMIT_LOG);
  const file = await openPlainFile(path, constants.O_RDWR | constants.O_CREAT, "COMMIT_LOG_CORRUPT").catch((error) => {
    throw storageError(error, path, resumeAdvice(runDir));
  });
  try {
    const bytes = await readPlainFile(path, readLimit);
    const { records, head, fence: last, whole, damage } = verify(path, bytes);
    if (fence !== undefined && fence < last) {
      throw new BitswarmError(
        "COMMIT_LOG_FENCED",
        `${path} was last written by writer ${last}, and writer ${fence} comes after it: another coordinator has taken this run over; let it go on`,
      );
    }
    if (damage !== undefined && !repair) throw corrupt(path, damage);
    let notice: string | null = null;
    if (whole < bytes.length) {
      if (damage === undefined) {
        notice = `${path}: cut ${bytes.length - whole} bytes of a record that a crash left unfinished after line ${records.length}`;
      } else {
        const copy = await keepCopy(path, bytes);
        notice = `${path} was damaged at line ${damage.line} (${damage.what}): it is cut before that line, after ${records.length} of its records; a copy of it as it was is ${copy}`;
      }
      await file.truncate(whole);
      await file.sync();
    }
    await diskFiles.syncDirectory(runDir);
    return new FileCommitLog({ path, file, records, notice, head, bytes: whole, fence: fence ?? last + 1 });
  } catch (error) {
    await file.close();
    throw storageError(error, path, resumeAdvice(runDir));
  }
}

/** A record of what the run came to, not of where it went on. */
export type Commit = Exclude<CommitRecord, { type: "resume" | "repair" }>;

/** The commits that stand: those that nothing later superseded. */
export function standingCommits(records: readonly CommitRecord[]): Commit[] {
  let standing: Commit[] = [];
  for (const record of records) {
    if (record.type === "resume" || record.type === "repair") {
      standing = standing.filter(({ step }) => step <= record.fromStep);
    } else standing.push(record);
  }
  return standing;
}

/** The newest repair whose ledger still stands: no later resume went back behind it. */
export function standingRepair(records: readonly CommitRecord[]) {
  let standing: Extract<CommitRecord, { type: "repair" }> | undefined;
  for (const record of records) {
    if (record.type === "repair") standing = record;
    else if (record.type === "resume" && standing && record.fromStep < standing.fromStep) standing = undefined;
  }
  return standing;
}
