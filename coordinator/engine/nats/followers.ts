// The leader's side of standbys: what one begins with, the sums of what is committed since, and what they missed of it.
// Only while somebody follows is anything of that made.

import { createHash } from "node:crypto";
import type { Clock } from "../../../shared/base/clock.ts";
import type { Bulk } from "../../cluster/bulk.ts";
import type { Bus } from "../../cluster/bus.ts";
import { decode, encode, type Payload } from "../../cluster/messages.ts";
import type { Subjects } from "../../cluster/subjects.ts";
import type { RoundTerms } from "../../gateway/round-key.ts";
import type { RunKeeping } from "../run-keeping.ts";
import type { Committed } from "./cluster-log.ts";

type Commit = Payload<"commit">;
type Frame = NonNullable<Commit["sum"]>;

/** Nobody that has said nothing for so long follows. */
const FORGET_MS = 10_000;
/** Bytes of sums that are kept for standbys: whoever is further behind begins anew. */
export const MOST_KEPT_BYTES = 512 * 2 ** 20;
/** What a standby lacks is said again at most so often, and so many records at once. */
const AGAIN_MS = 400;
const MOST_AGAIN = 16;
const SETTLED_LOOK_MS = 50;

export interface FollowersOptions {
  readonly bus: Bus;
  readonly bulk: Bulk;
  readonly subjects: Subjects;
  readonly id: string;
  readonly epoch: number;
  readonly run: string;
  readonly clock: Clock;
  readonly keeping: RunKeeping;
  /** A checkpoint that is as new as the log is wanted. */
  readonly wantCheckpoint: () => void;
}

interface Follower {
  heard: number;
  /** Records in its parameters: their sums it needs no more. */
  applied: number;
  saidAgain: number;
}

interface Kept {
  readonly commit: Commit;
  readonly bytes: number;
}

/** The round that a step was made of. */
export interface CommittedRound {
  readonly key: string;
  readonly terms: RoundTerms;
}

/** The newest checkpoint, and how many records lead to it. */
export interface CheckpointPlace {
  readonly folder: string;
  readonly length: number;
  readonly step: number;
}

export class Followers {
  readonly #options: FollowersOptions;
  readonly #followers = new Map<string, Follower>();
  readonly #kept = new Map<number, Kept>();
  #checkpoint: CheckpointPlace | undefined;
  /** What is offered of it, where somebody asked. */
  #offer:
    | { readonly of: CheckpointPlace; readonly names: readonly string[]; readonly state: Promise<unknown> }
    | undefined;
  #stable = 0;
  readonly #stop: (() => void)[] = [];

