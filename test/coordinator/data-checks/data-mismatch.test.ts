// Rules C19 and C21 of SPEC.md, on real sockets, with the coordinator's own decoding thread: what a worker says of its
// samples is looked at.

import { expect, test } from "vitest";
import { pieceReader } from "../../../coordinator/data-checks/read-pieces.ts";
import { errorCodes } from "../../../shared/base/errors.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { leasedChecksum } from "../../fixtures/leased-samples.ts";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

/** What an honest worker's decoder gives for a lease. */
function checksumOf({ run }: TestRun, lease: LeaseMessage): Promise<number> {
  const { config, dataset } = run.state;
  return leasedChecksum(config, dataset, lease, pieceReader(run.data));
}

test("C19 a wrong checksum is DATA_MISMATCH, its range is leased again, and the right one counts", async () => {
  const started = await startTestRun({ checkSamples: true });
  const worker = await started.connect().join();
  const lease = await worker.lease();
  const right = await checksumOf(started, lease);
  const wrong = (right ^ 1) >>> 0;
  worker.sendContribution({ ...honestContribution(worker.welcome, lease), checksum: wrong });
  const refused = await worker.next("rejected");
  expect(refused).toMatchObject({ lease: lease.lease, code: "DATA_MISMATCH" });
  expect(refused.message).toContain(right.toString(16).padStart(8, "0"));
  expect(refused.message).toMatch(/Clear what it keeps .* update it .* test this machine's memory/);
  const again = await worker.lease();
  expect(again.ranges).toEqual(lease.ranges);
  worker.sendContribution({ ...honestContribution(worker.welcome, again), checksum: right });
  expect(await worker.next("accepted")).toMatchObject({ lease: again.lease });
  // The step was made of the honest answer.
  expect((await worker.lease()).step).toBe(1);
}, 60_000);

test("C19 three in a row close the session with the code", async () => {
  const started = await startTestRun({ checkSamples: true });
  const worker = await started.connect().join();
  for (let i = 0; i < 3; i++) {
    const lease = await worker.lease();
    worker.sendContribution({ ...honestContribution(worker.welcome, lease), checksum: 77 });
    expect(await worker.next("rejected")).toMatchObject({ code: "DATA_MISMATCH" });
  }
  expect(await worker.next("error")).toMatchObject({ code: "DATA_MISMATCH", retry: false });
  expect(await worker.closed).toMatchObject({ code: errorCodes.DATA_MISMATCH });
}, 60_000);

test("C21 an honest worker beside a wrong one goes on as ever", async () => {
  const started = await startTestRun({ checkSamples: true, config: { lease: { first: 1 } } });
  const [honest, wrong] = [await started.connect().join(), await started.connect().join()];
  const [good, bad] = [await honest.lease(), await wrong.lease()];
  wrong.sendContribution({ ...honestContribution(wrong.welcome, bad), checksum: 1 });
  honest.sendContribution({
    ...honestContribution(honest.welcome, good),
    checksum: await checksumOf(started, good),
  });
  expect(await honest.next("accepted")).toMatchObject({ lease: good.lease });
  expect(await wrong.next("rejected")).toMatchObject({ code: "DATA_MISMATCH" });
}, 60_000);

test("C19 a run whose workers decode what they are leased has nothing refused", async () => {
  const started = await startTestRun({ checkSamples: true, maxSteps: 6 });
  const crew = await Promise.all([1, 2].map(() => started.connect({ decodes: true }).join()));
  expect(await Promise.all(crew.map((worker) => worker.work()))).toEqual(["ended", "ended"]);
  expect(await started.coordination.done).toMatchObject({ step: 6 });
}, 60_000);
