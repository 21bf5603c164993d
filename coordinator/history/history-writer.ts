// Writes what a run does to its folder, as it happens: the history, and beside it the same for spreadsheets and for
// TensorBoard. Those two follow from the history, and are made anew wherever it was cut.

import { constants } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { openPlainFile } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { fileLines, requireReadable } from "./file-lines.ts";
import { GrowingFile } from "./growing-file.ts";
import { HISTORY_FILE, type HistoryLine, readLine, writtenLine } from "./history-line.ts";
import { type Evaluated, HistoryRecorder, stands } from "./history-record.ts";
import { CSV_FILE, CsvColumns, MetricsCsv } from "./metrics-csv.ts";
import { EVENTS_PREFIX, TensorboardEvents } from "./tensorboard-events.ts";

/** Bytes that are gathered before they are written, where a file is made anew. */
const WRITE_AT_ONCE = 2 ** 18;
const ownEvents = /^events\.out\.tfevents\.(\d{1,12})\.bitswarm$/;

/** Where a run stands: what was written of later steps is computed again. */
export interface HistoryPlace {
  /** Committed steps. */
  readonly step: number;
  readonly evaluatedAt: Evaluated;
}

export interface HistoryWriterOptions {
  readonly runDir: string;
  /** A copy: it does not change while the run goes on. */
  readonly place: HistoryPlace;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

interface Csv {
  readonly file: GrowingFile;
  readonly table: MetricsCsv;
}

interface Events {
  readonly file: GrowingFile;
  readonly records: TensorboardEvents;
}

/** Where lines that no longer stand begin, and what comes before. */
interface Found {
  readonly bytes: number;
  /** Something of the run's steps is told; else it is begun anew. */
  readonly begun: boolean;
}

export class HistoryWriter {
  readonly #options: HistoryWriterOptions;
  readonly #recorder = new HistoryRecorder();
  readonly #history: GrowingFile;
  #csv: Csv | undefined;
  #events: Events | undefined;
  /** What goes wrong with the two that follow; the run goes on without them. */
  #failure: Error | undefined;
  /** Lines that the next write takes, of which the queue knows already. */
  #open: HistoryLine[] | undefined;
  #queue: Promise<void> = Promise.resolve();

  /**
   * Goes on with the history of a folder, without what does not stand at this place, or begins one.
   * @throws STORAGE_FAILED
   */
  static async open(options: HistoryWriterOptions): Promise<HistoryWriter> {
    const path = join(options.runDir, HISTORY_FILE);
    try {
      const file = await openPlainFile(path, constants.O_RDWR | constants.O_CREAT, "STORAGE_FAILED");
      const writer = new HistoryWriter(options, new GrowingFile(file, 0));
      try {
        await writer.#begin(options.place);
      } catch (error) {
        await writer.close();
        throw error;
      }
      return writer;
    } catch (error) {
      throw storageError(error, path);
    }
  }

  private constructor(options: HistoryWriterOptions, history: GrowingFile) {
    this.#options = options;
    this.#history = history;
  }

  /** Takes an event; what is kept of it is on its way to the files. */
  take(event: RunEvent): void {
    if (event.type === "undone") {
      const { to } = event;
      this.#open = undefined;
      this.#recorder.forget();
      this.#then(async () => {
        await this.#cut({ step: to, evaluatedAt: await this.#evaluatedUpTo(to) });
        await this.#derive();
      });
      return;
    }
    const lines = this.#recorder.linesOf(event, this.#options.wallClock());
    if (lines.length === 0) return;
    // Whatever comes while a write is on its way goes with the next one.
    if (this.#open) this.#open.push(...lines);
    else this.#writeSoon(lines);
  }

