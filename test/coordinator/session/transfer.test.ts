// Rules T7 to T14 of SPEC.md: what is on its way when sockets are cut, stall and are not read.

import type { Socket } from "node:net";
import { expect, test } from "vitest";
import type { SessionLimits } from "../../../coordinator/session/session-limits.ts";
import { ADDRESS_SHARE, UploadMemory } from "../../../coordinator/session/upload-memory.ts";
import { rng } from "../../../shared/base/rng.ts";
import {
  CHUNK_BYTES,
  chunkCount,
  chunkHeaderBytes,
  encodeChunk,
  MAX_CHUNK_MESSAGE_BYTES,
} from "../../../shared/wire/chunk.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { WINDOW_CHUNKS } from "../../../shared/wire/transfer/incoming.ts";
import { cuttingProxy } from "../../fixtures/cutting-proxy.ts";
import { frameOf, honestContribution } from "../../fixtures/scripted-contribution.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

/** Frames of 1.8 MiB, eight chunks, both ways. */
const wide = {
  model: { kind: "lenet", widths: [16, 64, 256] },
  batch: 32,
  microbatch: 16,
  lease: { maxMicrobatches: 1 },
  teacher: { epochs: 20 },
  checkpoint: { everySteps: 1000 },
};
const WINDOW_BYTES = WINDOW_CHUNKS * MAX_CHUNK_MESSAGE_BYTES;
/** Words about a transfer, beside its chunks. */
const TALK_BYTES = 16 << 10;

async function wideRun(limits: Partial<SessionLimits> = {}, config: Record<string, unknown> = {}): Promise<TestRun> {
  return startTestRun({ config: { ...wide, ...config }, limits: { graceMs: 20_000, ...limits } });
}

const contributionOf = (worker: ScriptedWorker, lease: LeaseMessage) =>
  frameOf(honestContribution(worker.welcome, lease));

/** Bytes of a frame's chunks. */
const wireBytes = (frameBytes: number) => frameBytes + chunkCount(frameBytes) * chunkHeaderBytes;

/** Where to cut: every chunk's boundary, and bytes of chance. */
function cuts(frameBytes: number): number[] {
  const boundaries = Array.from({ length: chunkCount(frameBytes) }, (_, i) => i * MAX_CHUNK_MESSAGE_BYTES);
  const draws = rng(0, "cuts");
  const anywhere = Array.from({ length: 3 }, () => draws.below(frameBytes));
  return [...boundaries, ...anywhere, frameBytes - 1];
}

test("T7 a contribution whose socket is cut at any byte is finished over the next one, at the cost of a window", async () => {
  const { connect, url } = await wideRun();
  const proxy = await cuttingProxy(url);
  const probe = await connect({ via: proxy.url }).join();
  const lease = await probe.lease();
  const frame = contributionOf(probe, lease);
  // Words about the parameters may still be on their way up; the pong comes after them.
  probe.send({ type: "ping", nonce: 1 });
  await probe.next("pong");
  const granted = proxy.passed[0].up;
  probe.send({ type: "leave" });
  await probe.closed;
  expect(chunkCount(frame.length)).toBeGreaterThan(4);
  for (const at of cuts(frame.length)) {
    proxy.cutNext({ direction: "up", afterBytes: granted + at });
    const cut = await connect({ via: proxy.url }).join();
    const { lease: id, ...held } = await cut.lease();
    cut.sendContribution(honestContribution(cut.welcome, { lease: id, ...held }));
    const known = await Promise.race([cut.closed, cut.next("accepted").catch(() => undefined)]);
    cut.close();
    await cut.closed;
    const worker = connect({ after: cut });
    await worker.resume(known && "samples" in known ? [] : [id]);
    // Whether it was finished now or its verdict was lost on the way: it counts, once.
    if (!(known && "samples" in known)) expect((await worker.next("accepted")).lease).toBe(id);
    expect(cut.chunkBytes.sent + worker.chunkBytes.sent).toBeLessThanOrEqual(wireBytes(frame.length) + WINDOW_BYTES);
    expect(worker.chunkBytes.sent).toBeLessThanOrEqual(wireBytes(frame.length) - at + WINDOW_BYTES);
    worker.send({ type: "leave" });
    await worker.closed;
  }
});

