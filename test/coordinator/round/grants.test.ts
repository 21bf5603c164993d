// How many leases one turn of the event loop grants (SPEC.md, L23): the way of a lease to its worker is what takes a
// turn's time.

import { expect, test } from "vitest";
import { GRANTS_AT_ONCE } from "../../../coordinator/round/grants.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { auditOf, RoundTable } from "../../fixtures/round-table.ts";

const crew = Array.from({ length: 2 * GRANTS_AT_ONCE + 3 }, (_, i) => workerId(`w${i + 1}`));
const wanted = { from: 0, to: 32 * crew.length };
const more = { type: "more" };

test("L23 a turn grants so many leases, whoever else asks in it; the others follow in the order of asking", () => {
  const table = new RoundTable(wanted, crew, { maxMicrobatches: 1 });
  const served = table.grants().map(({ worker }) => worker);
  expect(served).toEqual(crew.slice(0, GRANTS_AT_ONCE));
  expect(table.effects).toContainEqual(more);
  const late = workerId("late");
  table.event({ type: "worker-joined", worker: late });
  table.ready(late);
  expect(table.grants()).toEqual([]);
  expect(table.effects).not.toContainEqual(more);
  while (table.effects.some(({ type }) => type === "more") || served.length < crew.length) {
    table.event({ type: "go-on" });
    expect(table.grants().length).toBeLessThanOrEqual(GRANTS_AT_ONCE);
    served.push(...table.grants().map(({ worker }) => worker));
  }
  expect(served).toEqual(crew);
  expect(table.state.unleased).toEqual([]);
});

test("L23 a copy for an audit is granted in the turn in which it is wanted, and brings no other lease with it", () => {
  const table = new RoundTable(wanted, crew, { maxMicrobatches: 1 });
  const [first] = table.grants();
  const { from, to, account } = first;
  table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [account], 1) });
  const copies = table.grants();
  expect(copies.length).toBeLessThanOrEqual(1);
  expect(copies.every(({ purpose }) => purpose === "audit")).toBe(true);
});
