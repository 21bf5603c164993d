// A worker whose line is down says so and nothing else, whatever its work is about meanwhile.

import { expect, test } from "vitest";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import type { SessionEvent } from "../../../worker/session/session-event.ts";
import { sessionLimits } from "../../../worker/session/session-limits.ts";
import { answer, type Compute, leased, stage } from "../../worker/session/session-stage.ts";

/** The states in the order in which they were said. */
const states = (events: readonly SessionEvent[]) =>
  events.flatMap((event) => (event.type === "state" ? [event.state.kind] : []));

/** Computes until the test lets it go on. */
function gated() {
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const compute: Compute = async (lease: LeaseMessage, input, aborted) => {
    await gate;
    return answer(lease, input, aborted);
  };
  return { compute, open };
}

/** Long waits between attempts: nobody comes back by itself in this test. */
const patient = { ...sessionLimits, handshakeMs: 2000, reconnect: { baseMs: 60_000, capMs: 60_000 } };

test("W13 a lease that is finished while the line is down changes nothing of what is said", async () => {
  const { compute, open } = gated();
  const play = await stage(compute, {}, { limits: patient });
  const peer = await leased(play);
  await play.reached("computing");
  peer.terminate();
  await play.reached("reconnecting");
  open();
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(states(play.events).at(-1)).toBe("reconnecting");
});

test("W13 a device that is made ready while the line is down is not said to have joined", async () => {
  let ready = () => {};
  const play = await stage(answer, {}, { limits: patient });
  const peer = await leased(play);
  await peer.next("frame");
  peer.terminate();
  await play.reached("reconnecting");
  play.trainers[0].prepare = () =>
    new Promise((resolve) => {
      ready = resolve;
    });
  play.trainers[0].lose("reset");
  await new Promise((resolve) => setTimeout(resolve, 100));
  ready();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(states(play.events).at(-1)).toBe("reconnecting");
});

test("W14 an attempt that is asked for comes at once, and the work is said to go on", async () => {
  const { compute, open } = gated();
  const play = await stage(compute, {}, { limits: patient });
  const peer = await leased(play);
  await play.reached("computing");
  peer.terminate();
  await play.reached("reconnecting");
  const since = play.events.length;
  play.session.retry();
  const again = await play.coordinator.peer();
  const hello = await play.coordinator.greeted(again);
  again.send({ type: "resumed", worker: "w1", leases: hello.resume?.leases ?? [], waiting: false });
  await expect.poll(() => states(play.events.slice(since))).toEqual(["connecting", "joining", "computing"]);
  open();
  await again.next("frame", "offer");
});

test("W13 a machine that has no network says so before the line finds out, and keeps its lease", async () => {
  const { compute, open } = gated();
  const play = await stage(compute);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.unplugged();
  expect(await play.reached("reconnecting")).toMatchObject({ message: "this machine has no network" });
  const again = await play.coordinator.peer();
  const hello = await play.coordinator.greeted(again);
  expect(hello.resume?.leases).toEqual([1]);
  expect((await peer.closed).code).not.toBe(1006);
  open();
});
