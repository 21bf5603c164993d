// The frames of a film in order, of which the next are fetched while one is computed.

/** Frames that are on their way or wait. */
export const FRAMES_AHEAD = 8;

export interface FramesAheadOptions {
  /** Of the frames, in order. */
  readonly hashes: readonly string[];
  /** @throws what fetching throws; the signal's reason when aborted */
  readonly fetchFrame: (sha256: string, signal: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>;
}

export class FramesAhead {
  readonly #options: FramesAheadOptions;
  readonly #ending = new AbortController();
  readonly #coming: Promise<Uint8Array<ArrayBuffer>>[] = [];
  #asked = 0;

  constructor(options: FramesAheadOptions) {
    this.#options = options;
    this.#ask();
  }

  #ask(): void {
    const { hashes, fetchFrame } = this.#options;
    while (this.#coming.length < FRAMES_AHEAD && this.#asked < hashes.length) {
      const frame = fetchFrame(hashes[this.#asked++], this.#ending.signal);
      // Whoever takes it hears of it.
      frame.catch(() => undefined);
      this.#coming.push(frame);
    }
  }

  /** The next frame's file; undefined after the last. @throws what fetching it throws */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const frame = this.#coming.shift();
    this.#ask();
    return frame;
  }

  /** Fetches nothing more. */
  close(): void {
    this.#ending.abort(new Error("the film is over"));
  }
}
