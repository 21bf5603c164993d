// What a round waits for, in words: the terminal, the page and `status` show this line, so that a stall explains
// itself.

import { mayEndEarly } from "./deadline.ts";
import { DIVERGED_REPORTS } from "./divergence.ts";
import { allowance } from "./grants.ts";
import type { Lease } from "./lease.ts";
import { speedOf, workforce } from "./roster.ts";
import { isLate, type RoundState } from "./state.ts";

/** Workers named in a reason; the rest are counted. */
const NAMED = 3;
/** A worker that takes this many times what its speed lets expect has stalled. */
const STALLED = 3;

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;

function holding(now: number, { roster }: RoundState, lease: Lease): string {
  const { worker, startedAt, grantedAt, from, to, receivedAt } = lease;
  const member = roster.members.get(worker);
  const elapsed = now - (startedAt ?? grantedAt);
  if (receivedAt !== null) return `${worker} (being checked)`;
  if (member?.suspended) return `${worker} (connection lost, ${seconds(elapsed)})`;
  const speed = member && speedOf(member, roster.phase);
  const stalled = speed !== undefined && elapsed > (STALLED * 1000 * (to - from)) / speed;
  return `${worker} (${stalled ? "stalled " : ""}${seconds(elapsed)})`;
}

function waitedFor(now: number, state: RoundState): string {
  const oldest: Lease[] = [];
  let begun = 0;
  state.leases.forEach((lease) => {
    // Its worker is named for the lease that it computes; nobody waits for a spare.
    if (lease.startedAt === null || lease.purpose === "spare") return;
    begun++;
    if (oldest.length === NAMED && lease.lease > oldest[NAMED - 1].lease) return;
    oldest.push(lease);
    // Numbers are given in the order of granting.
    oldest.sort((a, b) => a.lease - b.lease).splice(NAMED);
  });
  const named = oldest.map((lease) => holding(now, state, lease));
  const more = begun - named.length;
  return named.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function nextTurn(now: number, state: RoundState): string {
  const { since, options, collected, wanted } = state;
  if (since === null || options.seal === "complete") return "";
  if (!isLate(now, state)) return `, seal in ${((since + options.deadlineMs - now) / 1000).toFixed(1)} s`;
  return mayEndEarly(collected.size, wanted) ? "" : ", late, seal with half of the samples";
}

/** Who is idle although there is work: what the operator can do about it is to allow an account more. */
function limited(now: number, state: RoundState): string {
  const { roster, options, unleased } = state;
  if (unleased.length === 0) return "";
  const late = isLate(now, state);
  let idle = 0;
  for (const [, worker] of workforce(roster).idle) {
    const member = roster.members.get(worker);
    if (member && allowance(state, member.account, late) < options.microbatch) idle++;
  }
  if (idle === 0) return "";
  return `, ${idle} idle: an account may have ${Math.round(100 * options.shareLimit)} % of a step (trust.accountWeight)`;
}

/** Who has joined and asked for nothing yet: it compiles its kernels. */
function preparing({ roster }: RoundState): string {
  if (roster.proven.active.count + roster.unproven.active.count === roster.members.size) return "";
  const named: string[] = [];
  let count = 0;
  for (const [worker, { heard, suspended }] of roster.members) {
    if (heard || suspended) continue;
    count++;
    if (named.length < NAMED) named.push(worker);
  }
  if (count === 0) return "";
  const more = count > named.length ? ` and ${count - named.length} more` : "";
  return `, ${named.join(", ")}${more} ${count === 1 ? "prepares" : "prepare"}`;
}

/**
 * For example `62/64 workers, 3980/4096 samples, seal in 1.2 s, waiting for w17 (stalled 9 s)`: working, of those who
 * joined.
 * @param everJoined workers that ever came: whoever waits for the first has another problem than who lost the last
 */
export function roundReason(now: number, state: RoundState, everJoined = 0): string {
  const { phase, roster, collected, wanted, leases } = state;
  const joined = roster.members.size;
  if (phase === "sealed" || phase === "applied") {
    return `${collected.size}/${wanted} samples, ${phase === "sealed" ? "applying" : "committing"}`;
  }
  if (joined === 0) return `waiting for workers: ${everJoined === 0 ? "nobody has joined" : "everybody has left"}`;
  if (phase === "committed") return "between rounds";
  const { reports } = state.notFinite;
  const lost = reports >= DIVERGED_REPORTS ? `, ${reports} gradients were not finite` : "";
  const active = roster.proven.active.count + roster.unproven.active.count;
  const done = `${active}/${joined} workers, ${collected.size}/${wanted} samples${nextTurn(now, state)}${lost}${limited(now, state)}`;
  const coming = preparing(state);
  if (leases.size > state.spares) return `${done}, waiting for ${waitedFor(now, state)}${coming}`;
  if (coming) return `${done}${coming}`;
  return `${done}, waiting for workers: ${joined} joined, none computes`;
}
