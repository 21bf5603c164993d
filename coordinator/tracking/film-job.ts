// A tracking job from its first lease to its last answer: lends films, collects boxes, and tells what came of each.
// Sessions are told through `FilmWorker`; what is due is decided in film-state.ts.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError, failureText } from "../../shared/base/errors.ts";
import { MAX_COORDINATE, type TrackedFrame, type TrackMessage } from "../../shared/wire/tracking.ts";
import {
  type Answer,
  type FilmState,
  type Follower,
  freshFilm,
  nextFilm,
  silentHolders,
  verdictOf,
} from "./film-state.ts";

/** A film as it is lent. */
export type PreparedFilm = Omit<TrackMessage, "type" | "lease">;

export interface JobFilm {
  readonly name: string;
  /** As far as they are known before its files are read. */
  readonly frames: number;
  /** Reads its files. @throws DATA_MISSING, DATA_INVALID for a film that cannot be followed */
  prepare(): Promise<PreparedFilm>;
}

/** A connected worker, as the job speaks to it. */
export interface FilmWorker extends Follower {
  lend(lease: number, film: PreparedFilm): void;
  accepted(lease: number, frames: number): void;
  rejected(lease: number, error: BitswarmError): void;
  cancelled(lease: number, reason: "answered" | "expired"): void;
  /** Lets it go: its answers were wrong. */
  dismiss(error: BitswarmError): void;
}

export interface FilmOutcome {
  readonly film: string;
  readonly index: number;
  readonly frames: readonly TrackedFrame[];
  readonly worker: string;
  /** A second account, or the operator's own worker, says the same. */
  readonly checked: boolean;
}

export type JobEvent =
  | { readonly type: "lent"; readonly film: string; readonly worker: string }
  | { readonly type: "returned"; readonly film: string; readonly worker: string; readonly detail: string }
  | { readonly type: "failed"; readonly film: string; readonly message: string }
  | { readonly type: "disputed"; readonly film: string; readonly account: string };

export interface FilmJobOptions {
  readonly films: readonly JobFilm[];
  readonly clock: Clock;
  /** Share of the films that two accounts must agree on, 0 to 1. */
  readonly auditShare: number;
  /** In [0, 1). */
  readonly draw: () => number;
  /** Takes what came of a film before its worker is told that it counts. */
  readonly onOutcome: (outcome: FilmOutcome) => Promise<void>;
  readonly onEvent: (event: JobEvent) => void;
}

/** How often is looked for workers that say nothing. */
const LOOK_EVERY_MS = 5_000;

interface Lent {
  readonly index: number;
  readonly worker: FilmWorker;
  /** Boxes so far. */
  readonly frames: TrackedFrame[];
  readonly total: number;
  /** What was heard of it last, by the clock. */
  heardMs: number;
}

function requireSense(frames: readonly TrackedFrame[]): void {
  for (const { box, seconds } of frames) {
    const { x, y, w, h } = box;
    const sound = [x, y, w, h].every((value) => Number.isFinite(value) && Math.abs(value) <= MAX_COORDINATE);
    if (sound && w >= 0 && h >= 0 && Number.isFinite(seconds) && seconds >= 0) continue;
    throw new BitswarmError(
      "MESSAGE_INVALID",
      `a box of ${x}, ${y}, ${w}, ${h} in ${seconds} s came; numbers up to ${MAX_COORDINATE} are due, and no negative side`,
    );
  }
}

export class FilmJob {
  readonly #options: FilmJobOptions;
  readonly #films: FilmState[];
  /** What is over, one way or the other. */
  readonly #over = new Set<number>();
  readonly #failed = new Map<number, string>();
  readonly #lent = new Map<number, Lent>();
  /** Who wants a film, in the order in which they asked. */
  readonly #waiting = new Set<FilmWorker>();
  readonly #workers = new Set<FilmWorker>();
  readonly #banned = new Set<string>();
  readonly #stopLooking: () => void;
  #leases = 0;
  #finish: () => void = () => undefined;
  #frames = 0;
  /** Settles when every film is over, or the job is stopped. Rejects with what an outcome's owner throws. */
  readonly done: Promise<void>;
  #fail: (error: unknown) => void = () => undefined;

