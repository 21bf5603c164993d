// How fast things go: frames a second, and how fast a film may play so that its target does not run away.

/** Newest times that count. */
const MOST_TIMES = 20;
/** Frames of a film's second that are to be looked at: between two, a target must stay in what is searched. */
const WANTED = 12;
/** Browsers play a film no slower than that. */
const SLOWEST = 0.0625;

export class Pace {
  #times: number[] = [];

  /** @param at when a frame was done, in milliseconds */
  add(at: number): void {
    this.#times = [...this.#times, at].slice(-MOST_TIMES);
  }

  clear(): void {
    this.#times = [];
  }

  /** Frames a second; undefined before there are two. */
  get perSecond(): number | undefined {
    const [first] = this.#times;
    const last = this.#times.at(-1);
    if (first === undefined || last === undefined || last <= first) return undefined;
    return (1000 * (this.#times.length - 1)) / (last - first);
  }
}

/** Of 1, its own speed: in steps of two, so that it does not change all the time. */
export function playRate(perSecond: number | undefined): number {
  if (perSecond === undefined || perSecond >= WANTED) return 1;
  const steps = Math.ceil(Math.log2(WANTED / Math.max(perSecond, WANTED * SLOWEST)));
  return 2 ** -steps;
}
