// Who computes the copies that audits compare: an account that is drawn, not the one that asks first, or whoever lies could see
// to it that an accomplice is always there; and none from the address of those who answered already, where others are.

import type { WorkerId } from "../shared/ids.ts";
import { rng } from "../shared/rng.ts";
import { BACKUP_FROM } from "./deadline.ts";
import type { Member, Roster } from "./roster.ts";
import type { CopyDue, CopyWanted, RoundState } from "./round-state.ts";

/** Accounts drawn before an address may be one that has answered, and before anybody may who asks. */
const OTHER_ADDRESS_DRAWS = 24;
const DRAWS = 48;
/** An answer that decides between two is waited for until the round has taken so many times as long as it may. */
export const DISPUTE_PATIENCE = 2;

function drawnAuditor(copy: CopyWanted, { accounts }: Pick<Roster, "accounts">): string | null {
  const draws = rng(copy.draw, "auditor");
  const addresses = copy.not.map((account) => accounts.get(account)?.address ?? null);
  for (let i = 0; i < DRAWS; i++) {
    const [account, { address }] = accounts.drawn(draws.uniform()) ?? ["", { address: null }];
    if (account === "" || copy.not.includes(account)) continue;
    if (i >= OTHER_ADDRESS_DRAWS || address === null || !addresses.includes(address)) return account;
  }
  return null;
}

/** The state with a copy to be computed by an account that is drawn, and a worker of it. */
export function withCopy(
  state: RoundState,
  copy: CopyWanted,
): { readonly state: RoundState; readonly worker: WorkerId | undefined } {
  const auditor = drawnAuditor(copy, state.roster);
  const worker = auditor === null ? undefined : state.roster.accounts.get(auditor)?.newest;
  return { state: { ...state, copies: [...state.copies, { copy, auditor }] }, worker };
}

/** Whether a copy is for this member. */
export function mayCompare({ copy, auditor }: CopyDue, { account }: Pick<Member, "account">): boolean {
  return auditor === null ? !copy.not.includes(account) : auditor === account;
}

/** Towards the end of a round, and where its auditor has gone, a copy is for anybody. */
export function reassigned(now: number, state: RoundState): RoundState {
  const { copies, since, options, roster } = state;
  if (copies.length === 0) return state;
  const ending = since !== null && now >= since + BACKUP_FROM * options.deadlineMs;
  const waits = ({ auditor }: CopyDue) => auditor === null || (!ending && roster.accounts.get(auditor) !== undefined);
  if (copies.every(waits)) return state;
  return { ...state, copies: copies.map((due) => (waits(due) ? due : { ...due, auditor: null })) };
}

/** Whether an account that takes part may compute the copy. */
function canCompare({ copy, auditor }: CopyDue, { accounts }: Roster): boolean {
  if (auditor !== null && accounts.get(auditor) !== undefined) return true;
  return accounts.size > copy.not.filter((account) => accounts.get(account) !== undefined).length;
}

/**
 * Whether the round waits for a comparison: until it is late for any, and as long again for those that decide between two
 * answers, one of which would be in the sum.
 */
export function comparisonDue(now: number, state: RoundState): boolean {
  const { copies, leases, roster, since, options } = state;
  const age = since === null ? 0 : now - since;
  if (age >= DISPUTE_PATIENCE * options.deadlineMs) return false;
  const late = age >= options.deadlineMs;
  const counts = ({ not }: CopyWanted) => !late || not.length > 1;
  if (copies.some((due) => counts(due.copy) && canCompare(due, roster))) return true;
  return leases.some((lease) => "copy" in lease && counts(lease.copy));
}
