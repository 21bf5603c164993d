// Error feedback that a worker keeps from lease to lease (shared/codecs/sign.ts): what its signs could not say, for
// each phase.

interface Held {
  era: number;
  readonly values: Float32Array<ArrayBuffer>;
}

export class Residuals {
  readonly #held = new Map<string, Held>();

  /**
   * The residual of `elements` coded values, to be written in place. It starts at zero, and does so again in each new
   * era: a run that is resumed from a checkpoint and the run that went on past it then make the same steps.
   * @param key names a layout: the phase
   */
  of(key: string, elements: number, era: number): Float32Array<ArrayBuffer> {
    const held = this.#held.get(key);
    if (held?.values.length !== elements) {
      const values = new Float32Array(elements);
      this.#held.set(key, { era, values });
      return values;
    }
    if (held.era !== era) {
      held.values.fill(0);
      held.era = era;
    }
    return held.values;
  }

  /**
   * What a contribution that did not count took out of its gradients must not be made up for: others compute them
   * again.
   */
  forget(key: string): void {
    this.#held.get(key)?.values.fill(0);
  }
}
