// What half-received contributions may take together: an upload is announced first, and gets its buffer when there is room for it.

interface Claim {
  readonly bytes: number;
  readonly granted: () => void;
  state: "waiting" | "granted" | "over";
}

export class UploadMemory {
  readonly #limitBytes: number;
  readonly #waiting: Claim[] = [];
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Calls `granted` at once or, in the order of asking, when others are done. A claim above the whole limit waits until it is alone.
   * @returns gives the bytes back, or the place in the queue; may be called twice
   */
  claim(bytes: number, granted: () => void): () => void {
    const claim: Claim = { bytes, granted, state: "waiting" };
    this.#waiting.push(claim);
    this.#grant();
    return () => {
      if (claim.state === "granted") this.#usedBytes -= bytes;
      else if (claim.state === "waiting") this.#waiting.splice(this.#waiting.indexOf(claim), 1);
      claim.state = "over";
      this.#grant();
    };
  }

  #grant(): void {
    for (let head = this.#waiting[0]; head; head = this.#waiting[0]) {
      if (this.#usedBytes > 0 && this.#usedBytes + head.bytes > this.#limitBytes) return;
      this.#waiting.shift();
      head.state = "granted";
      this.#usedBytes += head.bytes;
      head.granted();
    }
  }
}
