// Rules C and L of SPEC.md, on real sockets: only a contribution that answers its lease counts, and whatever fails is
// computed again by somebody.

import { expect, test } from "vitest";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { frameOf, honestContribution, type ScriptedContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { calmRun, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0];

/** What spoils a contribution's frame, and what it is called then. */
const spoiled: readonly [string, string, (honest: ScriptedContribution) => Uint8Array][] = [
  ["a truncated frame", "FRAME_TRUNCATED", (honest) => frameOf(honest).subarray(0, -1)],
  ["a header alone, cut short", "FRAME_TRUNCATED", (honest) => frameOf(honest).subarray(0, 40)],
  [
    "a flipped bit",
    "FRAME_CORRUPT",
    (honest) => {
      const bytes = frameOf(honest);
      bytes[bytes.length - 7] ^= 4;
      return bytes;
    },
  ],
  ["another run's frame", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { run: "0".repeat(32) })],
  ["another round's frame", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { round: 77 })],
  ["other parameters", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { parametersHash: "0".repeat(64) })],
  ["another codec", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { codec: "int8" })],
  ["another number of samples", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { samples: 1 })],
  ["another number of tensors", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { tensors: 1 })],
  ["a parameters frame", "CONTRIBUTION_MISMATCH", (honest) => withHeader(honest, { kind: "parameters" })],
  ["a body too short", "CONTRIBUTION_MISMATCH", (honest) => frameOf({ ...honest, body: honest.body.subarray(4) })],
  ["an infinite peak", "GRADIENT_NOT_FINITE", (honest) => withPeak(honest, Number.POSITIVE_INFINITY)],
  ["a peak that is no number", "GRADIENT_NOT_FINITE", (honest) => withPeak(honest, Number.NaN)],
];

function withHeader(honest: ScriptedContribution, header: Partial<ScriptedContribution["header"]>): Uint8Array {
  return frameOf({ ...honest, header: { ...honest.header, ...header } });
}

function withPeak(honest: ScriptedContribution, value: number): Uint8Array {
  const peaks = honest.peaks.slice();
  peaks[2] = bits(value);
  return frameOf({ ...honest, peaks });
}

async function stepHash(worker: ScriptedWorker, lines: readonly string[]): Promise<string> {
  // Its answer to the next request comes after the step.
  await worker.lease();
  return JSON.parse(lines[0]).paramsHash;
}

test.each(spoiled)("C2 %s is refused as %s, changes nothing, and its range is leased again", async (_, code, spoil) => {
  const { connect, jsonLines } = await startTestRun();
  const worker = await connect().join();
  const lease = await worker.lease();
  worker.socket.send(spoil(honestContribution(worker.welcome, lease)));
  expect(await worker.next("rejected")).toMatchObject({ lease: lease.lease, code });
  const again = await worker.lease();
  expect(again.ranges).toEqual(lease.ranges);
  await worker.answer(again);
  expect(await stepHash(worker, jsonLines)).toBe(await honestHash());
});

let firstHash: Promise<string> | undefined;

/** The parameters after one step of honest work. */
function honestHash(): Promise<string> {
  firstHash ??= (async () => {
    const started = await startTestRun({ maxSteps: 1 });
    return (await workToTheEnd(started, 1)).paramsHash;
  })();
  return firstHash;
}

test("C3 a NaN in the gradient is refused as GRADIENT_NOT_FINITE, and the run goes on", async () => {
  const { connect } = await startTestRun({ config: { codec: "f32" } });
  const worker = await connect().join();
  const lease = await worker.lease();
  const { header, peaks, body } = honestContribution(worker.welcome, lease);
  const poisoned = Float32Array.from(new Float32Array(body.buffer));
  poisoned[70] = Number.NaN;
  worker.sendContribution({ header, peaks, body: new Uint8Array(poisoned.buffer) });
  const { code, message } = await worker.next("rejected");
  expect(code).toBe("GRADIENT_NOT_FINITE");
  expect(message).toMatch(/element 6 of .+ is NaN/);
  await worker.answer(await worker.lease());
  expect((await worker.lease()).step).toBe(1);
});

