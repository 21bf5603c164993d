// Rules S17 to S21 of SPEC.md: what a session keeps when its connection is lost.

import { expect, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { ChunkedParameters } from "../../../coordinator/session/sent-parameters.ts";
import { sessionLimits } from "../../../coordinator/session/session-limits.ts";
import { SessionTransfers } from "../../../coordinator/session/session-transfers.ts";
import { UploadMemory } from "../../../coordinator/session/upload-memory.ts";
import { decodeCoordinatorMessage } from "../../../shared/wire/protocol.ts";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import { startTestRun } from "../../fixtures/test-run.ts";
import { leaseOf } from "../../worker/session/scripted-run.ts";

test("S17 a worker that comes back with its session's token keeps its name, its lease and what it was sent", async () => {
  const { connect } = await startTestRun({ limits: { graceMs: 20_000 } });
  const lost = await connect().join();
  const lease = await lost.lease();
  lost.close();
  await lost.closed;
  const back = connect({ after: lost });
  expect(await back.resume([lease.lease])).toEqual([lease.lease]);
  await back.answer(lease);
  const next = await back.lease();
  if (next.parametersHash === lease.parametersHash) expect(back.parameters).toEqual([]);
});

test("S17 a ready that was said before the loss still stands", async () => {
  const { connect } = await startTestRun({ config: { batch: 16 }, limits: { graceMs: 20_000 } });
  const [holder, lost] = [await connect().join(), await connect().join()];
  const lease = await holder.lease();
  lost.send({ type: "ready" });
  lost.send({ type: "ping", nonce: 1 });
  await lost.next("pong");
  lost.close();
  await lost.closed;
  const back = connect({ after: lost });
  await back.resume([]);
  await holder.answer(lease);
  expect((await back.next("lease")).step).toBe(1);
});

test("S17 a session's token is worth nothing without the session's key", async () => {
  const { connect } = await startTestRun({ limits: { graceMs: 20_000 } });
  const lost = await connect().join();
  lost.close();
  await lost.closed;
  const thief = await connect({ identity: newIdentity() }).opened();
  thief.send(thief.hello({ resume: { session: lost.welcome.session, leases: [] } }));
  thief.prove(await thief.next("challenge"));
  expect((await thief.next("welcome")).worker).toBe("w2");
});

test("S18 a session waits for its grace, then it is left; one that says goodbye is left at once", async () => {
  const { connect, coordination } = await startTestRun({ limits: { graceMs: 300 } });
  const [lost, gone] = [await connect().join(), await connect().join()];
  gone.socket.close(1001);
  await expect.poll(() => coordination.sessions.vitals.map(({ worker }) => worker)).toEqual(["w1"]);
  lost.close();
  await expect.poll(() => coordination.sessions.vitals[0]?.connected ?? false).toBe(false);
  await expect.poll(() => coordination.sessions.vitals).toEqual([]);
});

test("S19 of two connections of one session the newer wins, the older closes with SESSION_REPLACED", async () => {
  const { connect } = await startTestRun({ limits: { graceMs: 20_000 } });
  const older = await connect().join();
  const lease = await older.lease();
  const newer = connect({ after: older });
  expect(await newer.resume([lease.lease])).toEqual([lease.lease]);
  expect(await older.next("error")).toMatchObject({ code: "SESSION_REPLACED", retry: false });
  expect((await older.closed).code).toBe(4022);
  await newer.answer(lease);
});

test("S20 a verdict that fell while the worker was away is told when it is back", async () => {
  const { connect } = await startTestRun({ limits: { graceMs: 20_000 } });
  const lost = await connect().join();
  const lease = await lost.lease();
  lost.sendContribution(honestContribution(lost.welcome, lease));
  lost.socket.removeAllListeners("message");
  await new Promise<void>((resolve) => {
    lost.socket.on("message", (data: Buffer) => decodeCoordinatorMessage(data).type === "accepted" && resolve());
  });
  lost.close();
  await lost.closed;
  const back = connect({ after: lost });
  expect(await back.resume([lease.lease])).toEqual([]);
  expect(await back.next("accepted")).toMatchObject({ lease: lease.lease });
});

test("S21 the round trip of pings is measured", async () => {
  const { connect, coordination } = await startTestRun({ config: { heartbeatMs: 20 } });
  await connect().join();
  await expect.poll(() => coordination.sessions.vitals[0]?.rttMs).toBeGreaterThan(0);
  expect(coordination.sessions.vitals[0].rttMs).toBeLessThan(60_000);
});

test("S30 a lease that was not sent when its parameters were gone is taken back with the connection, and the next is sent whole", () => {
  const frames = new Map([["old", new Uint8Array(8)]]);
  const transfers = new SessionTransfers({
    clock: systemClock,
    limits: sessionLimits,
    contributionLimit: 1000,
    memory: new UploadMemory(1000).roomFor(undefined),
    chunked: new ChunkedParameters(),
    blob: (name) => frames.get(name),
  });
  const version = (name: string) => ({ set: "student", hash: name, changes: [], whole: { name, bytes: 8 } }) as const;
  transfers.deliver({ lease: leaseOf(1, "old"), parameters: [version("old")] });
  expect(transfers.undelivered(1)).toBe(true);
  frames.clear();
  expect(transfers.reconcile({})).toEqual([1]);
  expect(transfers.undelivered(1)).toBe(false);
  frames.set("new", new Uint8Array(8));
  transfers.deliver({ lease: leaseOf(2, "new"), parameters: [version("new")] });
  expect(transfers.reconcile({})).toEqual([]);
  expect(transfers.undelivered(2)).toBe(true);
});