  constructor(options: FilmJobOptions) {
    this.#options = options;
    const { films, auditShare, clock, draw } = options;
    this.#films = films.map(({ frames }) => freshFilm(frames, draw() < auditShare));
    this.done = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.done.catch(() => undefined);
    this.#stopLooking = clock.every(LOOK_EVERY_MS, () => this.#look());
    if (films.length === 0) this.#finish();
  }

  /** Films that are over, and all; frames that are said so far. */
  get progress() {
    return {
      over: this.#over.size,
      films: this.#films.length,
      failed: [...this.#failed].map(([index, message]) => ({ film: this.#options.films[index].name, message })),
      frames: this.#frames,
      workers: this.#workers.size,
    };
  }

  /** Whether an account's answers were found wrong. */
  isBanned(account: string): boolean {
    return this.#banned.has(account);
  }

  join(worker: FilmWorker): void {
    this.#workers.add(worker);
  }

  /** A worker is gone: what it had starts anew. */
  leave(worker: FilmWorker): void {
    this.#workers.delete(worker);
    this.#waiting.delete(worker);
    for (const [lease, lent] of [...this.#lent]) if (lent.worker === worker) this.#release(lease);
    this.#settleLone();
    this.#lendAll();
  }

  ready(worker: FilmWorker): void {
    this.#waiting.add(worker);
    this.#lendAll();
  }

  /** Wants none now. */
  pause(worker: FilmWorker): void {
    this.#waiting.delete(worker);
    for (const [lease, lent] of [...this.#lent]) if (lent.worker === worker) this.#release(lease);
    this.#lendAll();
  }

  /** @param fault it could not be followed; else its worker only wants to be free */
  giveBack(worker: FilmWorker, lease: number, fault: boolean, detail: string): void {
    const lent = this.#lent.get(lease);
    // One that was taken away meanwhile is nobody's any more.
    if (lent?.worker !== worker) return;
    const { name } = this.#options.films[lent.index];
    this.#release(lease, fault ? detail : undefined);
    this.#options.onEvent({ type: "returned", film: name, worker: worker.worker, detail });
    this.#judge(lent.index);
    this.#lendAll();
  }

  /**
   * Takes boxes of a lease, which are due in order.
   * @throws MESSAGE_INVALID for boxes without sense, or out of order
   */
  tracked(worker: FilmWorker, lease: number, from: number, frames: readonly TrackedFrame[]): void {
    const lent = this.#lent.get(lease);
    if (lent?.worker !== worker) return;
    if (from !== lent.frames.length || from + frames.length > lent.total) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `boxes of frames ${from} to ${from + frames.length} came; ${lent.frames.length} of ${lent.total} are there: they are due in order`,
      );
    }
    requireSense(frames);
    lent.frames.push(...frames);
    this.#frames += frames.length;
    lent.heardMs = this.#options.clock.now();
    if (lent.frames.length < lent.total) return;
    const { account, own } = worker;
    const answer: Answer = { worker: worker.worker, account, own, frames: lent.frames };
    this.#lent.delete(lease);
    this.#change(lent.index, (film) => ({
      ...film,
      holders: film.holders.filter((holder) => holder.lease !== lease),
      answers: [...film.answers, answer],
    }));
    this.#judge(lent.index, () => worker.accepted(lease, lent.total));
  }

  /** Lends nothing more, and takes no answer. */
  stop(): void {
    this.#stopLooking();
    this.#finish();
  }

