// What a simulated world's volunteers come to: one coordinator, or a leader behind gateways.

import type { Scenario } from "./scenario.ts";
import type { Owner } from "./timeline.ts";
import type { VirtualLink } from "./virtual-link.ts";

export interface VirtualHost {
  /** Starts afresh or, where there is a checkpoint, from it. */
  start(): void;
  /** Dies in the middle of whatever it does. */
  kill(): void;
  /** Lets something befall it. */
  befall(mishap: Scenario["mishaps"][number]): void;
  /** Whose code takes this volunteer's messages. @param seat the volunteer's */
  ownerFor(seat: number): Owner;
  /** Takes a connection from an address; false where nobody listens or there is no room. */
  accept(link: VirtualLink, address: string, seat: number): boolean;
  /** On whose account its time goes now: of several coordinators on the leader's, or a standby's. */
  roleOf(owner: Owner): Owner;
  /** What it serves over HTTP by its hash; undefined where it has none or is down. */
  blob(sha256: string, seat: number): Uint8Array<ArrayBuffer> | undefined;
  /** What the run waits for, in words. */
  readonly reason: string;
}
