// A gateway towards its leader, as a pure function of (now, state, event): which leases it holds, which of them are
// covered, which sums it keeps, and to whose orders it listens. Every order names the leader's epoch and the gateway's
// life: what is of another is nobody's business any more.

import type { IntervalSet, Range } from "../../shared/base/intervals.ts";

/** A lease of the sum that is collected. */
export interface HeldLease extends Range {
  /** Null until the leader, which is a new one, has named it. */
  readonly lease: number | null;
  /** All of it is in the sum. */
  readonly covered: boolean;
}

/** A sum that is whole and may be wanted yet: gateways are the redo log of steps that are on no other disk. */
export interface KeptSum {
  /** Committed steps before it. */
  readonly step: number;
  readonly key: string;
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly samples: number;
  readonly ranges: readonly Range[];
}

/** The round that the leader has announced. */
export interface AnnouncedRound {
  readonly key: string;
  readonly number: number;
  readonly step: number;
}

export interface GatewayState {
  /** `joining` until a leader has leased something or named this life; `closing` while the sum is made whole. */
  readonly phase: "joining" | "open" | "closing";
  readonly epoch: number;
  /** Of this gateway: another each time that it begins anew. */
  readonly life: number;
  /** When a leader was last heard; null before. */
  readonly heardAt: number | null;
  readonly round: AnnouncedRound | null;
  readonly leases: readonly HeldLease[];
  /** The oldest first. */
  readonly kept: readonly KeptSum[];
  /** Since when nobody is there who could compute; null while somebody is. */
  readonly idleSince: number | null;
  /** Since when the sum at hand is collected; null where none is. */
  readonly since: number | null;
  /** An instalment is on its way: the sum at hand is of these ranges, and what else is held waits for the next. */
  readonly shipping: readonly Range[] | null;
}

/** Sums that are kept at most: of those that are on no disk yet, the newest. */
export const MOST_KEPT = 8;
/** Leases that a gateway computes at most: its share of a round in pieces, and those that others gave back. */
export const GATEWAY_ROOM = 64;
/** Nobody has been there for so long: what is held is given back. */
export const IDLE_MS = 1000;

/**
 * A sum that is collected for so long goes up as it is, and what nobody has begun goes on in another: whoever dies
 * takes no more than that along. Each of a round takes twice as long as the one before.
 */
export const INSTALMENT_MS = 15_000;
/** Instalments of a round, which are kept beside the sums of rounds before. */
export const MOST_INSTALMENTS = 4;
/**
 * Pieces that an instalment leaves to the next, the largest: it waits for the others. Each is a lease of its own from
 * then on, and a beat names all leases.
 */
export const MOST_LEFT = 32;

interface Order {
  readonly epoch: number;
  readonly life: number;
}

export type GatewayEvent =
  | ({ readonly type: "open"; readonly epoch: number } & AnnouncedRound)
  | (Order &
      Range & { readonly type: "lease"; readonly round: number; readonly lease: number; readonly adopted: boolean })
  /** Give back what nobody has begun: `notBegun`, as the rounds know. */
  | (Order & { readonly type: "trim"; readonly round: number; readonly notBegun: readonly Range[] })
  | (Order & { readonly type: "need"; readonly round: number })
  /** The leader has given this life up. */
  | (Order & { readonly type: "drop" })
  | { readonly type: "commit"; readonly epoch: number; readonly key: string | null }
  | { readonly type: "stable"; readonly epoch: number; readonly step: number }
  /** Any other sign of a leader. */
  | { readonly type: "heard"; readonly epoch: number }
  /** What volunteers have answered. */
  | { readonly type: "collected"; readonly collected: Pick<IntervalSet, "overlap"> }
  /** The sum that was closed is whole. */
  | { readonly type: "sealed"; readonly sum: KeptSum }
  /** It never will be. */
  | { readonly type: "failed"; readonly notFinite: boolean }
  /** `collected`: samples in the sum at hand; `instalmentMs`: of the round's first, INSTALMENT_MS unless given. */
  | {
      readonly type: "tick";
      readonly workers: number;
      readonly notBegun: readonly Range[];
      readonly collected: number;
      readonly instalmentMs?: number;
    };

