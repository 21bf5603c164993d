// The history of a run from its folder, and on with it while the file grows, is cut or is put in another's place. Of a
// folder that has none, or one that begins later, the commit log tells what it knows.

import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { inspectCommitLog, standingCommits } from "../checkpoint/commit-log.ts";
import { openPlainFile } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { fileLines, requireReadable } from "./file-lines.ts";
import { HistoryData, Segment } from "./history-data.ts";
import { HISTORY_FILE, type HistoryEvaluation, type HistoryPass, readLine, type Table } from "./history-line.ts";
import { type HistoryView, type ViewRequest, viewOf } from "./history-view.ts";

/** What is known of steps without a history. */
interface Before {
  readonly steps: readonly Segment[];
  readonly passes: readonly HistoryPass[];
  readonly evaluations: readonly HistoryEvaluation[];
}

const nothing: Before = { steps: [], passes: [], evaluations: [] };

/** @param after the steps that the history does not have; all unless given */
async function fromCommits(runDir: string, after = Number.POSITIVE_INFINITY): Promise<Before> {
  const { records } = await inspectCommitLog(runDir);
  const commits = standingCommits(records).filter(({ step }) => step <= after);
  const segment = new Segment(["samples"]);
  const passes: HistoryPass[] = [];
  const evaluations = new Map<string, HistoryEvaluation>();
  for (const commit of commits) {
    const { step } = commit;
    if (commit.type === "evaluate") {
      const { network, score, value, others = {} } = commit;
      evaluations.set(`${step} ${network}`, { step, time: null, network, score, value, others });
      continue;
    }
    const { phase, epoch, samples } = commit;
    const last = passes.at(-1);
    if (last?.phase !== phase || last.epoch !== epoch) passes.push({ phase, network: null, epoch, after: step - 1 });
    segment.add({ table: "steps", step, time: Number.NaN, values: [samples] });
  }
  return { steps: [segment], passes, evaluations: [...evaluations.values()] };
}

/** A history may begin within a pass, which it names again. */
function joinedPasses(before: readonly HistoryPass[], own: readonly HistoryPass[]): readonly HistoryPass[] {
  const [last, first] = [before.at(-1), own[0]];
  if (last === undefined || first === undefined) return [...before, ...own];
  if (last.phase !== first.phase || last.epoch !== first.epoch) return [...before, ...own];
  // Commits do not say which network they are of.
  return [...before.slice(0, -1), { ...first, after: last.after }, ...own.slice(1)];
}

export class RunHistory {
  readonly #runDir: string;
  readonly #path: string;
  #data = new HistoryData();
  #before = nothing;
  #knowsBefore = false;
  #generation = 0;
  /** How far the file was read: to the end of a line. */
  #read = 0;
  #inode: bigint | undefined;
  /** The last line that was read: where it stands unchanged, so does all before it. */
  #lastLine = Buffer.alloc(0);
  #refreshing: Promise<boolean> | undefined;

  private constructor(runDir: string) {
    this.#runDir = runDir;
    this.#path = join(runDir, HISTORY_FILE);
  }

  /** @throws STORAGE_FAILED for what is no plain file, or too large; COMMIT_LOG_CORRUPT for such a log */
  static async open(runDir: string): Promise<RunHistory> {
    const history = new RunHistory(runDir);
    await history.refresh();
    return history;
  }

  /** Another number where steps were taken back since, or the file is another one: what was shown no longer stands. */
  get generation(): number {
    return this.#generation;
  }

  /** The newest step; 0 before the first. */
  get step(): number {
    const before = this.#before.steps.at(-1);
    return Math.max(this.#data.step, before === undefined || before.count === 0 ? 0 : before.step(before.count - 1));
  }

  /** In the order of their steps. */
  get passes(): readonly HistoryPass[] {
    return joinedPasses(this.#before.passes, this.#data.passes);
  }

  /** In the order of their steps. */
  get evaluations(): readonly HistoryEvaluation[] {
    return [...this.#before.evaluations, ...this.#data.evaluations];
  }

  /** Lines that could not be read. */
  get damaged(): number {
    return this.#data.damaged;
  }

  /** Names of the series of a table, in the order in which they came up. */
  series(table: Table): readonly string[] {
    return [...new Set(this.#segments(table).flatMap(({ columns }) => columns))];
  }

  view(table: Table, request: ViewRequest): HistoryView {
    return viewOf(this.#segments(table), request);
  }

  #segments(table: Table): readonly Segment[] {
    const own = this.#data.segments(table);
    return table === "steps" ? [...this.#before.steps, ...own] : own;
  }

  /**
   * Reads what was written since; answers whether there was anything.
   * @throws as open
   */
  refresh(): Promise<boolean> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<boolean> {
    let file: FileHandle;
    try {
      file = await openPlainFile(this.#path, constants.O_RDONLY, "STORAGE_FAILED");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw storageError(error, this.#path, undefined, "read");
      return this.#withoutFile();
    }
    try {
      const { size, ino } = await file.stat({ bigint: true });
      requireReadable(this.#path, Number(size));
      const fresh = this.#inode !== ino || !(await this.#stands(file));
      if (fresh) this.#forget(ino);
      const grown = await this.#readOn(file, Number(size));
      await this.#readBefore(this.#data.after);
      return fresh || grown;
    } finally {
      await file.close();
    }
  }

  /** The steps of a run that has no history, as they are in its log now. */
  async #withoutFile(): Promise<boolean> {
    const { step } = this;
    if (this.#inode !== undefined) this.#forget(undefined);
    this.#before = await fromCommits(this.#runDir);
    return this.step !== step;
  }

  async #readBefore(after: number | undefined): Promise<void> {
    if (this.#knowsBefore || after === undefined) return;
    this.#before = after === 0 ? nothing : await fromCommits(this.#runDir, after);
    this.#knowsBefore = true;
  }

  #forget(inode: bigint | undefined): void {
    if (this.#inode !== undefined) this.#generation++;
    this.#inode = inode;
    this.#data = new HistoryData();
    this.#before = nothing;
    this.#knowsBefore = false;
    this.#read = 0;
    this.#lastLine = Buffer.alloc(0);
  }

  /** Whether what was read is still there. */
  async #stands(file: FileHandle): Promise<boolean> {
    const expected = this.#lastLine;
    const found = Buffer.alloc(expected.length);
    if ((await file.stat()).size < this.#read) return false;
    const { bytesRead } = await file.read(found, 0, found.length, this.#read - found.length);
    return bytesRead === expected.length && found.equals(expected);
  }

  /** @returns whether there was a line */
  async #readOn(file: FileHandle, size: number): Promise<boolean> {
    const began = this.#read;
    for await (const lines of fileLines(file, began, size)) {
      for (const { bytes } of lines) this.#data.add(bytes && readLine(bytes.toString("utf8")));
      const last = lines.at(-1);
      if (last === undefined) continue;
      this.#read = last.end;
      this.#lastLine = Buffer.from(last.bytes ?? []);
    }
    return this.#read > began;
  }
}
