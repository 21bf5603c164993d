// Answers to audits that are away, as whoever has them offers them: so many and so many bytes at a time, the newest.

import type { Bulk } from "../cluster/bulk.ts";
import { contentHash } from "../disk/content-hash.ts";

/** Audits of a gateway that are away at a time, and answers for others' that are kept: more stay where they are. */
export const MOST_AWAY = 64;
/** Bytes of such answers. */
export const MOST_AWAY_BYTES = 256 * 2 ** 20;

export class AwayOffers {
  readonly #bulk: Pick<Bulk, "offer" | "withdraw">;
  readonly #mostBytes: number;
  /** Bytes by name, the oldest first. */
  readonly #offers = new Map<string, number>();
  #bytes = 0;

  constructor(bulk: Pick<Bulk, "offer" | "withdraw">, mostBytes = MOST_AWAY_BYTES) {
    this.#bulk = bulk;
    this.#mostBytes = mostBytes;
  }

  /** The newest is offered in any case. */
  offer(name: string, bytes: Uint8Array): { readonly name: string; readonly bytes: number; readonly sha256: string } {
    this.#bulk.offer(name, bytes);
    this.#offers.set(name, bytes.length);
    this.#bytes += bytes.length;
    for (const oldest of this.#offers.keys()) {
      const fits = this.#bytes <= this.#mostBytes && this.#offers.size <= MOST_AWAY;
      if (fits || this.#offers.size === 1) break;
      this.#withdraw(oldest);
    }
    return { name, bytes: bytes.length, sha256: contentHash(bytes) };
  }

  clear(): void {
    for (const name of [...this.#offers.keys()]) this.#withdraw(name);
  }

  #withdraw(name: string): void {
    this.#bulk.withdraw(name);
    this.#bytes -= this.#offers.get(name) ?? 0;
    this.#offers.delete(name);
  }
}