  constructor(options: FollowersOptions) {
    const { bus, subjects } = options;
    this.#options = options;
    const hear = (subject: string, take: (data: Uint8Array, reply?: (data: Uint8Array) => void) => void) => {
      this.#stop.push(bus.subscribe(subject, ({ data, reply }) => take(data, reply)));
    };
    hear(subjects.toAll("follows"), (data) => this.#follows(data));
    hear(subjects.toAll("load"), (data, reply) => reply && void this.#load(data, reply));
    hear(subjects.toAll("about"), (data, reply) => reply && this.#about(data, reply));
  }

  /** Whether sums are to be made for anybody. */
  get any(): boolean {
    const now = this.#options.clock.now();
    for (const [id, { heard }] of this.#followers) if (now - heard > FORGET_MS) this.#followers.delete(id);
    return this.#followers.size > 0;
  }

  /** Resolves once all that follow have so many records in their parameters; after so long anyway. */
  async settled(length: number, mostMs: number): Promise<void> {
    const { clock } = this.#options;
    const until = clock.now() + mostMs;
    while (this.any && clock.now() < until) {
      if ([...this.#followers.values()].every(({ applied }) => applied >= length)) return;
      await new Promise<void>((resolve) => void clock.after(SETTLED_LOOK_MS, resolve));
    }
  }

  /** The newest checkpoint is another. */
  checkpointed(place: CheckpointPlace): void {
    this.#checkpoint = place;
    this.#drop();
    this.#isStable(place.step);
  }

  /** A step lies with somebody else, or on the disk: sums up to it are kept by nobody. */
  #isStable(step: number): void {
    const { bus, subjects, epoch } = this.#options;
    if (step <= this.#stable) return;
    this.#stable = step;
    bus.publish(subjects.toAll("stable"), encode("stable", { epoch, life: 0, step }));
  }

  /** Tells everybody what is committed, and keeps it for whoever does not hear it. */
  committed(committed: Committed, round: CommittedRound | null, sum?: Uint8Array, aside?: Uint8Array): void {
    const { epoch, id, bulk } = this.#options;
    const { length, step, chain, before, line } = committed;
    const offered = (name: string, bytes: Uint8Array | undefined): Frame | null => {
      if (!bytes) return null;
      bulk.offer(name, bytes);
      return { name, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
    };
    const commit: Commit = {
      epoch,
      life: 0,
      leader: id,
      length,
      step,
      chain,
      before,
      line,
      key: round?.key ?? null,
      terms: round?.terms ?? null,
      sum: offered(`sum.${epoch}.${length}`, sum),
      aside: offered(`aside.${epoch}.${length}`, aside),
    };
    if (this.any) this.#kept.set(length, { commit, bytes: (sum?.length ?? 0) + (aside?.length ?? 0) });
    this.#drop();
    this.#tell(commit);
  }

  #tell(commit: Commit): void {
    const { bus, subjects } = this.#options;
    bus.publish(subjects.toAll("commit"), encode("commit", commit));
  }

  /** Sums that nobody needs any more: all that follow have them, and the newest checkpoint too. */
  #drop(): void {
    const applied = [...this.#followers.values()].map((follower) => follower.applied);
    const had = Math.min(this.#checkpoint?.length ?? 0, ...applied);
    let bytes = [...this.#kept.values()].reduce((sum, kept) => sum + kept.bytes, 0);
    for (const [length, kept] of this.#kept) {
      if (length > had && this.any && bytes <= MOST_KEPT_BYTES) break;
      bytes -= kept.bytes;
      this.#forget(length, kept);
    }
  }

  #forget(length: number, { commit }: Kept): void {
    const { bulk } = this.#options;
    for (const frame of [commit.sum, commit.aside]) if (frame) bulk.withdraw(frame.name);
    this.#kept.delete(length);
  }

  #follows(data: Uint8Array): void {
    const { clock } = this.#options;
    const message = decode("follows", data);
    if (!message) return;
    const now = clock.now();
    const { standby, length, applied, step } = message;
    const known = this.#followers.get(standby) ?? { heard: now, applied, saidAgain: 0 };
    this.#followers.set(standby, Object.assign(known, { heard: now, applied }));
    this.#isStable(step);
    this.#drop();
    if (now - known.saidAgain < AGAIN_MS) return;
    known.saidAgain = now;
    for (let missing = length + 1; missing <= length + MOST_AGAIN; missing++) {
      const kept = this.#kept.get(missing);
      if (kept) this.#tell(kept.commit);
    }
  }

  /** What a standby begins with; null until there is a checkpoint with nothing committed after it that has no sum. */
  async #load(data: Uint8Array, reply: (data: Uint8Array) => void): Promise<void> {
    const { epoch, id, clock, wantCheckpoint } = this.#options;
    const message = decode("load", data);
    if (!message) return;
    const now = clock.now();
    const { standby } = message;
    const place = this.#checkpoint;
    // From now on sums are kept for it, even though it has nothing yet.
    this.#followers.set(standby, { heard: now, applied: place?.length ?? 0, saidAgain: now });
    if (!place || !this.#leadsToNow(place.length)) {
      wantCheckpoint();
      reply(encode("state", { epoch, leader: id, state: null }));
      return;
    }
    if (this.#offer?.of !== place) this.#makeOffer(place);
    const state = await this.#offer?.state.catch(() => null);
    reply(encode("state", { epoch, leader: id, state: (state ?? null) as Payload<"state">["state"] }));
  }

  /** Whether all that was committed since is kept, with its sum. */
  #leadsToNow(length: number): boolean {
    const { log } = this.#options.keeping;
    for (let next = length + 1; next <= log.length; next++) {
      const kept = this.#kept.get(next);
      if (!kept || (kept.commit.terms && !kept.commit.sum)) return false;
    }
    return true;
  }

  #makeOffer(place: CheckpointPlace): void {
    const { bulk, keeping } = this.#options;
    for (const name of this.#offer?.names ?? []) bulk.withdraw(name);
    const names: string[] = [];
    const offered = (name: string, bytes: Uint8Array): Frame => {
      names.push(name);
      bulk.offer(name, bytes);
      return { name, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
    };
    const state = keeping.copy(place.folder, place.length).then(({ step, log, files }) => ({
      step,
      length: place.length,
      log: offered(`log.${place.length}`, log),
      files: [...files].map(([name, bytes]) => offered(`checkpoint.${place.length}.${name}`, bytes)),
    }));
    this.#offer = { of: place, names, state };
  }

  #about(data: Uint8Array, reply: (data: Uint8Array) => void): void {
    const { epoch, id, run, keeping } = this.#options;
    if (decode("about", data)) reply(encode("run", { epoch, leader: id, run, ...keeping.about }));
  }

  close(): void {
    const { bulk } = this.#options;
    for (const stop of this.#stop) stop();
    for (const [length, kept] of this.#kept) this.#forget(length, kept);
    for (const name of this.#offer?.names ?? []) bulk.withdraw(name);
  }
}
