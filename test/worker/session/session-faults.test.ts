// What a session does when something breaks: sockets, bytes, devices, gradients, links.
import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { ScriptedCoordinator } from "./scripted-coordinator.ts";
import { leaseOf, scriptedBlob, scriptedData, sha256 } from "./scripted-run.ts";
import { answer, blob, code, endless, leased, stage } from "./session-stage.ts";

test("a coordinator silent for three pings is left with HEARTBEAT_LOST and joined again", async () => {
  const play = await stage(answer, { heartbeatMs: 15 });
  const peer = await play.coordinator.joined();
  peer.answers = false;
  expect((await peer.closed).code).toBe(4011);
  expect((await play.reached("reconnecting")).code).toBe("HEARTBEAT_LOST");
  const again = await play.coordinator.joined();
  await again.next("ready");
});

test("a lost connection aborts the lease, and the worker comes back to the same run with its trainer warm", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  peer.terminate();
  expect((await play.reached("reconnecting")).message).toMatch(/lost/);
  const again = await play.coordinator.joined();
  await again.next("ready");
  expect(play.trainers).toHaveLength(1);
});

test("a worker whose connection is lost goes on with its lease and hands it in over the next connection", async () => {
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const play = await stage(async (...args) => {
    await finished;
    return answer(...args);
  });
  const peer = await leased(play);
  await play.reached("computing");
  peer.terminate();
  const again = await play.coordinator.peer();
  const hello = await play.coordinator.greeted(again);
  expect(hello.resume).toEqual({ session: "session 1", leases: [1] });
  again.send({ type: "resumed", worker: "w1", leases: [1], waiting: false });
  finish();
  await again.next("frame");
  expect(play.trainers[0].leases).toEqual([1]);
  again.send({ type: "accepted", lease: 1, samples: 8 });
  await again.next("ready");
});

test("a lease that went to another while the worker was away is not handed in", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  peer.terminate();
  const again = await play.coordinator.peer();
  await play.coordinator.greeted(again);
  again.send({ type: "resumed", worker: "w1", leases: [], waiting: false });
  again.send({ type: "rejected", lease: 1, code: "CONTRIBUTION_STALE", message: "lease 1 is over" });
  await again.next("ready");
});

test("a wrong token ends the session and is not tried again", async () => {
  const play = await stage();
  const peer = await play.coordinator.peer();
  await peer.next("hello");
  peer.send({ type: "error", code: "TOKEN_INVALID", message: "this token opens no run", retry: true });
  peer.close(4001, "TOKEN_INVALID");
  const end = await play.session.ended;
  expect(end).toEqual({ kind: "failed", code: "TOKEN_INVALID", message: "this token opens no run" });
});

test.each([
  [4001, "TOKEN_INVALID"],
  [4002, "PROTOCOL_MISMATCH"],
  [4013, "run-over"],
] as const)("a close with code %i alone is final too: %s", async (closeCode, expected) => {
  const play = await stage();
  (await play.coordinator.peer()).close(closeCode, "");
  expect(code(await play.session.ended)).toBe(expected);
});

test("an error with retry is tried again after a while", async () => {
  const play = await stage();
  const peer = await play.coordinator.peer();
  await peer.next("hello");
  peer.send({ type: "error", code: "TOO_MANY_WORKERS", message: "the run takes 1000 workers", retry: true });
  await (await play.coordinator.joined()).next("ready");
});

test("a lost device gives the lease back, is asked for again, and the next lease is computed on the new one", async () => {
  let first = true;
  const play = await stage((...args) => {
    if (!first) return answer(...args);
    first = false;
    return new Promise(() => undefined);
  });
  const peer = await leased(play);
  await play.reached("computing");
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  play.trainers[0].lose("the GPU process crashed");
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "device-lost" });
  await peer.next("ready");
  // The parameters are not sent twice over one connection.
  peer.send(leaseOf(2, sha256(blob)));
  await peer.next("frame");
  expect(play.trainers).toHaveLength(2);
  expect(play.trainers[0].closed).toBe(true);
  expect(play.events.filter(({ type }) => type === "adapter")).toHaveLength(2);
});