export type GatewayEffect =
  /** The sum that is collected, which begins with this if none is, is of these too, or no longer of these. */
  | { readonly type: "extend"; readonly ranges: readonly Range[] }
  | { readonly type: "narrow"; readonly ranges: readonly Range[] }
  /** No more is to come: the sum is made whole. */
  | { readonly type: "close" }
  /** The sum is made whole without what nobody has begun. */
  | { readonly type: "ship"; readonly notBegun: readonly Range[] }
  /** What is collected, if anything is, is given up: without a lease copies may be. */
  | { readonly type: "abandon" }
  /** These sums are kept no longer. */
  | { readonly type: "forget"; readonly names: readonly string[] }
  | { readonly type: "say-covered"; readonly lease: number }
  | ({ readonly type: "say-returned"; readonly lease: number; readonly notFinite: boolean } & Range)
  | { readonly type: "say-state" };

export interface GatewayDecision {
  readonly state: GatewayState;
  readonly effects: readonly GatewayEffect[];
}

export function newGateway(life: number): GatewayState {
  const nothing = { heardAt: null, round: null, leases: [], kept: [], idleSince: null, since: null, shipping: null };
  return { phase: "joining", epoch: 0, life, ...nothing };
}

const none = (state: GatewayState): GatewayDecision => ({ state, effects: [] });
const overlaps = (a: Range, b: Range) => a.from < b.to && b.from < a.to;

/** What of a range lies in none of others, ascending. */
export function outside({ from, to }: Range, others: readonly Range[]): readonly Range[] {
  let parts: readonly Range[] = [{ from, to }];
  for (const other of others) {
    parts = parts.flatMap((part) =>
      [
        { from: part.from, to: Math.min(part.to, other.from) },
        { from: Math.max(part.from, other.to), to: part.to },
      ].filter((rest) => rest.from < rest.to),
    );
  }
  return parts;
}

/** Lives follow one another within 32 bits. */
const nextLife = (life: number) => (life >= 0xffff_ffff ? 1 : life + 1);

/** What follows from an event. Never throws: what does not fit changes nothing. */
export function decideGateway(now: number, before: GatewayState, event: GatewayEvent): GatewayDecision {
  // A leader that was replaced is not listened to.
  if ("epoch" in event && event.epoch < before.epoch) return none(before);
  if ("life" in event && event.life !== before.life) return none(before);
  const state = "epoch" in event ? listening(now, before, event.epoch) : before;
  switch (event.type) {
    case "open":
      return opened(state, event);
    case "lease":
      return leased(now, state, event);
    case "trim":
      return event.round === state.round?.number ? givenBack(state, event.notBegun) : none(state);
    case "need":
      return event.round === state.round?.number ? needed(state) : none(state);
    case "drop": {
      // Sums of the round at hand are others' from now on; those of rounds before may be wanted yet. It joins with its
      // next beat: at once would be a storm where it is dropped again.
      const gone = state.kept.filter(({ key }) => key === state.round?.key);
      const kept = state.kept.filter(({ key }) => key !== state.round?.key);
      const fresh = { ...emptied(state), phase: "joining", life: nextLife(state.life), kept } as const;
      return { state: fresh, effects: [{ type: "abandon" }, ...forgetting(fresh, gone).effects] };
    }
    case "commit":
      // Whatever is still collected of it was left out.
      return event.key !== null && event.key === state.round?.key ? over(state) : none(state);
    case "stable": {
      const gone = state.kept.filter(({ step }) => step < event.step);
      if (gone.length === 0) return none(state);
      return forgetting({ ...state, kept: state.kept.filter(({ step }) => step >= event.step) }, gone);
    }
    case "heard":
      return none(state);
    case "collected":
      return progressed(state, event.collected);
    case "sealed": {
      const kept = [...state.kept, event.sum];
      // Of what is left of a lease the first part goes on under its number, as the leader has it.
      const leases = state.leases.flatMap((held) =>
        outside(held, event.sum.ranges).map((part, i): HeldLease => {
          return { ...part, lease: i === 0 ? held.lease : null, covered: false };
        }),
      );
      const since = leases.length > 0 ? now : null;
      const rest = { leases, since, shipping: null };
      const next = { ...state, phase: "open", ...rest, kept: kept.slice(-MOST_KEPT) } as const;
      const { effects } = forgetting(next, kept.slice(0, -MOST_KEPT));
      return { state: next, effects: [...effects, { type: "say-state" }] };
    }
    case "failed":
      return { state: { ...emptied(state), phase: "open" }, effects: allReturned(state, event.notFinite) };
    case "tick":
      return ticked(now, state, event);
    default:
      return event satisfies never;
  }
}

