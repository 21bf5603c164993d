// A coordinator that is resumed asks for the same step again, perhaps in other pieces: under the old numbers an answer
// to a lease from before its restart was taken for one to the lease of that number.

import { expect, test } from "vitest";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { frameOf, honestContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import { calmRun, startTestRun, stepHashes, workToTheEnd } from "../../fixtures/test-run.ts";

test("an answer to a lease from before a restart is no answer to any lease after it", async () => {
  const identity = newIdentity();
  const before = await startTestRun({ maxSteps: 3 });
  const old = await before.connect({ identity }).join();
  await old.work();
  await before.coordination.done;
  const numbers = old.accepted.map(({ lease }) => lease);
  expect(numbers.length).toBeGreaterThanOrEqual(3);
  const run = await startTestRun({ open: await reopenRun(before.run.directory.path) });
  const worker = await run.connect({ identity }).join();
  const lease = await worker.lease();
  expect(numbers).not.toContain(lease.lease);
  const late = honestContribution(worker.welcome, lease);
  for (const number of numbers.slice(0, 2)) {
    worker.socket.send(frameOf({ ...late, header: { ...late.header, lease: number } }));
    expect(await worker.next("rejected")).toMatchObject({ lease: number, code: "LEASE_UNKNOWN" });
  }
  await worker.answer(lease);
  worker.close();
  await workToTheEnd(run, 1);
  expect(await stepHashes(run)).toEqual((await calmRun()).hashes);
});
