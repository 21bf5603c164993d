// How long somebody worked: the time that a pace is measured in. While nobody is there nothing becomes slower.

export class WorkedTime {
  #workedMs = 0;
  /** Since when somebody works; null while nobody does. */
  #since: number | null = null;

  /** Says at each change whether anybody works from now on. @param now milliseconds on a monotonic clock */
  note(now: number, working: boolean): void {
    if (working === (this.#since !== null)) return;
    if (this.#since !== null) this.#workedMs += now - this.#since;
    this.#since = working ? now : null;
  }

  /** Milliseconds since the last take in which somebody worked. */
  take(now: number): number {
    const worked = this.#workedMs + (this.#since === null ? 0 : now - this.#since);
    this.#workedMs = 0;
    if (this.#since !== null) this.#since = now;
    return worked;
  }
}
