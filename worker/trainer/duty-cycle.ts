// Limits a GPU to a share of the time: launches go in short submissions, and between them the device rests for as long
// as the share asks. What a submission or a rest took too long is made up for by the next (integral control).

import type { Clock } from "../../shared/base/clock.ts";
import { LEAST_SHARE } from "../../shared/base/gpu-share.ts";
import { median } from "../../shared/base/median.ts";

/** What one submission takes, about: a desktop that is drawn meanwhile misses a frame at most. */
export const SUBMISSION_MS = 20;
/** And at most, where it takes long to hear that one is computed. */
export const LONGEST_SUBMISSION_MS = 200;
/**
 * How often that is measured, with nothing submitted: during a rest that is long enough, or at least so often. Of so
 * many measurements the median counts.
 */
const LATENCY_EVERY_MS = { resting: 250, atLeast: 1000 } as const;
const LATENCIES = 32;
/** What a launch is taken to cost before it was measured. */
const UNMEASURED_MS = 5;
/** Rest that was not asked for counts for so long: a worker without a lease saves up no more than that. */
export const MOST_CREDIT_MS = 1000;
/** One measurement makes a launch seem so many times as short at most. */
const LEAST_SCALE = 0.25;
/** Timers know no shorter rest: what is due of it comes with the next. */
const LEAST_REST_MS = 1;
/** No submission counts for longer: a machine that slept meanwhile computed nothing. */
export const MOST_BUSY_MS = 3000;
/** The measured share is that of the last so many milliseconds. */
export const WINDOW_MS = 5000;
/** It is told about so often, and not before so much was seen. */
export const TOLD_EVERY_MS = 1000;

export interface Duty {
  readonly asked: number;
  /** Of the wall clock, computing; absent at full speed and before enough was seen. */
  readonly measured?: number;
}

export interface DutyCycleOptions {
  readonly clock: Pick<Clock, "now" | "after">;
  /** Called where another share is asked for, and while it is kept with what was measured. */
  readonly onDuty?: (duty: Duty) => void;
}

/** What each launch of a recording takes, in ms: learnt as its submissions are timed. */
export type LaunchCosts = Float64Array<ArrayBuffer>;

export function unmeasuredCosts(launches: number): LaunchCosts {
  return new Float64Array(launches).fill(UNMEASURED_MS);
}

/** Launches [from, to) of a recording. */
export interface Stretch {
  readonly costs: LaunchCosts;
  readonly from: number;
  readonly to: number;
}

interface Interval {
  readonly from: number;
  readonly to: number;
}

export class DutyCycle {
  readonly #clock: DutyCycleOptions["clock"];
  readonly #onDuty: NonNullable<DutyCycleOptions["onDuty"]>;
  #share = 1;
  /** Submitted, and not yet known to be computed; the first of it at `#since`. */
  #pending: Stretch[] = [];
  #pendingMs = 0;
  #since = 0;
  /** Rest that is due, counted from `#restedAt` on; negative where it rested longer than asked. */
  #owedMs = 0;
  #restedAt = 0;
  /** How long it takes to hear of what is computed, each time that was measured; and when it was last. */
  #latencies: number[] = [];
  #latencyAt = Number.NEGATIVE_INFINITY;
  /** When it computed, the oldest first; since when that is watched, and when it was told last. */
  #busy: Interval[] = [];
  #watchedFrom: number | undefined;
  #toldAt = 0;
  /** Counts the shares that were asked for: what was begun under one says nothing of the next. */
  #era = 0;
  #wake = () => {};

  constructor({ clock, onDuty = () => undefined }: DutyCycleOptions) {
    this.#clock = clock;
    this.#onDuty = onDuty;
    this.#restedAt = clock.now();
  }

  get share(): number {
    return this.#share;
  }

  /** Whether submissions have to be cut and timed; where not, nobody need ask this class anything. */
  get limited(): boolean {
    return this.#share < 1;
  }

