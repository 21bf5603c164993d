// What happened to the run, for good: one fsynced JSON line per commit, each hashed over the one before. Nothing is
// ever removed from it.

import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { diskFiles } from "../disk/durable-file.ts";
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
]);

export type CommitRecord = z.output<typeof commitRecordSchema>;

export const COMMIT_LOG = "commits.ndjson";
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
  /** What the file held when it was opened, in order. */
  readonly records: readonly CommitRecord[];
  /** Number of this writer, in each line that it writes: above that of every writer before it. */
  readonly fence: number;
  /** Says what was cut from the end after a crash; null where nothing was. */
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

function corrupt(path: string, line: number, what: string): BitswarmError {
  return new BitswarmError(
    "COMMIT_LOG_CORRUPT",
    `${path}, line ${line}: ${what}. The file was changed or damaged; restore it from a copy, or start a new run`,
  );
}

interface Verified {
  readonly records: readonly CommitRecord[];
  readonly head: string;
  /** The highest number of a writer; lines from before there were any have 0. */
  readonly fence: number;
}

function verify(path: string, text: string): Verified {
  const records: CommitRecord[] = [];
  let head = firstLink;
  let newest = 0;
  // What follows the last newline is empty: the caller cut the rest.
  const lines = text.split("\n").slice(0, -1);
  lines.forEach((line, index) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw corrupt(path, index + 1, "is not JSON");
    }
    // Not zod's output: the hash is over the fields in the order they were written in.
    const { h, ...hashed } = Object(value) as Record<string, unknown>;
    if (index === 0 && h === link(firstLinkBefore, hashed)) {
      throw otherBuild(`${path} is a commit log of format ${LOG_FORMAT - 1}`, LOG_FORMAT, LOG_FORMAT - 1);
    }
    const parsed = z.looseObject({ h: hex, fence: counting }).safeParse(value);
    if (!parsed.success)
      throw corrupt(path, index + 1, "has no hash `h` of 64 hex digits, or no `fence` that is a count");
    const expected = link(head, hashed);
    if (h !== expected) throw corrupt(path, index + 1, `its hash is ${String(h)}, the chain gives ${expected}`);
    const { fence: _, ...fields } = hashed;
    const record = commitRecordSchema.safeParse(fields);
    if (!record.success) {
      const [issue] = record.error.issues;
      throw corrupt(path, index + 1, `${issue.path.join(".") || "the record"}: ${issue.message}`);
    }
    const { fence } = parsed.data;
    if (fence < newest) throw corrupt(path, index + 1, `writer ${fence} wrote it after writer ${newest} took over`);
    records.push(record.data);
    head = expected;
    newest = fence;
  });
  return { records, head, fence: newest };
}

/** Verifies the lines that have their end; `whole` is their bytes. */
function verifyWhole(path: string, bytes: Buffer) {
  const whole = bytes.lastIndexOf(0x0a) + 1;
  return { ...verify(path, bytes.toString("utf8", 0, whole)), whole };
}

/**
 * The verified records of a run, also of one that is running: changes nothing. A run without a log has none.
 * @throws COMMIT_LOG_CORRUPT
 */
export async function readCommitLog(runDir: string): Promise<readonly CommitRecord[]> {
  const path = join(runDir, COMMIT_LOG);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return Buffer.alloc(0);
    throw error;
  });
  return verifyWhole(path, bytes).records;
}

/** A log as it was found, for this writer to go on with. */
interface FoundLog extends Pick<CommitLog, "records" | "notice" | "fence" | "head"> {
  readonly path: string;
  readonly file: FileHandle;
  readonly bytes: number;
}

class FileCommitLog implements CommitLog {
  readonly records: readonly CommitRecord[];
  readonly notice: string | null;
  readonly fence: number;
  readonly #path: string;
  readonly #file: FileHandle;
  #head: string;
  #bytes: number;
  #queue: Promise<void> = Promise.resolve();

  constructor({ path, file, records, notice, fence, head, bytes }: FoundLog) {
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
      throw storageError(error, this.#path);
    }
    this.#bytes += line.length;
    this.#head = h;
  }

  /** @throws COMMIT_LOG_FENCED where another writer has written to the file, which is never written over */
  async #requireUnchanged(): Promise<void> {
    const { size } = await this.#file.stat();
    if (size === this.#bytes) return;
    const found = await readFile(this.#path).then((bytes) => verifyWhole(this.#path, bytes));
    throw new BitswarmError(
      "COMMIT_LOG_FENCED",
      `${this.#path} grew from ${this.#bytes} to ${size} bytes while writer ${this.fence} had it open; its newest writer is ${found.fence}. Another coordinator drives this run: stop one of them, then \`coordinator resume\` the run if need be`,
    );
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#file.close();
  }
}

/**
 * Opens the run's log, made if it is not there, after verifying its chain. A last line without its end, as a crash
 * leaves it, was never acknowledged: it is cut, and `notice` says so. Whoever has it open still is fenced off by this
 * writer's first line.
 * @param fence number of this writer where somebody else gives them out; one above the last unless given
 * @throws COMMIT_LOG_CORRUPT naming the line, COMMIT_LOG_FENCED where a writer with a higher number was here
 */
export async function openCommitLog(runDir: string, fence?: number): Promise<CommitLog> {
  const path = join(runDir, COMMIT_LOG);
  const file = await open(path, constants.O_RDWR | constants.O_CREAT);
  try {
    const bytes = await file.readFile();
    const { records, head, fence: last, whole } = verifyWhole(path, bytes);
    if (fence !== undefined && fence < last) {
      throw new BitswarmError(
        "COMMIT_LOG_FENCED",
        `${path} was last written by writer ${last}, and writer ${fence} comes after it: another coordinator has taken this run over; let it go on`,
      );
    }
    let notice: string | null = null;
    if (whole < bytes.length) {
      await file.truncate(whole);
      await file.sync();
      notice = `${path}: cut ${bytes.length - whole} bytes of a record that a crash left unfinished after line ${records.length}`;
    }
    await diskFiles.syncDirectory(runDir);
    return new FileCommitLog({ path, file, records, notice, head, bytes: whole, fence: fence ?? last + 1 });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The records that stand: those that no later `resume` superseded, without the `resume` records themselves. */
export function standingCommits(records: readonly CommitRecord[]): Exclude<CommitRecord, { type: "resume" }>[] {
  let standing: Exclude<CommitRecord, { type: "resume" }>[] = [];
  for (const record of records) {
    if (record.type === "resume") standing = standing.filter(({ step }) => step <= record.fromStep);
    else standing.push(record);
  }
  return standing;
}
