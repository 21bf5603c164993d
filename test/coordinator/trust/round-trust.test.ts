// What the rounds are told by trust: pure of sockets, with contributions that are made up.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round-state.ts";
import { type HeldWork, type RoundReader, RoundTrust } from "../../../coordinator/trust/round-trust.ts";
import type { Standing } from "../../../coordinator/trust/standing.ts";
import { leaseId, workerId } from "../../../shared/ids.ts";

const reader: RoundReader = {
  kind: "student",
  codec: "exact",
  era: 0,
  spans: [{ group: "gradient", offset: 0, size: 4, unit: 1 }],
  unitsOf: ({ body }) => Float64Array.from(body),
  accounts: () => 4,
};

function trustOf(standings = new Map<string, Standing>()): RoundTrust {
  return new RoundTrust({
    clip: "auto",
    clipFactor: 1,
    audits: "auto",
    clock: { now: () => 0 },
    draw: () => 0,
    deviceClass: () => "",
    standings,
    onRest: () => undefined,
    onVerdict: () => undefined,
  });
}

const work = (...values: number[]): HeldWork => ({
  samples: 32,
  scale: 1,
  peaks: new Uint32Array(1),
  body: Uint8Array.from(values),
});
const right = work(1, 2, 3, 4);
const wrong = work(4, 3, 2, 1);

let leases = 0;
function leaseOf(account: string, from: number, purpose: "work" | "audit"): Lease {
  const term = {
    lease: leaseId(++leases),
    worker: workerId(account),
    account,
    from,
    to: from + 32,
    grantedAt: 0,
    startedAt: 0,
    expires: 1,
    receivedAt: null,
    endsAt: null,
    overdue: false,
  };
  if (purpose === "work") return { ...term, purpose, twin: null, lent: false };
  return { ...term, purpose, copy: { purpose, from, to: from + 32, not: [] } };
}

test("Z12 an account that is contradicted by its own last answer loses what else of it was held, too", () => {
  const trust = trustOf();
  trust.open(reader);
  const [first, second] = [leaseOf("liar", 0, "work"), leaseOf("liar", 32, "work")];
  for (const lease of [first, second]) trust.granted(lease);
  expect(trust.take(first, wrong).disputed).toBe(false);
  for (const account of ["a", "b"]) trust.take(leaseOf(account, 32, "audit"), right);
  const { disputed, withdrawn, resting } = trust.take(second, wrong);
  expect(disputed).toBe(true);
  expect(withdrawn).toEqual([{ account: "liar", from: 0, to: 32 }]);
  expect(resting).toEqual(["liar"]);
  expect(trust.seal()).toEqual([]);
});
