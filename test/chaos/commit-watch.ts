// When commits came, seen from outside: whatever is new in any coordinator's log, at the time at which it was there.

import { closeSync, openSync, readSync, statSync } from "node:fs";

const LOOK_MS = 10;

export interface SeenCommit {
  readonly step: number;
  /** Milliseconds on the clock of performance.now(). */
  readonly at: number;
}

interface Place {
  readonly file: string;
  inode: number;
  offset: number;
  rest: string;
  /** Steps of its log, as far as it is read. */
  step: number;
}

export class CommitWatch {
  readonly #places: readonly Place[];
  readonly #known = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly seen: SeenCommit[] = [];
  /** The longest that this process had no turn. */
  longestStallMs = 0;
  #lookedAt = performance.now();

  constructor(files: readonly string[]) {
    this.#places = files.map((file) => ({ file, inode: 0, offset: 0, rest: "", step: 0 }));
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Committed steps in the log of each coordinator. */
  get steps(): readonly number[] {
    return this.#places.map(({ step }) => step);
  }

  #look(): void {
    const now = performance.now();
    this.longestStallMs = Math.max(this.longestStallMs, now - this.#lookedAt - LOOK_MS);
    this.#lookedAt = now;
    for (const place of this.#places) this.#read(place, now);
  }

  #read(place: Place, now: number): void {
    const found = statSync(place.file, { throwIfNoEntry: false });
    if (!found) return;
    // Another coordinator's took its place.
    if (found.ino !== place.inode || found.size < place.offset)
      Object.assign(place, { inode: found.ino, offset: 0, rest: "" });
    if (found.size === place.offset) return;
    const bytes = Buffer.alloc(found.size - place.offset);
    const file = openSync(place.file, "r");
    const read = readSync(file, bytes, 0, bytes.length, place.offset);
    closeSync(file);
    place.offset += read;
    const lines = (place.rest + bytes.toString("utf8", 0, read)).split("\n");
    place.rest = lines.pop() ?? "";
    for (const line of lines) {
      const { type, step, fromStep, h } = JSON.parse(line) as {
        type: string;
        step: number;
        fromStep: number;
        h: string;
      };
      if (type === "resume" || type === "repair") place.step = fromStep;
      if (type !== "step") continue;
      place.step = step;
      if (this.#known.has(h)) continue;
      this.#known.add(h);
      this.seen.push({ step, at: now });
    }
  }

  /** The longest time without a commit that ended in (from, to]; one that has no end by then counts up to `to`. */
  longestGap(from: number, to: number): number {
    let longest = 0;
    const times = [...this.seen.map(({ at }) => at).filter((at) => at < to), to];
    for (let i = 1; i < times.length; i++) if (times[i] > from) longest = Math.max(longest, times[i] - times[i - 1]);
    return longest;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