test("a device that is lost more than three times in ten minutes ends the session", async () => {
  const play = await stage(endless);
  const peer = await play.coordinator.joined();
  const hash = peer.sendParameters(blob);
  for (let lease = 1; lease <= 4; lease++) {
    await peer.next("ready");
    peer.send(leaseOf(lease, hash));
    await expect.poll(() => play.trainers.at(-1)?.leases).toEqual([lease]);
    play.trainers.at(-1)?.lose("again");
    await peer.next("return");
  }
  expect(code(await play.session.ended)).toBe("DEVICE_LOST");
});

test("a gradient that is not finite is not sent: the lease goes back with the reason", async () => {
  let calls = 0;
  const play = await stage(async (...args) => {
    if (++calls > 1) return answer(...args);
    throw new BitswarmError("GRADIENT_NOT_FINITE", "conv1.weight of positions 0 to 8 is not finite");
  });
  const peer = await leased(play);
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "not-finite", detail: /conv1.weight/ });
  await peer.next("ready");
});

test("three leases in a row that cannot be computed end the session", async () => {
  const play = await stage(async () => {
    throw new Error("shader refused");
  });
  const peer = await play.coordinator.joined();
  const hash = peer.sendParameters(blob);
  for (let lease = 1; lease <= 3; lease++) {
    await peer.next("ready");
    peer.send(leaseOf(lease, hash));
    expect(await peer.next("return")).toMatchObject({ lease, reason: "error", detail: /shader refused/ });
  }
  expect(code(await play.session.ended)).toBe("COMPUTE_FAILED");
});

test.each([
  ["a flipped bit", (bytes: Uint8Array) => bytes.with(100, bytes[100] ^ 1), 4006],
  ["a cut end", (bytes: Uint8Array) => bytes.slice(0, -1), 4005],
] as const)(
  "a parameters frame with %s is refused, and a fresh connection brings it whole",
  async (_name, damage, closeCode) => {
    const play = await stage();
    const peer = await play.coordinator.joined();
    await peer.next("ready");
    const whole: Uint8Array[] = [];
    const send = peer.sendBytes.bind(peer);
    peer.sendBytes = (bytes) => void whole.push(bytes);
    peer.sendParameters(blob);
    send(damage(whole[0]));
    expect((await peer.closed).code).toBe(closeCode);
    const again = await leased(play);
    await again.next("frame");
  },
);

test("parameters whose hash is not the announced one are refused; the third time ends the session", async () => {
  const play = await stage();
  for (let time = 0; time < 3; time++) {
    const peer = await play.coordinator.joined();
    await peer.next("ready");
    peer.sendParameters(blob, "ab".repeat(32));
    expect((await peer.closed).code).toBe(4006);
  }
  expect(code(await play.session.ended)).toBe("FRAME_CORRUPT");
});

test("D8 a change of parameters that the worker does not hold is answered by need, and the lease waits for the whole", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  const other = scriptedBlob("other");
  const hash = peer.sendChange(scriptedBlob("unknown"), other);
  peer.send(leaseOf(1, hash));
  expect(await peer.next("need")).toEqual({ type: "need", set: "student" });
  expect(play.trainers[0].loaded).toEqual([]);
  peer.sendParameters(other);
  await peer.next("frame");
  expect(play.trainers[0].loaded).toEqual([hash]);
});

test("D9 what a worker held before its connection was lost is told at the next hello, and a change of it is enough", async () => {
  const play = await stage();
  const peer = await leased(play);
  await peer.next("frame");
  peer.terminate();
  const back = await play.coordinator.peer();
  const { holds } = await play.coordinator.greeted(back);
  expect(holds).toEqual({ student: sha256(blob) });
  back.send(play.coordinator.welcome());
  await back.next("ready");
  const other = scriptedBlob("other");
  back.send(leaseOf(2, back.sendChange(blob, other)));
  await back.next("frame");
  expect(play.trainers[0].loaded).toEqual([sha256(blob), sha256(other)]);
});

