// The leases of a virtual volunteer: the one that it computes by letting virtual time pass, the one that it goes on with, and those
// whose verdict it awaits.

import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { Waste } from "./account.ts";
import type { KnownSum } from "./known-gradient.ts";
import type { Profile } from "./profile.ts";
import type { StallSchedule } from "./stall-schedule.ts";
import type { Surroundings } from "./surroundings.ts";
import { virtualContribution } from "./virtual-contribution.ts";

interface Computation {
  readonly lease: LeaseMessage;
  readonly since: number;
  readonly stop: () => void;
}

export interface WorkbenchOptions {
  readonly profile: Profile;
  readonly world: Surroundings;
  readonly stalls: StallSchedule;
  /** Names the run in frames. */
  readonly runTag: () => string;
  /** The coordinator's life that the session is of. */
  readonly life: () => number;
  /** A lease is computed; its verdict is awaited from now on. */
  readonly handIn: (lease: number, frame: Uint8Array<ArrayBuffer>) => void;
}

export class Workbench {
  readonly #options: WorkbenchOptions;
  #computing: Computation | undefined;
  #next: LeaseMessage | undefined;
  /** Leases whose contribution has no verdict yet, in the order of handing in, and how long each was computed. */
  readonly #sent = new Map<number, number>();
  /** The first honest work of each phase, which a `replay` liar sends again and again. */
  readonly #first = new Map<string, KnownSum>();

  constructor(options: WorkbenchOptions) {
    this.#options = options;
  }

  get computing(): boolean {
    return this.#computing !== undefined;
  }

  /** Those without a verdict, whatever becomes of them. */
  get leases(): readonly number[] {
    const working = [this.#computing?.lease, this.#next].flatMap((lease) => lease?.lease ?? []);
    return [...this.#sent.keys(), ...working];
  }

  awaits(lease: number): boolean {
    return this.#sent.has(lease);
  }

  /** Begins a lease, or keeps it for later; false where there are two already. */
  take(lease: LeaseMessage): boolean {
    if (this.#computing && this.#next) return false;
    if (this.#computing) this.#next = lease;
    else this.#start(lease);
    return true;
  }

  /** There is a verdict on what was sent, or the lease was taken away; `waste` says why it came to nothing, if it did. */
  settled(lease: number, waste: Waste | undefined): void {
    const computing = this.#computing;
    this.#forgotten(lease, waste);
    if (this.#next?.lease === lease) this.#next = undefined;
    if (computing?.lease.lease !== lease) return;
    this.#abandon(computing, waste);
    this.#goOn();
  }

  /** All of it comes to nothing. */
  clear(): void {
    if (this.#computing) this.#abandon(this.#computing, "lost");
    this.#next = undefined;
    for (const lease of [...this.#sent.keys()]) this.#forgotten(lease, "lost");
  }

  /** No verdict is awaited any more. */
  #forgotten(lease: number, waste: Waste | undefined): void {
    const { profile, world } = this.#options;
    if (waste) world.account.wasted(profile, this.#sent.get(lease) ?? 0, waste);
    this.#sent.delete(lease);
  }

  #abandon({ since, stop }: Computation, waste: Waste | undefined): void {
    const { profile, world } = this.#options;
    const ms = world.timeline.now - since;
    stop();
    world.account.computed(profile, ms);
    if (waste) world.account.wasted(profile, ms, waste);
    this.#computing = undefined;
  }

  #goOn(): void {
    const next = this.#next;
    this.#next = undefined;
    if (next) this.#start(next);
  }

  #start(lease: LeaseMessage): void {
    const { profile, stalls, world } = this.#options;
    const { timeline, account, referee, scenario } = world;
    const { misdeed, samplesPerSecond, draws } = profile;
    const samples = lease.to - lease.from;
    const workMs = ((1000 * samples) / samplesPerSecond) * Math.exp(scenario.speed.jitter * draws.normal());
    const since = timeline.now;
    if (misdeed === "hoard") {
      this.#computing = { lease, since, stop: () => undefined };
      return;
    }
    const finish = stalls.finish(since, workMs);
    for (const { from, to } of finish.stalls) {
      account.stalled(profile, to - from);
      timeline.at(from, "world", () => {
        if (this.#computing?.lease === lease) referee.taken(lease.lease, "stalled");
      });
    }
    const stop = timeline.at(finish.at, "world", () => this.#handIn(lease, workMs));
    this.#computing = { lease, since, stop };
  }

  #handIn(lease: LeaseMessage, workMs: number): void {
    const { profile, world, runTag, life, handIn } = this.#options;
    const { misdeed } = profile;
    this.#computing = undefined;
    world.account.computed(profile, workMs);
    const { phase } = lease;
    const work = { lease, misdeed, runTag: runTag(), before: this.#first.get(phase) };
    const { frame, honest, lie } = virtualContribution(work, world);
    if (misdeed === "replay" && !this.#first.has(phase)) this.#first.set(phase, honest);
    if (lie) world.referee.lie(lease.lease, lie, life());
    this.#sent.set(lease.lease, workMs);
    handIn(lease.lease, frame);
    this.#goOn();
  }
}