test("T8 parameters whose socket is cut at any byte are finished over the next one, at the cost of a window", async () => {
  const { connect, url } = await wideRun();
  const proxy = await cuttingProxy(url);
  const probe = await connect({ via: proxy.url }).join();
  const welcomed = proxy.passed[0].down;
  const { parametersHash } = await probe.lease();
  const whole = probe.chunkBytes.received;
  probe.send({ type: "leave" });
  for (const at of cuts(whole)) {
    proxy.cutNext({ direction: "down", afterBytes: welcomed + at + 200 });
    const cut = await connect({ via: proxy.url }).join();
    cut.send({ type: "ready" });
    await Promise.race([cut.closed, cut.next("lease")]);
    cut.close();
    await cut.closed;
    const worker = connect({ after: cut });
    const kept = await worker.resume([]);
    if (kept.length === 0) worker.send({ type: "ready" });
    const lease = await worker.next("lease");
    expect(lease.parametersHash).toBe(parametersHash);
    expect([...cut.parameters, ...worker.parameters].map(({ hash }) => hash)).toEqual([parametersHash]);
    expect(cut.chunkBytes.received + worker.chunkBytes.received).toBeLessThanOrEqual(whole + WINDOW_BYTES);
    worker.send({ type: "leave" });
    await worker.closed;
  }
});

test("T9 a damaged chunk closes with FRAME_CORRUPT, what arrived is kept; the third time ends the session", async () => {
  const { connect } = await wideRun();
  let worker = await connect().join();
  const lease = await worker.lease();
  const frame = contributionOf(worker, lease);
  for (let time = 1; time <= 3; time++) {
    worker.send({ type: "offer", transfer: 99, bytes: frame.length, lease: lease.lease });
    worker.socket.send(encodeChunk(99, frame, time - 1));
    const damaged = encodeChunk(99, frame, 4);
    damaged[1000] ^= 1;
    worker.socket.send(damaged);
    expect(await worker.next("error")).toMatchObject({ code: "FRAME_CORRUPT", retry: true });
    expect((await worker.closed).code).toBe(4006);
    if (time === 3) break;
    worker = connect({ after: worker });
    expect(await worker.resume([lease.lease])).toEqual([lease.lease]);
  }
  const late = await connect({ after: worker }).opened();
  late.send(late.hello({ resume: { session: worker.welcome.session, leases: [] } }));
  late.prove(await late.next("challenge"));
  expect((await late.next("welcome")).worker).not.toBe(worker.welcome.worker);
});

test("T5 over the socket: a chunk that nobody offered closes with TRANSFER_INVALID, for good", async () => {
  const { connect } = await wideRun();
  const worker = await connect().join();
  worker.socket.send(encodeChunk(1, new Uint8Array(2 * CHUNK_BYTES), 0));
  expect(await worker.next("error")).toMatchObject({ code: "TRANSFER_INVALID" });
  expect((await worker.closed).code).toBe(4020);
});

test("an offer for a lease that is over is answered by its verdict, not by credit", async () => {
  const { connect } = await wideRun();
  const worker = await connect().join();
  worker.send({ type: "offer", transfer: 1, bytes: 2 * CHUNK_BYTES, lease: 77 });
  expect(await worker.next("rejected")).toMatchObject({ lease: 77, code: "LEASE_UNKNOWN" });
  const { lease } = await worker.lease();
  worker.send({ type: "return", lease, reason: "pause", detail: "" });
  worker.send({ type: "offer", transfer: 2, bytes: 2 * CHUNK_BYTES, lease });
  expect(await worker.next("rejected")).toMatchObject({ lease, code: "CONTRIBUTION_STALE" });
});

test("T10 an upload that does not come further closes with TRANSFER_STALLED, and goes on over the next socket", async () => {
  const { connect } = await wideRun({ transferStallMs: 600 }, { heartbeatMs: 40 });
  const worker = await connect().join();
  const lease = await worker.lease();
  const frame = contributionOf(worker, lease);
  worker.send({ type: "offer", transfer: 99, bytes: frame.length, lease: lease.lease });
  worker.socket.send(encodeChunk(99, frame, 0));
  expect(await worker.next("error")).toMatchObject({ code: "TRANSFER_STALLED", retry: true });
  expect((await worker.closed).code).toBe(4021);
  const again = connect({ after: worker });
  expect(await again.resume([lease.lease])).toEqual([lease.lease]);
});

