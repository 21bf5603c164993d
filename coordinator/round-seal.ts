// When a round ends: with its last sample or, late, with what is there (SPEC.md, L11 and L15).

import { mayEndEarly } from "./deadline.ts";
import { isActive } from "./roster.ts";
import { mayCompare } from "./round-grants.ts";
import { isLate, isLive, type RoundState } from "./round-state.ts";

/** Whether the round ends now. Comparisons are waited for until it is late, and contributions that are being checked always. */
export function sealDue(now: number, state: RoundState): boolean {
  const { collected, wanted, options, leases, checking } = state;
  if (!isLive(state)) return false;
  if (collected.size >= wanted) {
    return isLate(now, state) || !(leases.some((lease) => "copy" in lease) || copyDue(state));
  }
  if (options.seal === "complete" || !isLate(now, state) || !mayEndEarly(collected.size, wanted)) return false;
  return checking === 0;
}

/** Whether somebody who takes part may compute a comparison that nobody computes yet. */
function copyDue({ copies, roster }: RoundState): boolean {
  return copies.some((copy) => roster.members.some((member) => isActive(member) && mayCompare(copy, member)));
}
