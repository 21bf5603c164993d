// When what accounts earned is written: real verdicts and a real file's store, with a clock that the test turns.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/lease.ts";
import { Timeline } from "../../../coordinator/simulate/timeline.ts";
import { RunTrust, SAVE_EVERY_MS } from "../../../coordinator/trust/run-trust.ts";
import { trustFile } from "../../../coordinator/trust/trust-file.ts";
import { leaseId, workerId } from "../../../shared/base/ids.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { plainRound } from "../../fixtures/open-round.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const [one, other] = ["a".repeat(64), "b".repeat(64)];
const work = { samples: 32, scale: 1, peaks: new Uint32Array(1), body: Uint8Array.of(1, 2, 3, 4) };

test("Z13 what accounts earned is written at most once a second, and before the run ends", async () => {
  const timeline = new Timeline();
  const store = trustFile(await scratchFolder());
  let writes = 0;
  const trust = await RunTrust.open({
    store: {
      read: () => store.read(),
      write: (standings) => {
        writes++;
        return store.write(standings);
      },
    },
    config: parseConfig({}).trust,
    norms: new Map(),
    peaks: new Map(),
    clock: timeline.clock("coordinator"),
    draw: () => 0,
    onEvent: () => undefined,
  });
  trust.rounds.open(plainRound);
  let leases = 0;
  /** Two accounts agree on the next range. */
  const confirm = () => {
    const from = 32 * leases;
    const to = from + 32;
    const term = { from, to, grantedAt: 0, startedAt: 0, expires: 1, receivedAt: null, endsAt: null, overdue: false };
    const leaseOf = (account: string) => ({ ...term, lease: leaseId(++leases), worker: workerId(account), account });
    const lease: Lease = { ...leaseOf(one), purpose: "work", twin: null, lent: false };
    const [copy] = trust.rounds.granted(lease);
    trust.rounds.take(lease, work);
    trust.rounds.take({ ...leaseOf(other), purpose: "audit", copy }, work);
  };
  const earned = async () => (await store.read()).standings.get(one)?.consecutiveValid;
  const turn = async () => {
    timeline.next()?.call();
    await new Promise(setImmediate);
  };
  confirm();
  confirm();
  await turn();
  for (let i = 0; i < 8; i++) confirm();
  await turn();
  expect(timeline.now).toBe(SAVE_EVERY_MS);
  expect(timeline.next()).toBeUndefined();
  confirm();
  await trust.saved();
  expect(writes).toBe(3);
  expect(await earned()).toBe(11);
  await trust.saved();
  expect(writes).toBe(3);
});