test("T11 a worker that does not read makes no more than a window wait for it, and is let go", async () => {
  const { connect, coordination } = await wideRun({ transferStallMs: 400 }, { heartbeatMs: 50 });
  const worker = await connect().join();
  worker.socket.pause();
  worker.send({ type: "ready" });
  let most = 0;
  const watch = setInterval(() => {
    for (const { waitingBytes } of coordination.sessions.vitals) most = Math.max(most, waitingBytes);
  }, 5);
  await expect.poll(() => coordination.sessions.vitals[0]?.connected ?? false).toBe(false);
  clearInterval(watch);
  expect(most).toBeLessThanOrEqual(WINDOW_BYTES + TALK_BYTES);
});

test("T12 half-received contributions take no more memory than there is: further ones wait for credit", async () => {
  const { connect, coordination } = await wideRun({ uploadBytes: 2 << 20 });
  const workers = await Promise.all([0, 1].map(() => connect().join()));
  const leases = [await workers[0].lease(), await workers[1].lease()];
  const frames = workers.map((worker, i) => contributionOf(worker, leases[i]));
  expect(frames[0].length * 2).toBeGreaterThan(2 << 20);
  const offer = (i: number) =>
    workers[i].send({ type: "offer", transfer: 99, bytes: frames[i].length, lease: leases[i].lease });
  offer(0);
  await expect.poll(() => coordination.sessions.uploadBytes).toBe(frames[0].length);
  offer(1);
  workers[1].send({ type: "ping", nonce: 1 });
  await workers[1].next("pong");
  expect(coordination.sessions.vitals.map(({ uploadBytes }) => uploadBytes)).toEqual([frames[0].length, 0]);
  for (let index = 0; index < chunkCount(frames[0].length); index++) {
    workers[0].socket.send(encodeChunk(99, frames[0], index));
  }
  await workers[0].next("accepted");
  await expect.poll(() => coordination.sessions.vitals[1].uploadBytes).toBe(frames[1].length);
  expect(coordination.sessions.uploadBytes).toBe(frames[1].length);
});

test("T12 claims of memory are granted in their order, and one above the whole limit when it is alone", () => {
  const memory = new UploadMemory(10);
  const granted: string[] = [];
  const claim = (name: string, bytes: number) => memory.roomFor(undefined).claim(bytes, () => granted.push(name));
  const [a, b, c] = [claim("a", 6), claim("b", 20), claim("c", 1)];
  expect(granted).toEqual(["a"]);
  a();
  expect([granted, memory.usedBytes]).toEqual([["a", "b"], 20]);
  c();
  b();
  b();
  expect([granted, memory.usedBytes, memory.waiting]).toEqual([["a", "b"], 0, 0]);
});

test("T12 what one address pledges takes a quarter at most while others wait, and keeps nobody else waiting", () => {
  const memory = new UploadMemory(100);
  const granted: string[] = [];
  const claim = (name: string, bytes: number) => {
    const room = memory.roomFor(name[0]);
    room.proven();
    return room.claim(bytes, () => granted.push(name));
  };
  const releases = ["a1", "a2", "a3", "b1", "c1"].map((name) => claim(name, 20));
  expect([...granted]).toEqual(["a1", "b1", "c1"]);
  claim("d1", 60);
  expect([granted.length, memory.usedBytes, memory.waiting]).toEqual([3, 60, 3]);
  releases[0]();
  expect(granted.slice(3)).toEqual(["a2"]);
  releases[1]();
  releases[2]();
  expect([granted.slice(4), memory.usedBytes, memory.waiting]).toEqual([["a3", "d1"], 100, 0]);
});

