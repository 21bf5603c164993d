// What a session does when all goes well: leases, verdicts, heartbeat, and what a volunteer may want.

import { expect, test } from "vitest";
import { joinedChecksum, sampleChecksum } from "../../../shared/samples/checksum.ts";
import type { MicrobatchInput } from "../../../shared/samples/microbatch.ts";
import { readPayload } from "../../../shared/wire/contribution-payload.ts";
import { decodeFrame } from "../../../shared/wire/frame.ts";
import { microbatchesOf } from "../../../shared/wire/lease-ranges.ts";
import { leaseOf, RUN_TAG, scriptedData, scriptedTeacher, sha256 } from "./scripted-run.ts";
import { answer, blob, endless, leased, stage } from "./session-stage.ts";

test("a lease is answered with one contribution frame that names run, round, lease, codec and parameters", async () => {
  const play = await stage();
  const peer = await leased(play);
  const { header, payload } = decodeFrame((await peer.next("frame")).bytes, 1000);
  expect(header).toEqual({
    kind: "contribution",
    codec: "f32",
    round: 1,
    lease: 1,
    samples: 8,
    tensors: 3,
    run: RUN_TAG,
    parametersHash: sha256(blob),
  });
  expect([...payload]).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 8, 7, 6]);
});

test("after the verdict, whichever it is, the worker is ready again; only accepted samples count", async () => {
  const play = await stage();
  const peer = await leased(play);
  await peer.next("frame");
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(peer.unread).toEqual([]);
  peer.send({ type: "rejected", lease: 1, code: "CONTRIBUTION_STALE", message: "round 1 is over" });
  await peer.next("ready");
  peer.send(leaseOf(2, sha256(blob)));
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 2, samples: 8 });
  await peer.next("ready");
  expect(play.events).toContainEqual({ type: "trouble", code: "CONTRIBUTION_STALE", message: "round 1 is over" });
  const given = play.events.filter((event) => event.type === "contributed");
  expect(given).toMatchObject([{ samples: 8, leases: 1, lease: { lease: 2 } }]);
  expect(play.trainers[0].loaded).toEqual([sha256(blob)]);
});

test("the trainer gets the ranges of a lease decoded in their order", async () => {
  const seen: MicrobatchInput[] = [];
  const play = await stage(async (lease, input, aborted) => {
    for (const { from, to } of microbatchesOf(lease.ranges, 4)) seen.push(await input(from, to));
    return answer(lease, input, aborted);
  });
  const ranges = [
    { from: 8, to: 12 },
    { from: 0, to: 8 },
  ];
  const peer = await leased(play, { ranges });
  await peer.next("frame");
  const whole = await stage(async (lease, input, aborted) => {
    expect(seen).toEqual([await input(8, 12), await input(0, 4), await input(4, 8)]);
    return answer(lease, input, aborted);
  });
  await (await leased(whole, { ranges: [{ from: 0, to: 12 }] })).next("frame");
});

test("the trainer gets the lease's samples decoded, microbatch by microbatch", async () => {
  const seen: MicrobatchInput[] = [];
  const play = await stage(async (lease, input, aborted) => {
    for (const { from, to } of microbatchesOf(lease.ranges, 4)) seen.push(await input(from, to));
    return answer(lease, input, aborted);
  });
  const peer = await leased(play, { phase: "evaluate-student", split: "test" });
  const { payload, header } = decodeFrame((await peer.next("frame")).bytes, 1 << 20);
  expect(seen.map(({ image, label }) => [image.length, label.length])).toEqual([
    [4 * 784, 4],
    [4 * 784, 4],
  ]);
  const shard = play.coordinator.contents.get(play.coordinator.dataset.test.shards[0].sha256) as Uint8Array;
  expect([...seen[0].label, ...seen[1].label]).toEqual(Array.from({ length: 8 }, (_, i) => shard[8 * 784 + 2 * i]));
  expect(seen[1].image[5]).toBe(shard[4 * 784 + 5]);
  // What it decoded is what the coordinator would, too: the contribution says so.
  const each = Array.from({ length: 8 }, (_, i) =>
    sampleChecksum([shard.slice(784 * i, 784 * (i + 1)), Uint32Array.of(shard[8 * 784 + 2 * i])]),
  );
  expect(readPayload(payload, header.tensors).checksum).toBe(each.reduce(joinedChecksum, 0));
});

test("the frozen teacher is fetched once by the hash of its packed bytes, and expanded", async () => {
  const { packed: teacher, blob: expanded } = scriptedTeacher();
  const play = await stage(answer, { contents: new Map([...scriptedData().contents, [sha256(teacher), teacher]]) });
  // The scripted trainer goes by hashes alone, so one blob stands for both sets.
  const needy = {
    phase: "student",
    partners: { discriminators: sha256(blob) },
    frozen: { teacher: sha256(teacher) },
  };
  const peer = await leased(play, needy);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  peer.send(leaseOf(2, sha256(blob), needy));
  await peer.next("frame");
  expect(play.trainers[0].teachers).toEqual([sha256(teacher)]);
  expect(play.trainers[0].teacherBlobs).toEqual([expanded]);
  expect(play.coordinator.requests.filter((path) => path.startsWith("/blobs/"))).toHaveLength(1);
});

test("pings are answered, and sent at the welcome's interval", async () => {
  const play = await stage(answer, { heartbeatMs: 20 });
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  peer.send({ type: "ping", nonce: 77 });
  expect(await peer.next("pong")).toEqual({ type: "pong", nonce: 77 });
  await expect.poll(() => peer.pings.length).toBeGreaterThan(4);
});

test("the end of the run ends the session", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  peer.send({ type: "ended", message: "480 steps are done" });
  expect(await play.session.ended).toEqual({ kind: "ended", reason: "run-over", message: "480 steps are done" });
  expect((await peer.closed).code).toBe(1000);
  expect(play.trainers[0].closed).toBe(true);
});

test("pause gives the lease back at once, and resume asks for another", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.pause();
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "pause" });
  await peer.next("paused");
  await play.reached("paused");
  play.session.resume();
  await peer.next("ready");
});

test("a lease that crosses a pause on the wire is given back", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  play.session.pause();
  await peer.next("paused");
  peer.send(leaseOf(5, sha256(blob)));
  expect(await peer.next("return")).toMatchObject({ lease: 5, reason: "pause" });
});

test("leave gives the lease back and says goodbye, however long the GPU still takes", async () => {
  const play = await stage(() => new Promise(() => undefined));
  const peer = await leased(play);
  await play.reached("computing");
  play.session.leave();
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "leave" });
  await peer.next("leave");
  expect((await peer.closed).code).toBe(1000);
  expect(await play.session.ended).toMatchObject({ kind: "ended", reason: "left" });
});

test("leave before anything answers ends the session", async () => {
  const play = await stage();
  const peer = await play.coordinator.peer();
  await peer.next("hello");
  play.session.leave();
  expect(await play.session.ended).toMatchObject({ kind: "ended", reason: "left" });
});