test("C10 a run whose gradient no worker finds finite ends with GRADIENT_NOT_FINITE", async () => {
  const { connect, coordination } = await startTestRun();
  const [worker, watcher] = [await connect().join(), await connect().join()];
  const failure = expect(coordination.done).rejects.toMatchObject({ code: "GRADIENT_NOT_FINITE" });
  let held = await worker.lease();
  // Its work has counted before.
  for (; held.step === 0; held = await worker.lease()) await worker.answer(held);
  for (let i = 0; i < 3; i++) {
    if (i > 0) held = await worker.lease();
    worker.send({ type: "return", lease: held.lease, reason: "not-finite", detail: "conv1.weight is NaN" });
  }
  await failure;
  expect((await watcher.next("ended")).message).toContain("GRADIENT_NOT_FINITE");
});

test("C4 a contribution after its lease expired is CONTRIBUTION_STALE, and the one in its place counts", async () => {
  const { connect, events, coordination } = await startTestRun({
    config: { lease: { timeoutMs: 1500 } },
    maxSteps: 1,
  });
  const [slow, quick] = [await connect().join(), await connect().join()];
  const lease = await slow.lease();
  quick.send({ type: "ready" });
  const again: LeaseMessage = await quick.next("lease");
  expect(again.ranges).toEqual(lease.ranges);
  slow.sendContribution(honestContribution(slow.welcome, lease));
  expect(await slow.next("rejected")).toMatchObject({ lease: lease.lease, code: "CONTRIBUTION_STALE" });
  await quick.answer(again);
  // A late worker is not thrown out: it works on.
  await Promise.all([slow.work(), quick.work()]);
  expect(await coordination.done).toMatchObject({ step: 1, samples: 64 });
  expect(await events()).toContainEqual(expect.objectContaining({ type: "requeued", worker: "w1", cause: "expired" }));
});

test("C5 a contribution to a lease that was never granted, or to another's, is LEASE_UNKNOWN", async () => {
  const { connect } = await startTestRun();
  const [one, two] = [await connect().join(), await connect().join()];
  const mine = await one.lease();
  const honest = honestContribution(one.welcome, mine);
  one.socket.send(withHeader(honest, { lease: 999 }));
  expect(await one.next("rejected")).toMatchObject({ lease: 999, code: "LEASE_UNKNOWN" });
  two.socket.send(frameOf(honest));
  expect(await two.next("rejected")).toMatchObject({ lease: mine.lease, code: "LEASE_UNKNOWN" });
  // Neither cost the lease that is held.
  await one.answer(mine);
  // What is over is still nobody else's, and no lease has the number 0.
  two.socket.send(frameOf(honest));
  expect(await two.next("rejected")).toMatchObject({ lease: mine.lease, code: "LEASE_UNKNOWN" });
  one.socket.send(withHeader(honest, { lease: 0 }));
  expect(await one.next("rejected")).toMatchObject({ lease: 0, code: "LEASE_UNKNOWN" });
  one.socket.send(frameOf(honest));
  expect(await one.next("rejected")).toMatchObject({ lease: mine.lease, code: "CONTRIBUTION_STALE" });
});

test("C6 a contribution sent twice counts once", async () => {
  const { connect, coordination } = await startTestRun({ maxSteps: 1 });
  const worker = await connect().join();
  const lease = await worker.lease();
  await worker.answer(lease);
  worker.sendContribution(honestContribution(worker.welcome, lease));
  expect(await worker.next("rejected")).toMatchObject({ lease: lease.lease, code: "CONTRIBUTION_STALE" });
  await worker.work();
  expect(await coordination.done).toMatchObject({ step: 1, samples: 64, paramsHash: await honestHash() });
});

