// What half-received contributions may take: an upload is announced first, and gets its buffer when there is room for
// it, in all and for the address that it comes from. What is announced is pledged before a byte of it is here, and
// costs the stranger nothing.

/** Of all the memory, what the uploads of one address may take while others wait. */
export const ADDRESS_SHARE = 1 / 4;
/**
 * Of all the memory, what sessions may take that have had nothing accepted: addresses are many, and what they pledge
 * may never come.
 */
export const UNPROVEN_SHARE = 1 / 2;

interface Claim {
  readonly bytes: number;
  readonly granted: () => void;
  /** Who pledges it; undefined for the operator's own workers, which are trusted with all of it. */
  readonly address: string | undefined;
  /** Of a session that has had nothing accepted, when it was granted or, while it waits, now. */
  unproven: () => boolean;
  state: "waiting" | "granted" | "over";
}

/** What a session asks for its uploads. */
export interface UploadRoom {
  /**
   * Calls `granted` at once or, in the order of asking, when others are done. A claim above a whole limit waits until
   * it is alone.
   * @returns gives the bytes back, or the place in the queue; may be called twice
   */
  claim(bytes: number, granted: () => void): () => void;
  /** What came of it was accepted. */
  proven(): void;
}

export class UploadMemory {
  readonly #limitBytes: number;
  readonly #addressLimitBytes: number;
  readonly #unprovenLimitBytes: number;
  readonly #waiting: Claim[] = [];
  readonly #byAddress = new Map<string, number>();
  #usedBytes = 0;
  #unprovenBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
    this.#addressLimitBytes = limitBytes * ADDRESS_SHARE;
    this.#unprovenLimitBytes = limitBytes * UNPROVEN_SHARE;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** The room of one session. @param address undefined where there is no limit but the whole */
  roomFor(address: string | undefined): UploadRoom {
    let proven = address === undefined;
    const unproven = () => !proven;
    return {
      claim: (bytes, granted) => this.#claim({ bytes, granted, address, unproven, state: "waiting" }),
      proven: () => {
        proven = true;
      },
    };
  }

  #claim(claim: Claim): () => void {
    this.#waiting.push(claim);
    this.#grant();
    return () => {
      if (claim.state === "granted") this.#take(claim, -claim.bytes);
      else if (claim.state === "waiting") this.#waiting.splice(this.#waiting.indexOf(claim), 1);
      claim.state = "over";
      this.#grant();
    };
  }

  #take({ address, unproven }: Claim, bytes: number): void {
    this.#usedBytes += bytes;
    if (unproven()) this.#unprovenBytes += bytes;
    if (address === undefined) return;
    const used = this.#usedBy(address) + bytes;
    if (used > 0) this.#byAddress.set(address, used);
    else this.#byAddress.delete(address);
  }

  #usedBy(address: string | undefined): number {
    return address === undefined ? 0 : (this.#byAddress.get(address) ?? 0);
  }

  /**
   * The first in line whose address and whose like have room; nobody passes one that only the whole limit keeps
   * waiting.
   */
  #next(): Claim | undefined {
    const claim = this.#waiting.find(({ address, bytes, unproven }) => {
      const pledged = unproven() ? this.#unprovenBytes : 0;
      if (pledged > 0 && pledged + bytes > this.#unprovenLimitBytes) return false;
      const used = this.#usedBy(address);
      return used === 0 || used + bytes <= this.#addressLimitBytes;
    });
    const fits = this.#usedBytes === 0 || (claim && this.#usedBytes + claim.bytes <= this.#limitBytes);
    return fits ? claim : undefined;
  }

  #grant(): void {
    for (let claim = this.#next(); claim; claim = this.#next()) {
      this.#waiting.splice(this.#waiting.indexOf(claim), 1);
      claim.state = "granted";
      // What it takes is given back as what it was.
      const unproven = claim.unproven();
      claim.unproven = () => unproven;
      this.#take(claim, claim.bytes);
      claim.granted();
    }
  }
}
