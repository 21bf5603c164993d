// Who leads, decided from what the store says and when (SCALE §3): pure, so that every order of events can be tried.
// The lease is a hint, the fence is the head's revision: a leader that cannot renew its lease goes on, and only a
// refused swap ends it.

import { z } from "zod";

/** A leader renews its lease so often. */
export const BEAT_EVERY_MS = 400;
/** A standby takes over once the lease has had one revision for so long on the standby's own clock. */
export const TAKE_OVER_MS = 2500;
/** Between two looks the store must have answered at least so often, or the silence is not the leader's. */
export const LOOK_EVERY_MS = 250;

const counting = z.number().int().min(0);

/** What is at the key `lease`. */
export const leaseValueSchema = z.strictObject({
  /** Empty where it let go. */
  leader: z.string(),
  epoch: counting,
  /** Another each time, so that no two values are the same. */
  beat: counting,
  /** The run has come to its end: whoever has no copy of it needs none. */
  over: z.boolean().optional(),
  /** Whoever runs it had it stopped: those who stand by end, too. */
  stopped: z.boolean().optional(),
});
export type LeaseValue = z.output<typeof leaseValueSchema>;

/** The run has come to its end, and nobody leads it on since. */
export function isOver({ over = false, leader }: LeaseValue): boolean {
  return over && leader === "";
}

/** What is at the key `head`: the newest committed record, whole. */
export const headValueSchema = z.strictObject({
  leader: z.string(),
  epoch: counting,
  /** Records of the log, this one included. */
  length: counting,
  /** Committed steps, that of the record included. */
  step: counting,
  /** The record's line of the log, its hash and that of the line before; empty before the first. */
  line: z.string(),
  chain: z.string(),
  before: z.string(),
  /** Another each time that the head is only fenced. */
  fenced: counting,
});
export type HeadValue = z.output<typeof headValueSchema>;

/** What a standby knows of the lease. */
export interface Watched {
  /** Of the lease as it was last read; 0 where none is there. */
  readonly revision: number;
  readonly epoch: number;
  /** Since when it has been that revision, counted only while the store answered. */
  readonly silentMs: number;
  /** When the store last answered. */
  readonly answeredAt: number;
}

export type StandbyState =
  | { readonly state: "loading"; readonly watched: Watched | null }
  | { readonly state: "following"; readonly watched: Watched | null }
  | { readonly state: "candidate"; readonly watched: Watched };

export interface Look {
  readonly now: number;
  /** What the store said of the lease; null where nothing is there, "silent" where there was no answer. */
  readonly lease: { readonly revision: number; readonly epoch: number; readonly leader: string } | null | "silent";
  /** It has applied all that it knows to be committed. */
  readonly caughtUp: boolean;
}

/** A standby after a look at the lease. */
export function watchLease(before: StandbyState, { now, lease, caughtUp }: Look): StandbyState {
  const at = caughtUp ? "following" : "loading";
  const { watched: known } = before;
  // Whoever cannot ask counts no silence: it may be cut off itself.
  if (lease === "silent") return { state: at, watched: known && { ...known, answeredAt: now } };
  const revision = lease?.revision ?? 0;
  const epoch = Math.max(lease?.epoch ?? 0, known?.epoch ?? 0);
  // Its leader let go of it.
  const released = lease?.leader === "";
  if (known?.revision !== revision) return { state: at, watched: { revision, epoch, silentMs: 0, answeredAt: now } };
  // A clock that stood still with its process counts no more than a few looks.
  const passed = Math.min(now - known.answeredAt, 2 * LOOK_EVERY_MS);
  const watched = { revision, epoch, silentMs: known.silentMs + passed, answeredAt: now };
  // Where nobody ever led nobody is waited for; where the store lost the lease its leader makes it anew.
  if (caughtUp && (epoch === 0 || released || watched.silentMs >= TAKE_OVER_MS)) return { state: "candidate", watched };
  return { state: at, watched };
}
