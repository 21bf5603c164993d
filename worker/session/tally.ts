// What this worker has given to a run: accepted samples and its present speed.

/** Weight of the newest lease in the speed: about the last six leases count. */
const SMOOTHING = 0.3;

export interface Contributed {
  readonly samples: number;
  readonly leases: number;
  readonly samplesPerSecond: number;
}

export class Tally {
  #given: Contributed = { samples: 0, leases: 0, samplesPerSecond: 0 };

  get given(): Contributed {
    return this.#given;
  }

  /** Counts an accepted lease. `seconds`: from its arrival until its contribution was sent. */
  add(samples: number, seconds: number): Contributed {
    const speed = samples / Math.max(seconds, 1e-3);
    const { leases, samplesPerSecond } = this.#given;
    this.#given = {
      samples: this.#given.samples + samples,
      leases: leases + 1,
      samplesPerSecond: leases === 0 ? speed : samplesPerSecond + SMOOTHING * (speed - samplesPerSecond),
    };
    return this.#given;
  }
}