test("T12 what strangers pledge who have had nothing accepted takes half at most, from however many addresses", () => {
  const memory = new UploadMemory(100);
  const granted: string[] = [];
  const rooms = Array.from({ length: 9 }, (_, i) => memory.roomFor(`address ${i}`));
  const pledge = (i: number) => rooms[i].claim(20, () => granted.push(`${i}`));
  const releases = [0, 1, 2].map(pledge);
  expect(granted).toEqual(["0", "1"]);
  // Who has shown that it sends what it pledges does not wait for them, nor do the operator's own.
  rooms[3].proven();
  pledge(3);
  memory.roomFor(undefined).claim(20, () => granted.push("own"));
  expect([granted.slice(2), memory.usedBytes, memory.waiting]).toEqual([["3", "own"], 80, 1]);
  // Shown meanwhile, it is taken back as what it was.
  rooms[0].proven();
  releases[0]();
  expect([granted.slice(4), memory.usedBytes]).toEqual([["2"], 80]);
  releases[1]();
  releases[2]();
  expect(memory.usedBytes).toBe(40);
});

test("T12 over sockets: an address that announces more than its share is given credit for the rest when it is done", async () => {
  const uploadBytes = 8 << 20;
  const { connectStranger: connect, coordination } = await wideRun({ uploadBytes });
  const workers = await Promise.all([0, 1].map(() => connect().join()));
  const leases = [await workers[0].lease(), await workers[1].lease()];
  const frames = workers.map((worker, i) => contributionOf(worker, leases[i]));
  expect(frames[0].length).toBeLessThan(uploadBytes * ADDRESS_SHARE);
  expect(frames[0].length * 2).toBeGreaterThan(uploadBytes * ADDRESS_SHARE);
  for (const i of [0, 1]) {
    workers[i].send({ type: "offer", transfer: 99, bytes: frames[i].length, lease: leases[i].lease });
    workers[i].send({ type: "ping", nonce: 1 });
    await workers[i].next("pong");
  }
  const held = () => coordination.sessions.vitals.map((vitals) => vitals.uploadBytes);
  expect(held()).toEqual([frames[0].length, 0]);
  for (let index = 0; index < chunkCount(frames[0].length); index++) {
    workers[0].socket.send(encodeChunk(99, frames[0], index));
  }
  await workers[0].next("accepted");
  await expect.poll(held).toEqual([0, frames[1].length]);
});

test("T14 an upload that comes further, but too slowly to end, closes with TRANSFER_TOO_SLOW, and its lease is another's", async () => {
  const limits = { transferStallMs: 1000, graceMs: 0, slowestBytesPerSecond: 1 << 30 };
  const { connect } = await wideRun(limits, { heartbeatMs: 50 });
  const worker = await connect().join();
  const lease = await worker.lease();
  const frame = contributionOf(worker, lease);
  const offer = { type: "offer", bytes: frame.length, lease: lease.lease } as const;
  let transfer = 99;
  worker.send({ ...offer, transfer });
  worker.socket.send(encodeChunk(transfer, frame, 0));
  // To begin anew, or to say again what is coming, is no progress.
  const dribble = setInterval(() => {
    worker.send({ ...offer, transfer: ++transfer });
    worker.socket.send(encodeChunk(transfer, frame, 0));
  }, 200);
  expect(await worker.next("error")).toMatchObject({ code: "TRANSFER_TOO_SLOW", retry: true });
  clearInterval(dribble);
  expect((await worker.closed).code).toBe(4023);
  const other = await connect().join();
  expect(await other.lease()).toMatchObject({ ranges: lease.ranges });
});

test("T15 a message that dribbles in byte by byte closes with TRANSFER_STALLED: bytes alone are no life", async () => {
  const { connect, coordination } = await wideRun({ transferStallMs: 400 }, { heartbeatMs: 50 });
  const worker = await connect().join();
  await worker.lease();
  const { _socket: wire } = worker.socket as unknown as { readonly _socket: Socket };
  // RFC 6455, section 5.2: a masked binary message of 65,535 bytes, whose mask is 0.
  wire.write(Uint8Array.of(0x82, 0x80 | 126, 0xff, 0xff, 0, 0, 0, 0));
  const dribble = setInterval(() => wire.write(Uint8Array.of(0)), 20);
  await expect.poll(() => coordination.sessions.vitals.some(({ connected }) => connected)).toBe(false);
  clearInterval(dribble);
  expect((await worker.closed).code).toBe(4021);
});
