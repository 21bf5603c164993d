// A commit of a run that several coordinators drive: the head is swapped with the whole record, then the own log has
// it, then everybody hears it. No log holds what the head did not.

import { type CommitLog, type CommitRecord, commitLine } from "../../checkpoint/commit-log.ts";
import type { Lead } from "./lead.ts";

/** A record that is committed. */
export interface Committed {
  readonly record: CommitRecord;
  readonly length: number;
  readonly step: number;
  readonly line: string;
  readonly chain: string;
  readonly before: string;
}

export interface ClusterLogOptions {
  readonly lead: Pick<Lead, "epoch" | "commit">;
  readonly file: CommitLog;
  readonly onCommitted: (committed: Committed) => void;
}

export class ClusterLog implements Pick<CommitLog, "append"> {
  readonly #options: ClusterLogOptions;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: ClusterLogOptions) {
    this.#options = options;
  }

  /** @throws ENGINE_FENCED, STORAGE_FAILED */
  append(record: CommitRecord): Promise<void> {
    const done = this.#queue.then(() => this.#commit(record));
    this.#queue = done.catch(() => {});
    return done;
  }

  async #commit(record: CommitRecord): Promise<void> {
    const { lead, file, onCommitted } = this.#options;
    const before = file.head;
    const { line, h } = commitLine(before, record, lead.epoch);
    const committed = { length: file.length + 1, step: stepOf(record), line, chain: h, before };
    await lead.commit(committed);
    await file.follow(line);
    onCommitted({ record, ...committed });
  }
}

/** Committed steps that stand after a record. */
export function stepOf(record: CommitRecord): number {
  return record.type === "resume" || record.type === "repair" ? record.fromStep : record.step;
}
