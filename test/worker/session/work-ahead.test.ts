// What a worker does with the lease that it goes on with, over a real socket.

import { expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import { leaseMemory } from "../../../worker/session/lease-queue.ts";
import { leaseOf, scriptedConfig, scriptedData, sha256 } from "./scripted-run.ts";
import { answer, blob, type Compute, leased, stage } from "./session-stage.ts";

const { dataset, contents } = scriptedData();
const ahead = { config: parseConfig({ ...scriptedConfig, lease: { ahead: true } }), dataset, contents };
const hash = sha256(blob);

/** A trainer that computes a lease until the test lets it go on, or it is aborted. */
function gated() {
  const gates = new Map<number, () => void>();
  const discarded: number[] = [];
  const compute: Compute = async (lease, input, aborted) => {
    let open = false;
    gates.set(lease.lease, () => {
      open = true;
    });
    while (!open && !aborted()) await new Promise((resolve) => setTimeout(resolve, 5));
    if (aborted()) return "aborted";
    const result = await answer(lease, input, aborted);
    if (result === "aborted") return result;
    return { ...result, discard: () => void discarded.push(lease.lease) };
  };
  return { compute, discarded, finish: (lease: number) => gates.get(lease)?.() };
}

/** A worker that computes one lease and has another to go on with. */
async function twiceLeased(compute: Compute) {
  const play = await stage(compute, ahead);
  const peer = await leased(play);
  await peer.next("ready");
  peer.send(leaseOf(2, hash));
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  return { play, peer };
}

test("W8 while a lease is computed the next one is asked for, and its images are fetched", async () => {
  const { compute, finish } = gated();
  const play = await stage(compute, ahead);
  const peer = await leased(play);
  expect(await peer.next("ready")).toEqual({ type: "ready", ahead: true });
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  const before = play.coordinator.requests.length;
  peer.send(leaseOf(2, hash, { phase: "evaluate-student", split: "test" }));
  const shards = dataset.test.shards.map((shard) => `/shards/${shard.sha256}`);
  await expect.poll(() => play.coordinator.requests.slice(before).map((path) => path.split("?")[0])).toEqual(shards);
  expect(play.trainers[0].leases).toEqual([1]);
  finish(1);
  await peer.next("frame");
  // No verdict on the first has come.
  await expect.poll(() => play.trainers[0].leases).toEqual([1, 2]);
});

test("W8 a worker without verdicts on two leases asks for no third", async () => {
  const { compute, finish } = gated();
  const { play, peer } = await twiceLeased(compute);
  finish(1);
  await peer.next("frame");
  await expect.poll(() => play.trainers[0].leases).toEqual([1, 2]);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(peer.unread).toEqual([]);
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  expect(await peer.next("ready")).toEqual({ type: "ready", ahead: true });
});

test("W9 a lease that is cancelled is aborted, and the next one computed at once", async () => {
  const { compute } = gated();
  const { play, peer } = await twiceLeased(compute);
  peer.send({ type: "cancel", lease: 1, reason: "answered" });
  await expect.poll(() => play.trainers[0].leases).toEqual([1, 2]);
  expect(await peer.next("ready")).toEqual({ type: "ready", ahead: true });
  peer.send(leaseOf(3, hash));
  peer.send({ type: "cancel", lease: 3, reason: "sealed" });
  peer.send({ type: "cancel", lease: 2, reason: "sealed" });
  // One that was cancelled before it was begun is never computed.
  expect(await peer.next("ready")).toMatchObject({ type: "ready" });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(play.trainers[0].leases).toEqual([1, 2]);
  expect(play.events.filter(({ type }) => type === "trouble")).toEqual([]);
});

test("W9 what error feedback kept of a contribution that did not count is forgotten", async () => {
  const { compute, finish, discarded } = gated();
  const play = await stage(compute, ahead);
  const peer = await leased(play);
  await peer.next("ready");
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  finish(1);
  await peer.next("frame");
  peer.send({ type: "cancel", lease: 1, reason: "answered" });
  await expect.poll(() => discarded).toEqual([1]);
});

test("W7 pause gives both leases back at once", async () => {
  const { compute } = gated();
  const { play, peer } = await twiceLeased(compute);
  await new Promise((resolve) => setTimeout(resolve, 30));
  play.session.pause();
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "pause" });
  expect(await peer.next("return")).toMatchObject({ lease: 2, reason: "pause" });
  await peer.next("paused");
  play.session.resume();
  expect(await peer.next("ready")).toEqual({ type: "ready" });
});

test("a worker says how large a lease it can hold where its data set does not fit into memory", () => {
  const shard = (bytes: number) => ({ sha256: "0".repeat(64), samples: 100, bytes });
  const split = (count: number, bytes: number) => ({
    samples: 100 * count,
    shards: Array.from({ length: count }, () => shard(bytes)),
  });
  const data = { format: { kind: "raw" } as const, train: split(100, 1000), test: split(10, 500) };
  expect(leaseMemory(data, 4, 105_000)).toBeUndefined();
  // Each of a lease's samples may be in a shard of its own.
  expect(leaseMemory(data, 4, 104_999)).toBe(26);
  expect(leaseMemory(data, 4, 100)).toBe(1);
  // Of chunks few are held, however long the lease is.
  const format = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 8 } as const;
  expect(leaseMemory({ ...data, format }, 32, 100)).toBeUndefined();
});