test("W4 a change that does not lead to the announced hash is refused", async () => {
  const play = await stage();
  const peer = await leased(play);
  await peer.next("frame");
  peer.sendChange(blob, scriptedBlob("other"), "ab".repeat(32));
  expect((await peer.closed).code).toBe(4006);
});

test("bytes that are no message close the connection with MESSAGE_INVALID", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  peer.sendBytes(Uint8Array.of(0xc1, 0, 0));
  expect((await peer.closed).code).toBe(4003);
});

test("a lease over parameters that never came is answered by a fresh connection", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  peer.send(leaseOf(1, "cd".repeat(32)));
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "error" });
  expect((await peer.closed).code).toBe(4003);
  await (await leased(play)).next("frame");
});

test("a welcome to a run that contradicts itself ends the session", async () => {
  const { dataset } = scriptedData();
  const play = await stage(answer, { dataset: { ...dataset, train: { ...dataset.train, samples: 25 } } });
  await play.coordinator.joined();
  expect(await play.session.ended).toMatchObject({ kind: "failed", code: "DATA_INVALID", message: /25 samples/ });
});

test("a missing adapter ends the session before it connects", async () => {
  const openDevice = async () => {
    throw new BitswarmError("WEBGPU_MISSING", "no adapter here");
  };
  const play = await stage(answer, {}, { openDevice });
  expect(await play.session.ended).toEqual({ kind: "failed", code: "WEBGPU_MISSING", message: "no adapter here" });
  expect(play.coordinator.requests).toEqual([]);
});

test("a coordinator that never answers is given up after five attempts", async () => {
  const gone = await ScriptedCoordinator.start();
  const { url } = gone;
  await gone.close();
  const play = await stage(answer, {}, { url });
  const end = await play.session.ended;
  expect(end).toMatchObject({ kind: "failed", code: "RUN_UNREACHABLE", message: /5 attempts/ });
});

test.each([
  ["not a link", "CONFIG_INVALID"],
  ["ftp://host/?token=a", "CONFIG_INVALID"],
  ["http://127.0.0.1:1/", "TOKEN_INVALID"],
])("the link %j is refused with %s", async (url, expected) => {
  const play = await stage(answer, {}, { url });
  expect(code(await play.session.ended)).toBe(expected);
});

test.each<[string, Partial<LeaseMessage>]>([
  ["of an unknown phase", { phase: "dream" }],
  ["whose network is another's", { network: "teacher" }],
  ["that evaluates on the training split", { phase: "evaluate-student" }],
  ["that trains on the test split", { split: "test" }],
  ["without the partners of its phase", { phase: "student", frozen: { teacher: "ab".repeat(32) } }],
  ["with a partner that is not its phase's", { partners: { discriminators: "ab".repeat(32) } }],
  ["with a frozen network that its phase does not need", { frozen: { teacher: "ab".repeat(32) } }],
])("a lease that is none of the program's closes the connection with MESSAGE_INVALID: one %s", async (_, fields) => {
  const play = await stage();
  const peer = await leased(play, fields);
  expect((await peer.closed).code).toBe(4003);
  expect(play.trainers[0]?.leases ?? []).toEqual([]);
});

test.each([
  ["an empty one", [{ from: 4, to: 4 }]],
  [
    "two that overlap",
    [
      { from: 4, to: 12 },
      { from: 0, to: 8 },
    ],
  ],
  [
    "the same twice",
    [
      { from: 0, to: 8 },
      { from: 0, to: 8 },
    ],
  ],
  ["one that begins within a microbatch", [{ from: 2, to: 8 }]],
  [
    "one that ends within a microbatch before another",
    [
      { from: 0, to: 6 },
      { from: 8, to: 12 },
    ],
  ],
  ["one that ends behind the split", [{ from: 0, to: 400_000 }]],
  ["one from 2^52 on", [{ from: 2 ** 52, to: 2 ** 52 + 4 }]],
])("a lease whose ranges no worker could compute closes the connection with MESSAGE_INVALID: %s", async (_, ranges) => {
  const play = await stage();
  const peer = await leased(play, { ranges });
  expect((await peer.closed).code).toBe(4003);
  expect(play.trainers[0]?.leases ?? []).toEqual([]);
});