test("C7 a frame from a worker without a lease that cannot even be read closes its session", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  worker.socket.send(Uint8Array.of(0x42, 0x53, 0x57, 0x4d, 1, 2));
  expect(await worker.next("error")).toMatchObject({ code: "FRAME_TRUNCATED" });
  expect((await worker.closed).code).toBe(4005);
});

test("L8 workers killed in the middle of their leases cost no sample and change no bit", async () => {
  const { summary: undisturbed } = await calmRun();
  const { connect, coordination, run, events } = await startTestRun();
  const steady = await connect().join();
  const working = steady.work();
  for (let i = 0; i < 6; i++) {
    const doomed = await connect().join();
    await doomed.lease();
    doomed.close();
  }
  expect(await working).toBe("ended");
  expect({ ...(await coordination.done), checkpoint: "" }).toEqual({ ...undisturbed, checkpoint: "" });
  for (const pass of run.state.program.passes) {
    expect(run.ledger.committed(pass).ranges).toEqual([{ from: 0, to: pass.samples }]);
  }
  // What each of them held was another's, at once or once it was given up.
  const over = (await events()).flatMap(({ type, cause, worker, of }) => {
    return type === "requeued" && cause === "left" ? [worker] : type === "backed-up" ? [of] : [];
  });
  expect(new Set(over).size).toBe(6);
});

test("L10 a copy of a late lease wins over a socket; the other holder is told to stop, and works on", async () => {
  const { connect, coordination, events } = await startTestRun({
    config: { lease: { timeoutMs: 20_000, minDeadlineMs: 1000 } },
    maxSteps: 2,
  });
  const [slow, quick] = [await connect().join(), await connect({ identity: newIdentity() }).join()];
  const first = await slow.lease();
  quick.send({ type: "ready" });
  // From the first round the run knows how long one takes.
  await slow.answer(first);
  const [late, theirs] = [await slow.lease(), await quick.next("lease")];
  await quick.answer(theirs);
  const backup = await quick.lease();
  expect(backup).toMatchObject({ step: 1, ranges: late.ranges });
  expect(backup.lease).not.toBe(late.lease);
  await quick.answer(backup);
  expect(await slow.next("cancel")).toMatchObject({ lease: late.lease, reason: "answered" });
  slow.sendContribution(honestContribution(slow.welcome, late));
  expect(await slow.next("rejected")).toMatchObject({ lease: late.lease, code: "CONTRIBUTION_STALE" });
  // Being late was not held against it.
  await Promise.all([slow.work(), quick.work()]);
  expect(await coordination.done).toMatchObject({ step: 2, samples: 128 });
  expect(await events()).toContainEqual(expect.objectContaining({ type: "backed-up", worker: "w2", of: "w1" }));
});

test("L12 what is late goes to the next step over sockets, and each sample is committed once", async () => {
  const { connect, coordination, run, events } = await startTestRun({
    config: { codec: "f32", lease: { timeoutMs: 20_000, minDeadlineMs: 1000 } },
  });
  const [slow, quick] = [await connect().join(), await connect().join()];
  const first = await slow.lease();
  quick.send({ type: "ready" });
  await slow.answer(first);
  const [late, theirs] = [await slow.lease(), await quick.next("lease")];
  expect([late.step, theirs.step]).toEqual([1, 1]);
  await quick.answer(theirs);
  expect(await slow.next("cancel")).toMatchObject({ lease: late.lease, reason: "sealed" });
  expect(await quick.lease()).toMatchObject({ step: 2, ranges: late.ranges });
  slow.sendContribution(honestContribution(slow.welcome, late));
  expect(await slow.next("rejected")).toMatchObject({ lease: late.lease, code: "CONTRIBUTION_STALE" });
  quick.close();
  expect(await slow.work()).toBe("ended");
  expect(await coordination.done).toMatchObject({ finished: true, step: 24, samples: 6 * 256 });
  for (const pass of run.state.program.passes) {
    expect(run.ledger.committed(pass).ranges).toEqual([{ from: 0, to: pass.samples }]);
  }
  expect(await events()).toContainEqual(expect.objectContaining({ type: "carried", step: 2, samples: 32 }));
});
