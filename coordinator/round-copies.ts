// To whom a range goes that is to be computed once more and compared: to somebody who will not keep the round waiting for it,
// if there is anybody like that.

import { isActive, type Member, speedOf, totalSpeed } from "./roster.ts";
import type { CopyWanted, RoundState } from "./round-state.ts";

/** Of the time that the whole round takes all who are there, what a comparison may last where it begins late. */
const LATE_SHARE = 1 / 16;
/** A member is offered one of so many, the oldest: with ten thousand workers to look at all would take too long. */
const CONSIDERED = 32;

/** Whether a comparison may be this member's. */
function mayCompare(copy: CopyWanted, { account }: Member): boolean {
  return !copy.not.includes(account);
}

/** The most samples that the member will have done, beside what it holds, when the round is done, or a little later. */
function inTime(now: number, { roster, leases, since, wanted }: RoundState, member: Member): number {
  const { total, mean } = totalSpeed(roster.active);
  const roundMs = (1000 * wanted) / total;
  const patienceMs = Math.max((since ?? now) + roundMs - now, LATE_SHARE * roundMs);
  const held = member.leases.reduce((sum, id) => {
    const lease = leases.get(id);
    return lease ? sum + lease.to - lease.from : sum;
  }, 0);
  return ((speedOf(member, roster.kind) ?? mean) * patienceMs) / 1000 - held;
}

/** The comparison that a member is to compute now, if any: one that keeps nobody waiting or, when all else is done, any. */
export function copyFor(now: number, state: RoundState, member: Member): CopyWanted | undefined {
  const most = onlyCopies(state) ? Number.POSITIVE_INFINITY : inTime(now, state, member);
  return state.copies.slice(0, CONSIDERED).find((copy) => mayCompare(copy, member) && copy.to - copy.from <= most);
}

/** Whether all that the round collects is there. */
export function onlyCopies({ collected, wanted }: RoundState): boolean {
  return collected.size >= wanted;
}

/** Whether somebody who takes part may compute a comparison that nobody computes yet. */
export function copyDue({ copies, roster }: RoundState): boolean {
  return copies.some((copy) => roster.members.some((member) => isActive(member) && mayCompare(copy, member)));
}
