// How a volunteer ends in good order, and what pauses a worker without anybody's hand.

import { expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import type { SessionEvent } from "../../../worker/session/session-event.ts";
import { leaseOf, scriptedConfig, scriptedData, sha256 } from "./scripted-run.ts";
import { answer, blob, type Compute, endless, leased, stage } from "./session-stage.ts";

const { dataset, contents } = scriptedData();
const ahead = { config: parseConfig({ ...scriptedConfig, lease: { ahead: true } }), dataset, contents };
const hash = sha256(blob);
const left = { kind: "ended", reason: "left" };
const pausesOf = (events: readonly SessionEvent[]) =>
  events.flatMap((event) => (event.type === "state" && event.state.kind === "paused" ? event.state.why : []));

/** Computes a lease until it is let go on, or aborted. */
function gated() {
  const open = new Set<number>();
  const compute: Compute = async (lease, input, aborted) => {
    while (!open.has(lease.lease) && !aborted()) await new Promise((resolve) => setTimeout(resolve, 5));
    return aborted() ? "aborted" : answer(lease, input, aborted);
  };
  return { compute, let: (lease: number) => open.add(lease) };
}

test("who finishes answers both leases that it holds, asks for no other, and leaves with the last verdict", async () => {
  const gate = gated();
  const play = await stage(gate.compute, ahead);
  const peer = await leased(play);
  await peer.next("ready");
  peer.send(leaseOf(2, hash));
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  play.session.finish();
  gate.let(1);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  gate.let(2);
  await peer.next("frame");
  expect(play.trainers[0].leases).toEqual([1, 2]);
  peer.send({ type: "accepted", lease: 2, samples: 8 });
  // Neither a ready nor a return came before.
  expect(await peer.next("leave")).toEqual({ type: "leave" });
  expect(await play.session.ended).toMatchObject(left);
  expect(play.events.filter(({ type }) => type === "contributed")).toMatchObject([{ leases: 1 }, { leases: 2 }]);
  expect(play.events).toContainEqual({ type: "wish", paused: false, finishing: true });
});

test("a lease that crosses the wish to finish on the wire is given back, and finishing goes on", async () => {
  const gate = gated();
  const play = await stage(gate.compute, ahead);
  const peer = await leased(play);
  await peer.next("ready");
  await play.reached("computing");
  play.session.finish();
  peer.send(leaseOf(2, hash));
  expect(await peer.next("return")).toMatchObject({ lease: 2, reason: "leave" });
  gate.let(1);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("leave");
  expect(await play.session.ended).toMatchObject(left);
});

test("who holds nothing and finishes leaves at once, paused or not", async () => {
  const waiting = await stage(endless);
  const peer = await waiting.coordinator.joined();
  await peer.next("ready");
  waiting.session.finish();
  await peer.next("leave");
  expect(await waiting.session.ended).toMatchObject(left);

  const paused = await stage(endless);
  const other = await leased(paused);
  await paused.reached("computing");
  paused.session.pause();
  await other.next("return");
  await other.next("paused");
  paused.session.finish();
  await other.next("leave");
  expect(await paused.session.ended).toMatchObject(left);
});

test("who resumes instead of finishing asks for leases as before", async () => {
  const gate = gated();
  const play = await stage(gate.compute, ahead);
  const peer = await leased(play);
  await peer.next("ready");
  await play.reached("computing");
  play.session.finish();
  peer.send(leaseOf(2, hash));
  await peer.next("return");
  play.session.resume();
  gate.let(1);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  expect(play.events).toContainEqual({ type: "wish", paused: false, finishing: false });
});

test("a lease that is taken away is nothing to finish", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.finish();
  peer.send({ type: "cancel", lease: 1, reason: "answered" });
  await peer.next("leave");
  expect(await play.session.ended).toMatchObject(left);
});

test("a line that is lost while a worker finishes is opened again, and asks for no lease", async () => {
  const gate = gated();
  const play = await stage(gate.compute, ahead);
  const peer = await leased(play);
  await peer.next("ready");
  await play.reached("computing");
  play.session.finish();
  peer.terminate();
  const again = await play.coordinator.peer();
  expect(await play.coordinator.greeted(again)).toMatchObject({ resume: { leases: [1] } });
  again.send({ type: "resumed", worker: "w1", leases: [1], waiting: false });
  gate.let(1);
  await again.next("frame");
  again.send({ type: "accepted", lease: 1, samples: 8 });
  await again.next("leave");
  expect(await play.session.ended).toMatchObject(left);
});

test("a hold gives the lease back, says why, and ends by itself", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.hold("battery");
  const words = { lease: 1, reason: "pause", detail: "the machine runs on its battery" };
  expect(await peer.next("return")).toMatchObject(words);
  await peer.next("paused");
  await expect.poll(() => pausesOf(play.events)).toEqual(["battery"]);
  play.session.hold("hidden");
  await expect.poll(() => pausesOf(play.events)).toEqual(["battery", "hidden"]);
  expect(play.events).toContainEqual({ type: "wish", paused: false, finishing: false, held: "hidden" });
  play.session.hold(undefined);
  // Nothing more was said of the other reason.
  expect(await peer.next("ready")).toEqual({ type: "ready" });
});

test("a hold and a pause are ended one by one, and the pause is what is told", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.pause();
  await peer.next("return");
  await peer.next("paused");
  await expect.poll(() => pausesOf(play.events)).toEqual(["volunteer"]);
  play.session.hold("hidden");
  play.session.resume();
  await expect.poll(() => pausesOf(play.events)).toEqual(["volunteer", "hidden"]);
  expect(peer.unread).toEqual([]);
  play.session.hold(undefined);
  expect(await peer.next("ready")).toEqual({ type: "ready" });
});

test("who may not compute any more and finishes leaves without its lease", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.finish();
  play.session.hold("battery");
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "pause" });
  await peer.next("leave");
  expect(await play.session.ended).toMatchObject(left);
});

test("a session tells of the share that it is asked for, and hands its trainers the duty cycle that keeps it", async () => {
  const seen: number[] = [];
  const play = await stage(endless, {}, { share: 0.5 });
  await leased(play);
  await play.reached("computing");
  seen.push(play.trainers[0].duty.share);
  play.session.throttle(0.3);
  seen.push(play.trainers[0].duty.share);
  expect(seen).toEqual([0.5, 0.3]);
  const told = play.events.filter(({ type }) => type === "duty");
  expect(told).toEqual([
    { type: "duty", asked: 0.5 },
    { type: "duty", asked: 0.3 },
  ]);
  expect(() => play.session.throttle(0)).toThrow("a share of 0.1 to 1 is due; got 0");
});