/** A leader was heard; what another leased has no number until this one has named it. */
function listening(now: number, state: GatewayState, epoch: number): GatewayState {
  if (epoch === state.epoch) return { ...state, heardAt: now };
  const leases = state.leases.map((lease) => ({ ...lease, lease: null }));
  // The rounds of another leader have other numbers.
  const round = state.round && { ...state.round, number: 0 };
  return { ...state, heardAt: now, epoch, leases, round };
}

function opened(state: GatewayState, { key, number, step }: AnnouncedRound): GatewayDecision {
  const round = { key, number, step };
  if (state.round?.key === key) return none({ ...state, round });
  const { state: free, effects } = over(state);
  return { state: { ...free, round }, effects };
}

/** Nothing of the round is collected any more. */
function over(state: GatewayState): GatewayDecision {
  const phase = state.phase === "closing" ? "open" : state.phase;
  return { state: { ...emptied(state), phase }, effects: [{ type: "abandon" }] };
}

/** Holding nothing that is to be collected. */
function emptied(state: GatewayState): GatewayState {
  return { ...state, leases: [], since: null, shipping: null };
}

function forgetting(state: GatewayState, gone: readonly KeptSum[]): GatewayDecision {
  return { state, effects: gone.length > 0 ? [{ type: "forget", names: gone.map(({ name }) => name) }] : [] };
}

function leased(now: number, state: GatewayState, event: Extract<GatewayEvent, { type: "lease" }>): GatewayDecision {
  const { lease, from, to, adopted } = event;
  if (event.round !== state.round?.number || from >= to) return none(state);
  if (adopted) {
    const leases = state.leases.map((held) => {
      return held.lease === null && held.from === from && held.to === to ? { ...held, lease } : held;
    });
    const named = leases.find((held) => held.lease === lease);
    const effects: GatewayEffect[] = named?.covered ? [{ type: "say-covered", lease }] : [];
    return { state: { ...state, phase: state.phase === "joining" ? "open" : state.phase, leases }, effects };
  }
  // What was said twice, or is in a sum already, is held once.
  const known = [...state.leases, ...keptRanges(state)].some((range) => overlaps(range, event));
  const open = state.leases.filter((held) => !held.covered).length;
  if (known || state.phase === "closing" || open >= GATEWAY_ROOM) return none(state);
  const leases = [...state.leases, { lease, from, to, covered: false }];
  const next = { ...state, phase: "open", leases, since: state.since ?? now } as const;
  return { state: next, effects: state.shipping ? [] : [{ type: "extend", ranges: [{ from, to }] }] };
}

function keptRanges({ kept, round }: GatewayState): readonly Range[] {
  return kept.filter(({ key }) => key === round?.key).flatMap(({ ranges }) => ranges);
}

/** Gives back these parts of what it holds. */
function givenBack(state: GatewayState, parts: readonly Range[]): GatewayDecision {
  if (state.phase === "closing") return none(state);
  let { leases } = state;
  const cuts: Range[] = [];
  const returned: GatewayEffect[] = [];
  for (const part of parts) {
    leases = leases.flatMap((held): readonly HeldLease[] => {
      const { lease } = held;
      // Of one that no leader has named nobody would know that it is given back.
      if (lease === null || held.covered || !overlaps(held, part)) return [held];
      const cut = { from: Math.max(held.from, part.from), to: Math.min(held.to, part.to) };
      cuts.push(cut);
      returned.push({ type: "say-returned", lease, ...cut, notFinite: false });
      const [first, second] = [
        { from: held.from, to: cut.from },
        { from: cut.to, to: held.to },
      ].filter(({ from, to }) => from < to);
      if (!first) return [];
      // The leader names what is behind the part anew.
      return second
        ? [
            { ...held, ...first },
            { ...second, lease: null, covered: false },
          ]
        : [{ ...held, ...first }];
    });
  }
  // All of it at once, so that nobody here begins what is about to be another's.
  const effects: GatewayEffect[] = cuts.length > 0 ? [{ type: "narrow", ranges: cuts }, ...returned] : [];
  const left = { ...state, leases };
  return leases.length === 0 && state.leases.length > 0
    ? { state: emptied(state), effects: [...effects, { type: "abandon" }] }
    : { state: left, effects };
}

