// What an independent worker found by trial of coming back: what becomes of a lease that got lost with its connection,
// and of an answer that is sent once more.

import { expect, test } from "vitest";
import { frameOf, honestContribution } from "../../fixtures/scripted-contribution.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const limits = { graceMs: 20_000 };

test("S30 a lease that got lost with its connection is taken back without a word, and a ready is answered", async () => {
  const { connect } = await startTestRun({ limits });
  const lost = await connect().join();
  const lease = await lost.lease();
  lost.close();
  await lost.closed;
  // As of a worker that never saw the lease's message.
  const back = connect({ after: lost });
  expect(await back.resume([])).toEqual([]);
  back.send({ type: "ping", nonce: 1 });
  for (let message = await back.take(); ; message = await back.take()) {
    if (message === "closed") throw new Error("closed without a word");
    if (message.type === "pong") break;
    expect(["status", "ping"]).toContain(message.type);
  }
  const next = await back.lease();
  expect(next.lease).not.toBe(lease.lease);
  expect(next.ranges).toEqual(lease.ranges);
});

test("S31 an answer that is sent again, whole, over the next connection counts once, and is no failure", async () => {
  const { connect } = await startTestRun({ limits: { ...limits, failures: 1 } });
  const lost = await connect().join();
  const lease = await lost.lease();
  lost.close();
  await lost.closed;
  const back = connect({ after: lost });
  await back.resume([lease.lease]);
  const frame = frameOf(honestContribution(lost.welcome, lease));
  back.socket.send(frame);
  back.socket.send(frame);
  expect(await back.next("accepted")).toMatchObject({ lease: lease.lease });
  expect(await back.next("rejected")).toMatchObject({ lease: lease.lease, code: "CONTRIBUTION_STALE" });
  expect((await back.lease()).lease).not.toBe(lease.lease);
});
