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
    /** What is told beside it, by name. */
    others: z.record(z.string(), z.number()).optional(),
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
export const firstLink = createHash("sha256").update(`bitswarm commit log ${LOG_FORMAT}`).digest("hex");

/** A line of a log, without its newline, and its hash. */
export interface CommitLine {
  readonly line: string;
  readonly h: string;
}

/** The line that follows one of hash `previous`. @param fence number of its writer */
export function commitLine(previous: string, record: CommitRecord, fence: number): CommitLine {
  const fenced = { ...record, fence };
  const h = link(previous, fenced);
  return { line: JSON.stringify({ ...fenced, h }), h };
}

/** What a line holds that follows one of hash `previous`. @throws COMMIT_LOG_CORRUPT */
export function readCommitLine(line: string, previous: string): { readonly record: CommitRecord; readonly h: string } {
  const read = readLine(line, previous, 0);
  if (!("what" in read)) return read;
  throw new BitswarmError(
    "COMMIT_LOG_CORRUPT",
    `a line of another coordinator: ${read.what}; its log is another run's`,
  );
}

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
  /** Records in the file. */
  readonly length: number;
  /** Hash of the record that is the last of so many; of none, what the first is chained to. */
  hashAt(length: number): string | undefined;
  /**
   * Writes a line that another writer made, of whatever number, as append() writes its own.
   * @throws COMMIT_LOG_CORRUPT where it does not follow, COMMIT_LOG_FENCED, STORAGE_FAILED
   */
  follow(line: string): Promise<void>;
  /** The lines up to the last of so many records, as they are on the disk. @throws STORAGE_FAILED */
  lines(length: number): Promise<Uint8Array>;
  /** All of it gives way to the lines of another coordinator's. @throws COMMIT_LOG_CORRUPT, STORAGE_FAILED */
  become(lines: Uint8Array): Promise<void>;
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
  /** Of what the first record is chained to, and of each record. */
  readonly hashes: readonly string[];
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
  const hashes = [firstLink];
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
      return { records, head, hashes, fence, whole, damage: { line: index + 1, what: line.what } };
    }
    records.push(line.record);
    hashes.push(line.h);
    head = line.h;
    fence = line.fence;
    whole = bytes.indexOf(0x0a, whole) + 1;
  }
  return { records, head, hashes, fence, whole };
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
interface FoundLog extends Pick<CommitLog, "records" | "notice" | "fence"> {
  readonly hashes: readonly string[];
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
  readonly #hashes: string[];
  #bytes: number;
  #queue: Promise<void> = Promise.resolve();

  constructor({ path, file, records, notice, fence, hashes, bytes }: FoundLog) {
    this.folder = dirname(path);
    this.#path = path;
    this.#file = file;
    this.records = records;
    this.notice = notice;
    this.fence = fence;
    this.#hashes = [...hashes];
    this.#bytes = bytes;
  }

  get head(): string {
    return this.#hashes[this.#hashes.length - 1];
  }

  get length(): number {
    return this.#hashes.length - 1;
  }

  hashAt(length: number): string | undefined {
    return this.#hashes[length];
  }

  append(record: CommitRecord): Promise<void> {
    return this.#next(() => this.#write(commitLine(this.head, record, this.fence)));
  }

  follow(line: string): Promise<void> {
    return this.#next(() => this.#write({ line, h: readCommitLine(line, this.head).h }));
  }

  async lines(length: number): Promise<Uint8Array> {
    await this.#queue;
    const bytes = await readPlainFile(this.#path, readLimit).catch((error) => {
      throw storageError(error, this.#path, undefined, "read");
    });
    let end = 0;
    for (let line = 0; line < length; line++) end = bytes.indexOf(0x0a, end) + 1;
    return bytes.subarray(0, end);
  }

  become(lines: Uint8Array): Promise<void> {
    return this.#next(async () => {
      const { hashes, whole, damage } = verify(this.#path, Buffer.from(lines));
      if (damage !== undefined || whole < lines.length)
        throw corrupt(this.#path, damage ?? { line: hashes.length, what: "has no end" });
      try {
        await this.#file.truncate(0);
        await this.#file.write(lines, 0, lines.length, 0);
        await this.#file.sync();
      } catch (error) {
        throw storageError(error, this.#path, resumeAdvice(this.folder));
      }
      this.#bytes = lines.length;
      this.#hashes.splice(0, this.#hashes.length, ...hashes);
    });
  }

  #next<T>(write: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(write);
    this.#queue = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  requireNewest(): Promise<void> {
    return this.#queue.then(() => this.#requireUnchanged());
  }

  async #write({ line: text, h }: CommitLine): Promise<void> {
    const line = Buffer.from(`${text}\n`);
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
    this.#hashes.push(h);
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
    const { records, hashes, fence: last, whole, damage } = verify(path, bytes);
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
    return new FileCommitLog({ path, file, records, notice, hashes, bytes: whole, fence: fence ?? last + 1 });
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