  #writeSoon(lines: HistoryLine[]): void {
    this.#open = lines;
    this.#then(() => {
      if (this.#open === lines) this.#open = undefined;
      return this.#write(lines);
    });
  }

  /** Resolves when all that was taken is on the disk, for a checkpoint that comes after it. */
  flush(): Promise<void> {
    this.#then(() => this.#history.sync());
    return this.#queue;
  }

  /** Writes what is left; returns what went wrong on the way, if anything did. */
  async close(): Promise<Error | undefined> {
    await this.#queue;
    for (const file of [this.#history, this.#csv?.file, this.#events?.file]) await file?.close();
    return this.#history.failure ?? this.#csv?.file.failure ?? this.#events?.file.failure ?? this.#failure;
  }

  #then(act: () => Promise<void>): void {
    this.#queue = this.#queue.then(act).catch((error: Error) => {
      this.#failure ??= error;
    });
  }

  async #begin(place: HistoryPlace): Promise<void> {
    await this.#cut(place);
    await this.#derive();
    if (this.#failure) throw this.#failure;
  }

  /** Takes back what does not stand at this place, and begins where nothing is left. */
  async #cut(place: HistoryPlace): Promise<void> {
    const { bytes, begun } = await this.#standing(place);
    await this.#history.cut(begun ? bytes : 0);
    if (!begun) await this.#history.write(Buffer.from(writtenLine({ kind: "begin", after: place.step })));
  }

  async *#lines(): AsyncGenerator<{ readonly line: HistoryLine | undefined; readonly end: number }> {
    const { file } = this.#history;
    const { size } = await file.stat();
    requireReadable(join(this.#options.runDir, HISTORY_FILE), size);
    for await (const lines of fileLines(file, 0, size)) {
      for (const { bytes, end } of lines) yield { line: bytes && readLine(bytes.toString("utf8")), end };
    }
  }

  async #standing({ step, evaluatedAt }: HistoryPlace): Promise<Found> {
    let bytes = 0;
    let begun = false;
    for await (const { line, end } of this.#lines()) {
      // A line that cannot be read stands for nothing; what comes after it may.
      if (line && !stands(line, step, evaluatedAt)) break;
      if (!begun && line?.kind !== "begin") break;
      begun = true;
      bytes = end;
    }
    return { bytes, begun };
  }

  /** The evaluations that were made before a step, or at it: going back to it, they are not made again. */
  async #evaluatedUpTo(step: number): Promise<Evaluated> {
    const at: Record<string, number> = {};
    for await (const { line } of this.#lines()) {
      if (line?.kind === "evaluation" && line.evaluation.step <= step)
        at[line.evaluation.network] = line.evaluation.step;
    }
    return at;
  }

  async #write(lines: readonly HistoryLine[]): Promise<void> {
    await this.#history.write(Buffer.from(lines.map(writtenLine).join("")));
    if (this.#history.failure) return;
    const { csv, events } = { csv: this.#csv, events: this.#events };
    if (events) await events.file.write(Buffer.concat(lines.map((line) => events.records.recordOf(line))));
    if (!csv) return;
    const texts = lines.map((line) => csv.table.textOf(line));
    if (texts.every((text) => text !== undefined)) await csv.file.write(Buffer.from(texts.join("")));
    // It has what was just written, too.
    else await this.#deriveCsv();
  }

  /** Makes what follows from the history anew. */
  async #derive(): Promise<void> {
    await this.#deriveCsv();
    await this.#deriveEvents();
  }

  async #deriveCsv(): Promise<void> {
    const columns = new CsvColumns();
    for await (const { line } of this.#lines()) if (line) columns.hear(line);
    const table = new MetricsCsv(columns.names);
    const encode = (line: HistoryLine) => Buffer.from(table.textOf(line) ?? "");
    await this.#csv?.file.close();
    this.#csv = undefined;
    const file = await this.#made(join(this.#options.runDir, CSV_FILE), Buffer.from(table.head), encode);
    this.#csv = { file, table };
  }

  /** Under another name than before, so that whoever follows the old file comes to the new one. */
  async #deriveEvents(): Promise<void> {
    const { runDir, wallClock } = this.#options;
    await this.#events?.file.close();
    this.#events = undefined;
    const before = (await readdir(runDir)).filter((name) => ownEvents.test(name));
    const numbers = before.map((name) => Number(ownEvents.exec(name)?.[1]));
    const now = wallClock();
    const seconds = Math.max(Math.floor(now / 1000), ...numbers.map((number) => number + 1));
    // First, so that no step is in two files.
    for (const name of before) await rm(join(runDir, name), { force: true });
    const records = new TensorboardEvents();
    const path = join(runDir, `${EVENTS_PREFIX}${String(seconds).padStart(10, "0")}.bitswarm`);
    const file = await this.#made(path, records.head(now), (line) => records.recordOf(line));
    this.#events = { file, records };
  }

  /** A file of the whole history, in its place when all of it is there; open, to be written on. */
  async #made(path: string, head: Uint8Array, encode: (line: HistoryLine) => Uint8Array): Promise<GrowingFile> {
    // TensorBoard takes every name with "tfevents" in it for a file of its own.
    const beside = join(this.#options.runDir, "history.writing");
    await rm(beside, { recursive: true, force: true });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    const made = new GrowingFile(await openPlainFile(beside, flags, "STORAGE_FAILED"), 0);
    try {
      let parts: Uint8Array[] = [head];
      let gathered = 0;
      for await (const { line } of this.#lines()) {
        if (!line) continue;
        const bytes = encode(line);
        parts.push(bytes);
        gathered += bytes.length;
        if (gathered < WRITE_AT_ONCE) continue;
        await made.write(Buffer.concat(parts));
        parts = [];
        gathered = 0;
      }
      await made.write(Buffer.concat(parts));
      if (made.failure) throw made.failure;
      await rename(beside, path);
      return made;
    } catch (error) {
      await made.close();
      throw storageError(error, path);
    }
  }
}
