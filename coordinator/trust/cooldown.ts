// Keeps accounts whose work others contradicted from asking for leases until their rest is over; they stay connected
// and are told, without blame.

import type { Clock } from "../../shared/base/clock.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import { newcomer, restMs, type Standing } from "./standing.ts";

/** What the volunteer reads: drivers, overclocking and bit flips are likelier than malice. */
export function restMessage(ms: number): string {
  return `your results differ from others'; the run rests this device for ${Math.round(ms / 1000)} s`;
}

interface Wish {
  call: () => void;
  readonly stop: () => void;
}

export class Cooldown {
  readonly #clock: Clock;
  readonly #standings: ReadonlyMap<string, Standing>;
  readonly #wishes = new Map<WorkerId, Wish>();

  constructor(clock: Clock, standings: ReadonlyMap<string, Standing>) {
    this.#clock = clock;
    this.#standings = standings;
  }

  /** Milliseconds that an account still rests. */
  restMs(account: string): number {
    return restMs(this.#clock.now(), this.#standings.get(account) ?? newcomer);
  }

  /** Does `call` now, or once the account has rested; a later one replaces it. */
  whenRested(worker: WorkerId, account: string, call: () => void): void {
    const wish = this.#wishes.get(worker);
    if (wish) {
      wish.call = call;
      return;
    }
    const ms = this.restMs(account);
    if (ms === 0) {
      call();
      return;
    }
    const stop = this.#clock.after(ms, () => {
      const { call: due } = this.#wishes.get(worker) ?? { call: () => undefined };
      this.#wishes.delete(worker);
      this.whenRested(worker, account, due);
    });
    this.#wishes.set(worker, { call, stop });
  }

  forget(worker: WorkerId): void {
    this.#wishes.get(worker)?.stop();
    this.#wishes.delete(worker);
  }
}
