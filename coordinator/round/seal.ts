// When a round ends: with its last sample or, late, with what is there (SPEC.md, L11, L25 and L26).

import { comparisonDue } from "./audits.ts";
import { mayEndEarly } from "./deadline.ts";
import { isLate, isLive, type RoundState } from "./state.ts";

/** Whether the round ends now. Contributions that are being checked are always waited for. */
export function sealDue(now: number, state: RoundState): boolean {
  const { collected, wanted, options, checking } = state;
  if (!isLive(state) || checking > 0) return false;
  if (collected.size >= wanted) return !comparisonDue(now, state);
  if (options.seal === "complete" || !isLate(now, state) || !mayEndEarly(collected.size, wanted)) return false;
  return !comparisonDue(now, state);
}
