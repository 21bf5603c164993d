// Whether the training has diverged. Only workers see a gradient that is not finite, and any of them may say so: what
// ends the run is therefore the word of those whose work has counted before, or at the beginning of a worker on the
// coordinator's own machine, and never that of strangers alone.

import type { WorkerId } from "../../shared/base/ids.ts";
import { isActive } from "./roster.ts";
import type { RoundMembers, RoundState } from "./state.ts";

/** Reports of not finite gradients in one round before the run is called diverged. */
export const DIVERGED_REPORTS = 3;

/**
 * Where nobody's work has counted yet, all must have said so for so many times as long as a lease may take, an own
 * worker among them.
 */
export const UNPROVEN_PATIENCE = 10;

export function withReport(now: number, state: RoundState, worker: WorkerId): RoundState {
  const { reports, since, accounts } = state.notFinite;
  const account = state.roster.members.get(worker)?.account ?? worker;
  const notFinite = { reports: reports + 1, since: since ?? now, accounts: new Set(accounts).add(account) };
  return { ...state, notFinite };
}

/** Whether the operator's own are among those who say so. */
export function ownReports({ notFinite, roster }: RoundState): boolean {
  return roster.members.some((member) => member.own && notFinite.accounts.has(member.account));
}

/** The accounts whose work counted in the last round in which any did. */
export function witnessesOf({ samplesByAccount, witnesses }: RoundMembers): ReadonlySet<string> {
  const counted = [...samplesByAccount].flatMap(([account, samples]) => (samples > 0 ? [account] : []));
  return counted.length > 0 ? new Set(counted) : witnesses;
}

/**
 * Whether all who are here, and at least half of those whose work counted last, say that the numbers are lost: nobody
 * could ever answer the range. Where nobody's work has counted yet, time must tell, and whoever started the run:
 * strangers who came first may be liars, and who comes after them honest.
 */
export function hasDiverged(now: number, { notFinite, options, roster, witnesses }: RoundState): boolean {
  const { reports, since, accounts } = notFinite;
  if (reports < DIVERGED_REPORTS || since === null) return false;
  // Where strangers' work can be undone the operator's own need nobody's agreement: a liar would never give it.
  if (options.suspects) {
    let [owns, reported] = [0, 0];
    roster.members.forEach((member) => {
      if (!member.own || !isActive(member)) return;
      owns++;
      if (accounts.has(member.account)) reported++;
    });
    if (owns > 0) return reported === owns;
  }
  if (roster.members.some((member) => isActive(member) && !accounts.has(member.account))) return false;
  if (witnesses.size === 0) {
    const own = roster.members.some((member) => member.own && accounts.has(member.account));
    return own && now - since >= UNPROVEN_PATIENCE * options.timeoutMs;
  }
  const agreed = [...witnesses].filter((account) => accounts.has(account)).length;
  return 2 * agreed >= witnesses.size;
}
