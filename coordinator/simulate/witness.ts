// What the simulation knows of a volunteer's leases: read off the messages that reach it and leave it, and told by its
// trainer.

import { unpack } from "msgpackr";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import type { CoordinatorMessage, WorkerMessage } from "../../shared/wire/protocol.ts";
import type { Waste } from "./account.ts";
import type { Profile } from "./profile.ts";
import type { Loss } from "./recoveries.ts";
import type { Surroundings } from "./surroundings.ts";

/** The same bytes go to many: a status. */
const known = new WeakMap<Uint8Array, CoordinatorMessage | WorkerMessage>();

/** As msgpack alone reads it, for whoever it is meant for checks it; nothing where nobody can read it. */
function saidIn(bytes: Uint8Array): CoordinatorMessage | WorkerMessage | undefined {
  const before = known.get(bytes);
  if (before) return before;
  try {
    const message = unpack(bytes) as CoordinatorMessage | WorkerMessage;
    known.set(bytes, message);
    return message;
  } catch {
    return undefined;
  }
}

export class Witness {
  readonly #profile: Profile;
  readonly #world: Surroundings;
  /** Leases without a verdict, and how long each was computed; 0 until that is done. */
  readonly #held = new Map<number, number>();
  /** Why leases came to nothing that may still be computed. */
  readonly #ended = new Map<number, Waste>();
  #life = 0;

  constructor(profile: Profile, world: Surroundings) {
    this.#profile = profile;
    this.#world = world;
  }

  /** The coordinator's life that the session is of. */
  get life(): number {
    return this.#life;
  }

  /** The volunteer is about to take these bytes. */
  hears(bytes: Uint8Array): void {
    if (isFrame(bytes) || isChunk(bytes)) return;
    const message = saidIn(bytes);
    switch (message?.type) {
      // A session begins; where one went before, its leases are others'.
      case "welcome":
        this.forget();
        this.#life = this.#world.referee.life;
        return;
      case "lease":
        this.#held.set(message.lease, 0);
        return;
      case "rejected":
        this.#world.referee.rejected(this.#profile, message.code, message.message);
        this.#settled(message.lease, "late");
        return;
      case "cancel":
        this.#settled(message.lease, message.reason === "answered" ? "repeated" : "late");
        return;
      case "accepted":
        this.#settled(message.lease, undefined);
        return;
      default:
        return;
    }
  }

  /** The volunteer says these bytes. */
  says(bytes: Uint8Array): void {
    if (isFrame(bytes) || isChunk(bytes)) return;
    const message = saidIn(bytes);
    if (message?.type === "return") this.#settled(message.lease, "lost");
    if (message?.type === "need" && !this.#world.evil)
      this.#world.referee.violation(`a change of ${message.set} came to a worker that does not hold its base`);
  }

  /** The trainer is done with a lease. */
  computed(lease: number, ms: number): void {
    this.#world.account.computed(this.#profile, ms);
    if (this.#held.has(lease)) this.#held.set(lease, ms);
    else this.#wasted(lease, ms);
  }

  /** The trainer gave a lease up after so long. */
  abandoned(lease: number, ms: number): void {
    this.#world.account.computed(this.#profile, ms);
    this.#wasted(lease, ms);
  }

  /** Leases without a verdict are not answered for now. */
  missed(cause: Loss["cause"]): void {
    for (const lease of this.#held.keys()) this.#world.referee.taken(lease, cause);
  }

  /** All without a verdict comes to nothing. */
  forget(): void {
    for (const ms of this.#held.values()) this.#world.account.wasted(this.#profile, ms, "lost");
    this.#held.clear();
    this.#ended.clear();
  }

  #settled(lease: number, waste: Waste | undefined): void {
    const ms = this.#held.get(lease);
    if (ms === undefined) return;
    this.#held.delete(lease);
    if (waste === undefined) return;
    if (ms > 0) this.#world.account.wasted(this.#profile, ms, waste);
    else this.#ended.set(lease, waste);
  }

  #wasted(lease: number, ms: number): void {
    this.#world.account.wasted(this.#profile, ms, this.#ended.get(lease) ?? "lost");
    this.#held.delete(lease);
    this.#ended.delete(lease);
  }
}
