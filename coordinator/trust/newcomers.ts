// Newcomers compute a canary before anything that counts, and whose work is audited another now and then: a broken
// driver is found by a sum of which the answer is known, not by the training.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import { type CanaryLayer, canaryAnswer } from "../../shared/model/canary.ts";

/** Who is asked: nobody, everybody but the operator's own, everybody. */
export type CalibrationMode = "off" | "auto" | "always";

export interface NewcomersOptions {
  readonly mode: CalibrationMode;
  /** Of the run's network; called once, when the first newcomer is asked. */
  readonly layers: () => readonly CanaryLayer[];
  readonly clock: Clock;
  /** A u32 that the worker cannot foresee. */
  readonly seed: () => number;
  /** Shaders are compiled for it. */
  readonly timeoutMs: number;
  /** Between two canaries of a worker. */
  readonly againMs: number;
}

/** Between two canaries of workers that are no newcomers: each is about 10 ms of the coordinator's time. */
export const CANARY_EVERY_MS = 1000;

interface Question {
  readonly seed: number;
  readonly askedAt: number;
  readonly stop: () => void;
  /** What the worker asked for meanwhile. */
  held: (() => void) | undefined;
}

export class Newcomers {
  readonly #options: NewcomersOptions;
  readonly #asked = new Map<WorkerId, Question>();
  /** When each was asked last. */
  readonly #lastAsked = new Map<WorkerId, number>();
  #lastAgain = Number.NEGATIVE_INFINITY;
  #layers: readonly CanaryLayer[] | undefined;

  constructor(options: NewcomersOptions) {
    this.#options = options;
  }

  /** Whether a worker has to answer first. @param own the operator's */
  asks(own: boolean): boolean {
    const { mode } = this.#options;
    switch (mode) {
      case "off":
        return false;
      case "auto":
        return !own;
      case "always":
        return true;
      default:
        return mode satisfies never;
    }
  }

  /** The seed of the worker's canary. @param late is told once the time for the answer is over */
  ask(worker: WorkerId, late: (error: BitswarmError) => void): number {
    const { clock, seed: draw, timeoutMs } = this.#options;
    const seed = draw();
    const stop = clock.after(timeoutMs, () => {
      late(failed(`no answer to the calibration came within ${timeoutMs / 1000} s`));
    });
    this.#asked.set(worker, { seed, askedAt: clock.now(), stop, held: undefined });
    this.#lastAsked.set(worker, clock.now());
    return seed;
  }

  /** The seed of another canary for a worker that was asked as a newcomer; none while one is asked, or too soon. */
  askAgain(worker: WorkerId, late: (error: BitswarmError) => void): number | undefined {
    const { clock, againMs } = this.#options;
    const now = clock.now();
    const last = this.#lastAsked.get(worker);
    if (last === undefined || this.#asked.has(worker)) return undefined;
    if (now - last < againMs || now - this.#lastAgain < CANARY_EVERY_MS) return undefined;
    this.#lastAgain = now;
    return this.ask(worker, late);
  }

  /** The seed of a canary that is asked and not answered. */
  pending(worker: WorkerId): number | undefined {
    return this.#asked.get(worker)?.seed;
  }

  /** Does `call` now, or once the worker has answered; a later one replaces it. */
  whenCleared(worker: WorkerId, call: () => void): void {
    const question = this.#asked.get(worker);
    if (question) question.held = call;
    else call();
  }

  /**
   * Checks an answer and lets the worker go on. Returns the milliseconds that it took.
   * @throws CALIBRATION_FAILED for another hash, MESSAGE_INVALID for an answer that nobody waits for
   */
  answer(worker: WorkerId, { seed, hash }: { readonly seed: number; readonly hash: number }): number {
    const question = this.#asked.get(worker);
    if (question?.seed !== seed) {
      throw new BitswarmError("MESSAGE_INVALID", `an answer to canary ${seed} came; none of that seed is asked`);
    }
    this.#layers ??= this.#options.layers();
    if (canaryAnswer(this.#layers, seed) !== hash) {
      throw failed("this GPU's 1-bit sums are not what they are on every other");
    }
    question.stop();
    this.#asked.delete(worker);
    question.held?.();
    return this.#options.clock.now() - question.askedAt;
  }

  forget(worker: WorkerId): void {
    this.#asked.get(worker)?.stop();
    this.#asked.delete(worker);
    this.#lastAsked.delete(worker);
  }
}

function failed(what: string): BitswarmError {
  return new BitswarmError(
    "CALIBRATION_FAILED",
    `${what}: update its driver or the browser, then start again; another device may join meanwhile`,
  );
}