  /** Asks for another share, from now on. @throws RangeError outside 0.1 to 1 */
  limit(share: number): void {
    if (!(share >= LEAST_SHARE && share <= 1))
      throw new RangeError(`a share of ${LEAST_SHARE} to 1 is due; got ${share}`);
    if (share === this.#share) return;
    this.#share = share;
    this.#era++;
    this.begin();
    this.#owedMs = 0;
    this.#busy = [];
    this.#watchedFrom = undefined;
    this.#wake();
    this.#onDuty({ asked: share });
  }

  /** Nothing is pending: a lease begins, perhaps on another device than the last. */
  begin(): void {
    if (this.#pending.length > 0) this.#restedAt = this.#clock.now();
    this.#pending = [];
    this.#pendingMs = 0;
  }

  /** Resolves once the device has rested enough to be given the next submission, or the share was changed. */
  async rested(): Promise<void> {
    while (this.limited && this.#pending.length === 0) {
      const due = this.#owedMs - (this.#clock.now() - this.#restedAt);
      if (due < LEAST_REST_MS) return;
      await this.#sleep(due);
    }
  }

  /**
   * Nobody hears at once that work is computed: some runtimes look every 10 ms, and on a busy machine nobody is woken
   * at once. The device rests meanwhile. By the shortest such time a worker on busy cores kept half of its share.
   */
  get #latencyMs(): number {
    return this.#latencies.length === 0 ? 0 : median(this.#latencies);
  }

  /** What a submission is to take: as much as lets the rest for it be as long as hearing of it takes. */
  get #submissionMs(): number {
    const hidden = (this.#latencyMs * this.#share) / (1 - this.#share);
    return Math.min(Math.max(SUBMISSION_MS, hidden), LONGEST_SUBMISSION_MS);
  }

  /** The end of a submission that begins with launch `from`: short ones wait for company, even of another recording. */
  cut(costs: LaunchCosts, from: number): number {
    const most = this.#submissionMs;
    let ms = this.#pendingMs;
    let to = from;
    while (to < costs.length && (to === from || ms + costs[to] <= most)) ms += costs[to++];
    return to;
  }

  /** Submits launches, and resolves when more may be: once these are computed, where they fill a submission. */
  async run(stretch: Stretch, submit: () => void, computed: () => Promise<unknown>): Promise<void> {
    if (!this.limited) return submit();
    if (this.#pending.length === 0) this.#begun(this.#clock.now());
    submit();
    this.#pending.push(stretch);
    for (let at = stretch.from; at < stretch.to; at++) this.#pendingMs += stretch.costs[at];
    const { costs, to } = stretch;
    // The next launch is another's, where this was the last: what it costs is like this one.
    const next = costs[Math.min(to, costs.length - 1)] ?? 0;
    if (this.#pendingMs + next <= this.#submissionMs) return;
    const era = this.#era;
    await computed();
    if (era !== this.#era) return;
    this.#computed();
    await this.#measureLatency(computed);
  }

  async #measureLatency(computed: () => Promise<unknown>): Promise<void> {
    const since = this.#clock.now();
    const restMs = this.#owedMs - (since - this.#restedAt);
    const { resting, atLeast } = LATENCY_EVERY_MS;
    if (since - this.#latencyAt < (restMs > this.#latencyMs ? resting : atLeast)) return;
    this.#latencyAt = since;
    await computed();
    this.#latencies = [...this.#latencies, this.#clock.now() - since].slice(-LATENCIES);
  }

  /** All that was submitted is computed: its result was read. */
  settled(): void {
    if (this.limited && this.#pending.length > 0) this.#computed();
  }

  #begun(now: number): void {
    this.#owedMs = Math.max(-MOST_CREDIT_MS, this.#owedMs - (now - this.#restedAt));
    this.#since = now;
    // After a long time without work a new watch begins.
    const last = this.#busy.at(-1)?.to ?? this.#watchedFrom;
    if (last === undefined || now - last > WINDOW_MS) this.#watchedFrom = now;
    this.#toldAt = Math.max(this.#toldAt, this.#watchedFrom ?? now);
    // Rests are told with what they are for.
    this.#tell(now);
  }

  #computed(): void {
    const now = this.#clock.now();
    const heardMs = now - this.#since;
    const busyMs = Math.min(Math.max(heardMs - this.#latencyMs, 0), MOST_BUSY_MS);
    const idleAt = now - Math.min(this.#latencyMs, heardMs);
    // What was heard of sooner than usual has not taken nothing: submissions grow step by step.
    const scale = Math.max(busyMs / this.#pendingMs, LEAST_SCALE);
    // Of a short recording a submission has many turns.
    const scaled = new Map<LaunchCosts, Set<number>>();
    for (const { costs, from, to } of this.#pending) {
      const seen = scaled.get(costs) ?? new Set();
      scaled.set(costs, seen);
      for (let at = from; at < to; at++) {
        if (!seen.has(at)) costs[at] *= scale;
        seen.add(at);
      }
    }
    this.#pending = [];
    this.#pendingMs = 0;
    this.#owedMs += busyMs * (1 / this.#share - 1);
    this.#restedAt = idleAt;
    this.#busy.push({ from: this.#since, to: idleAt });
  }

  #tell(now: number): void {
    const from = Math.max(now - WINDOW_MS, this.#watchedFrom ?? now);
    this.#busy = this.#busy.filter((one) => one.to > from);
    if (now - this.#toldAt < TOLD_EVERY_MS) return;
    this.#toldAt = now;
    const busyMs = this.#busy.reduce((sum, one) => sum + one.to - Math.max(one.from, from), 0);
    this.#onDuty({ asked: this.#share, measured: busyMs / (now - from) });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#wake = () => {};
        resolve();
      };
      this.#wake = done;
      const cancel = this.#clock.after(ms, done);
    });
  }
}