function needed(state: GatewayState): GatewayDecision {
  if (state.phase === "closing" || state.shipping) return none(state);
  if (state.leases.length === 0) return { state, effects: [{ type: "say-state" }] };
  // What trust has withdrawn since is computed again first; the leader asks again.
  if (!state.leases.every(({ covered }) => covered)) return none(state);
  return { state: { ...state, phase: "closing" }, effects: [{ type: "close" }] };
}

function progressed(state: GatewayState, collected: Pick<IntervalSet, "overlap">): GatewayDecision {
  const effects: GatewayEffect[] = [];
  let changed = false;
  const leases = state.leases.map((held) => {
    const parts = collected.overlap(held);
    const covered = parts.length === 1 && parts[0].from === held.from && parts[0].to === held.to;
    if (covered === held.covered) return held;
    changed = true;
    if (covered && held.lease !== null) effects.push({ type: "say-covered", lease: held.lease });
    return { ...held, covered };
  });
  return changed ? { state: { ...state, leases }, effects } : none(state);
}

function allReturned({ leases }: GatewayState, notFinite: boolean): readonly GatewayEffect[] {
  return leases.flatMap(({ lease, from, to }): readonly GatewayEffect[] => {
    return lease === null ? [] : [{ type: "say-returned", lease, from, to, notFinite }];
  });
}

/** Where nobody is left who could go on, what is held goes to other gateways: what is begun with all that it sums. */
function ticked(now: number, before: GatewayState, event: Extract<GatewayEvent, { type: "tick" }>): GatewayDecision {
  const idleSince = event.workers > 0 ? null : (before.idleSince ?? now);
  const state = { ...before, idleSince };
  const says: GatewayEffect = { type: "say-state" };
  const waits = state.leases.some(({ covered }) => !covered);
  if (idleSince === null || now - idleSince < IDLE_MS || !waits) {
    const left = leavesNow(now, state, event);
    if (!left) return { state, effects: [says] };
    const shipping = state.leases.flatMap((held) => outside(held, left));
    return { state: { ...state, shipping }, effects: [{ type: "ship", notBegun: left }, says] };
  }
  const back = givenBack(state, event.notBegun);
  if (back.state.leases.every(({ covered }) => covered)) return { ...back, effects: [...back.effects, says] };
  const rest = allReturned(back.state, false);
  const effects: readonly GatewayEffect[] = [...back.effects, { type: "abandon" }, ...rest, says];
  const phase = state.phase === "closing" ? "open" : state.phase;
  return { state: { ...emptied(back.state), phase }, effects };
}

/** What the instalment that is due leaves to the next; nothing where none is, or where it would be all there is. */
function leavesNow(
  now: number,
  { phase, since, shipping, kept, round }: GatewayState,
  { notBegun, collected, instalmentMs = INSTALMENT_MS }: Extract<GatewayEvent, { type: "tick" }>,
): readonly Range[] | undefined {
  if (phase !== "open" || since === null || shipping || collected === 0 || notBegun.length === 0) return undefined;
  const before = kept.filter(({ key }) => key === round?.key).length;
  if (before >= MOST_INSTALMENTS || now - since < instalmentMs * 2 ** before) return undefined;
  const size = ({ from, to }: Range) => to - from;
  const largest = [...notBegun].sort((a, b) => size(b) - size(a) || a.from - b.from).slice(0, MOST_LEFT);
  return largest.sort((a, b) => a.from - b.from);
}
