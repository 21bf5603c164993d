// In place of a GPU: a device whose trainer's gradients are known, and take as long as its volunteer is slow or
// stalled. What a liar does otherwise than an honest volunteer happens here (misdeed.ts), for its session is
// everybody's.

import type { CanaryLayer } from "../../shared/model/canary.ts";
import type { Decoding } from "../../shared/samples/decoding.ts";
import { samplesOf } from "../../shared/wire/lease-ranges.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { DutyCycle } from "../../worker/trainer/duty-cycle.ts";
import type { ComputeDevice, LeaseResult, Trainer } from "../../worker/trainer/trainer-contract.ts";
import type { KnownSum } from "./known-gradient.ts";
import type { Profile } from "./profile.ts";
import type { Misdeed } from "./scenario.ts";
import type { StallSchedule } from "./stall-schedule.ts";
import type { Surroundings } from "./surroundings.ts";
import { virtualContribution } from "./virtual-contribution.ts";
import type { Witness } from "./witness.ts";

export interface KnownTrainerOptions {
  readonly profile: Profile;
  readonly world: Surroundings;
  readonly stalls: StallSchedule;
  readonly witness: Witness;
  /** A lease has begun. */
  readonly begun: () => void;
}

interface Computation {
  readonly lease: LeaseMessage;
  readonly since: number;
  readonly aborted: () => boolean;
  readonly cancel: () => void;
  readonly resolve: (result: LeaseResult | "aborted") => void;
  /** When it will be done at the present share of the time, and what it takes at full speed; where it will be. */
  readonly due?: { readonly at: number; readonly share: number; readonly workMs: number };
}

/** Looks at no sample: a known gradient is a function of positions. */
export const noSamples: Decoding = {
  piecesOf: () => [],
  decode: async () => ({ input: {}, checksum: 0 }),
  close: () => undefined,
};

/** Leases that who answers some of them answers before it keeps one. */
const TEASED = 4;

/** Whether a liar keeps the lease with this number of its own, and never answers it. */
function keeps(misdeed: Misdeed | undefined, lease: number): boolean {
  return misdeed === "tease" ? lease % (TEASED + 1) === 0 : misdeed !== undefined && keepers.includes(misdeed);
}

const keepers: readonly Misdeed[] = ["hoard", "silent", "bounce"];

export class KnownTrainer implements Trainer {
  /** Devices of this world are not lost; their volunteers die instead. */
  readonly lost = new Promise<string>(() => undefined);
  readonly #options: KnownTrainerOptions;
  readonly #held = new Map<ParameterSet, string>();
  readonly #frozen = new Map<string, string>();
  /** The first honest work of each phase, which a `replay` liar sends again and again. */
  readonly #first = new Map<string, KnownSum>();
  #computing: Computation | undefined;
  #busyUntil: number;
  /** Its session's: how much of the time it computes. */
  #duty: DutyCycle | undefined;
  /** Leases that it was lent. */
  #leases = 0;
  #stopped = false;

  constructor(options: KnownTrainerOptions) {
    this.#options = options;
    this.#busyUntil = options.world.timeline.now;
  }

  /** The device whose trainer this is. */
  get device(): ComputeDevice {
    const { world } = this.#options;
    return {
      adapter: { vendor: "simulated", architecture: "", description: "", software: false },
      lost: this.lost,
      createTrainer: (_run, { duty }) => {
        this.#duty = duty;
        return this;
      },
      answerCanary: async (_layers: readonly CanaryLayer[], seed) => world.canary(seed),
      close: () => undefined,
    };
  }

  get computing(): boolean {
    return this.#computing !== undefined;
  }

  /** When it last computed. */
  get busyUntil(): number {
    return this.computing ? this.#options.world.timeline.now : this.#busyUntil;
  }

  loadParameters(set: ParameterSet, hash: string): void {
    this.#held.set(set, hash);
  }

  holds(set: ParameterSet, hash: string): boolean {
    return this.#held.get(set) === hash;
  }

  loadFrozen(network: string, hash: string): void {
    this.#frozen.set(network, hash);
  }

  holdsFrozen(network: string, hash: string): boolean {
    return this.#frozen.get(network) === hash;
  }

  compute(lease: LeaseMessage, _input: unknown, aborted: () => boolean): Promise<LeaseResult | "aborted"> {
    return new Promise((resolve) => {
      if (!this.#stopped) this.#begin(lease, aborted, resolve);
    });
  }

  close(): void {}

  /** Looks whether what is computed is still wanted. */
  look(): void {
    const computing = this.#computing;
    if (!computing?.aborted()) return;
    this.#abandon(computing);
    computing.resolve("aborted");
  }

  /** Computes another share of the time from now on, what it has begun as well. */
  throttled(): void {
    const computing = this.#computing;
    const share = this.#duty?.share;
    if (!computing?.due || share === undefined) return;
    const { due } = computing;
    const { now } = this.#options.world.timeline;
    computing.cancel();
    this.#finishAt(computing, { ...due, share, at: now + ((due.at - now) * due.share) / share });
  }

  /** Is no more, in the middle of whatever it computes. */
  stop(): void {
    this.#stopped = true;
    if (this.#computing) this.#abandon(this.#computing);
  }

  #begin(lease: LeaseMessage, aborted: () => boolean, resolve: (result: LeaseResult | "aborted") => void): void {
    const { profile, stalls, world } = this.#options;
    const { timeline, account, referee, scenario } = world;
    const { misdeed, samplesPerSecond, draws } = profile;
    const since = timeline.now;
    const jitter = Math.exp(scenario.speed.jitter * draws.normal());
    const workMs = ((1000 * samplesOf(lease.ranges)) / samplesPerSecond) * jitter;
    this.#leases++;
    if (keeps(misdeed, this.#leases)) {
      this.#computing = { lease, since, aborted, cancel: () => undefined, resolve };
      this.#options.begun();
      return;
    }
    const share = this.#duty?.share ?? 1;
    const finish = stalls.finish(since, workMs / share);
    for (const { from, to } of finish.stalls) {
      account.stalled(profile, to - from);
      timeline.at(from, "world", () => {
        if (this.#computing?.lease === lease) referee.taken(lease.lease, "stalled");
      });
    }
    this.#finishAt({ lease, since, aborted, resolve }, { at: finish.at, share, workMs });
  }

  #finishAt(computation: Omit<Computation, "cancel">, due: NonNullable<Computation["due"]>): void {
    const { lease, resolve } = computation;
    const { timeline } = this.#options.world;
    const cancel = timeline.at(due.at, "world", () => resolve(this.#finish(lease, due.workMs)));
    this.#computing = { ...computation, cancel, due };
  }

  #finish(lease: LeaseMessage, workMs: number): LeaseResult {
    const { profile, world, witness } = this.#options;
    const { misdeed } = profile;
    this.#over();
    const { phase } = lease;
    const work = { lease, misdeed, before: this.#first.get(phase) };
    const { result, honest, lie } = virtualContribution(work, world);
    if (misdeed === "replay" && !this.#first.has(phase)) this.#first.set(phase, honest);
    if (lie) world.referee.lie(lease.lease, lie, witness.life);
    witness.computed(lease.lease, workMs);
    return result;
  }

  #abandon({ lease, since, cancel }: Computation): void {
    const { world, witness } = this.#options;
    cancel();
    this.#over();
    witness.abandoned(lease.lease, world.timeline.now - since);
  }

  #over(): void {
    this.#computing = undefined;
    this.#busyUntil = this.#options.world.timeline.now;
  }
}
