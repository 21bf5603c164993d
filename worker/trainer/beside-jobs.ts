// What is done beside the leases, one thing after another, in steps: what is urgent comes before what has begun.

import type { Clock } from "../../shared/base/clock.ts";

/** Does a step at each turn, and yields when another job may have one. */
export type BesideJob = AsyncGenerator<void>;

export interface BesideJobOptions {
  /** Before all others. */
  readonly urgent?: boolean;
  /** After each step there is a rest as long as the step. */
  readonly rests?: boolean;
}

export class BesideJobs {
  readonly #clock: Pick<Clock, "now" | "after">;
  readonly #jobs: { readonly job: BesideJob; readonly rests: boolean }[] = [];
  #working = false;
  #pressed = false;
  #wake = () => {};

  constructor(clock: Pick<Clock, "now" | "after">) {
    this.#clock = clock;
  }

  /** Something urgent waits for the step that is under way. */
  get pressed(): boolean {
    return this.#pressed;
  }

  /** A job that throws ends: what it wanted is asked for by whoever needs it. */
  add(job: BesideJob, { urgent = false, rests = false }: BesideJobOptions = {}): void {
    if (urgent) this.#jobs.unshift({ job, rests });
    else this.#jobs.push({ job, rests });
    if (urgent) {
      this.#pressed = true;
      this.#wake();
    }
    if (!this.#working) this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let next = this.#jobs[0]; next; next = this.#jobs[0]) {
      this.#pressed = false;
      const since = this.#clock.now();
      const ended = await next.job.next().then(
        ({ done }) => done,
        () => true,
      );
      if (ended) this.#jobs.splice(this.#jobs.indexOf(next), 1);
      else if (next.rests && next === this.#jobs[0]) await this.#rest(this.#clock.now() - since);
    }
    this.#working = false;
  }

  /** Until it is over, or something urgent comes. */
  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, () => this.#wake());
      this.#wake = () => {
        cancel();
        this.#wake = () => {};
        resolve();
      };
    });
  }
}