  #change(index: number, change: (film: FilmState) => FilmState): void {
    this.#films[index] = change(this.#films[index]);
  }

  #release(lease: number, failure?: string): void {
    const lent = this.#lent.get(lease);
    if (!lent) return;
    this.#lent.delete(lease);
    this.#frames -= lent.frames.length;
    this.#change(lent.index, (film) => ({
      ...film,
      holders: film.holders.filter((holder) => holder.lease !== lease),
      failures: failure === undefined ? film.failures : [...film.failures, failure],
    }));
  }

  #look(): void {
    const now = this.#options.clock.now();
    for (const [lease, lent] of [...this.#lent]) {
      this.#change(lent.index, (film) => ({
        ...film,
        holders: film.holders.map((holder) => (holder.lease === lease ? { ...holder, heardMs: lent.heardMs } : holder)),
      }));
      const silent = silentHolders(this.#films[lent.index], now).some((holder) => holder.lease === lease);
      if (!silent) continue;
      lent.worker.cancelled(lease, "expired");
      this.#release(lease);
    }
    this.#settleLone();
    this.#lendAll();
  }

  /** Films that want a second answer which nobody can give. */
  #settleLone(): void {
    for (const [index, film] of this.#films.entries()) {
      if (this.#over.has(index) || film.answers.length === 0) continue;
      const asked = new Set(film.answers.map(({ account }) => account));
      const others = [...this.#workers].some(({ account, own }) => own || !asked.has(account));
      if (!others) this.#judge(index, undefined, false);
    }
  }

  /** Acts on what came of a film. @param heard tells the worker whose answer it was */
  #judge(index: number, heard: () => void = () => undefined, others = true): void {
    const { films, onEvent, onOutcome } = this.#options;
    const verdict = verdictOf(this.#films[index], others);
    const { name } = films[index];
    if (this.#over.has(index) || verdict.kind === "open") {
      heard();
      return;
    }
    this.#over.add(index);
    for (const [lease, lent] of [...this.#lent]) {
      if (lent.index !== index) continue;
      lent.worker.cancelled(lease, "answered");
      this.#release(lease);
    }
    if (verdict.kind === "failed") {
      this.#failed.set(index, verdict.reason);
      onEvent({ type: "failed", film: name, message: verdict.reason });
      heard();
      this.#end();
      return;
    }
    const { answer, checked, wrong } = verdict;
    for (const account of wrong) this.#ban(account, name);
    onOutcome({ film: name, index, frames: answer.frames, worker: answer.worker, checked }).then(
      () => {
        heard();
        this.#end();
      },
      (error) => this.#fail(error),
    );
  }

  #ban(account: string, film: string): void {
    this.#banned.add(account);
    this.#options.onEvent({ type: "disputed", film, account });
    for (const worker of [...this.#workers]) {
      if (worker.account !== account || worker.own) continue;
      worker.dismiss(
        new BitswarmError(
          "CONTRIBUTION_DISPUTED",
          `others follow the target of ${film} elsewhere than this worker did; its GPU or its program computes something else`,
        ),
      );
    }
  }

  #end(): void {
    if (this.#over.size < this.#films.length) this.#lendAll();
    else this.stop();
  }

  #lendAll(): void {
    for (const worker of [...this.#waiting]) {
      const index = nextFilm(this.#open(), worker);
      if (index === undefined) continue;
      this.#waiting.delete(worker);
      this.#lend(this.#openIndex(index), worker);
    }
  }

  /** Films that are not over, whose places are those of `#openIndex`. */
  #open(): readonly FilmState[] {
    return this.#films.filter((_, index) => !this.#over.has(index));
  }

  #openIndex(place: number): number {
    return this.#films.flatMap((_, index) => (this.#over.has(index) ? [] : [index]))[place];
  }

  #lend(index: number, worker: FilmWorker): void {
    const { films, clock, onEvent } = this.#options;
    const lease = ++this.#leases;
    const now = clock.now();
    const { account, own } = worker;
    const holder = { worker: worker.worker, account, own, lease, heardMs: now };
    this.#change(index, (film) => ({ ...film, holders: [...film.holders, holder] }));
    const lent: Lent = { index, worker, frames: [], total: films[index].frames, heardMs: now };
    this.#lent.set(lease, lent);
    films[index].prepare().then(
      (film) => {
        // Its worker may be gone, or the film over.
        if (!this.#lent.has(lease)) return;
        lent.heardMs = clock.now();
        onEvent({ type: "lent", film: films[index].name, worker: worker.worker });
        worker.lend(lease, film);
      },
      (error) => {
        if (!this.#lent.has(lease)) return;
        this.#release(lease);
        this.#waiting.add(worker);
        this.#giveUp(index, error);
      },
    );
  }

  /** A film whose files cannot be read is nobody's to follow. */
  #giveUp(index: number, error: unknown): void {
    if (this.#over.has(index)) return;
    if (!(error instanceof BitswarmError)) {
      this.#fail(error);
      return;
    }
    this.#over.add(index);
    const message = failureText(error);
    this.#failed.set(index, message);
    this.#options.onEvent({ type: "failed", film: this.#options.films[index].name, message });
    this.#end();
  }
}
