// Rules S of SPEC.md, on real sockets: what a connection may do, and the code that closes it otherwise.

import { once } from "node:events";
import { expect, test } from "vitest";
import { WHOLE_REQUESTS } from "../../../coordinator/session/sent-parameters.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { MAX_MESSAGE_BYTES } from "../../../shared/wire/plain-message.ts";
import { encodeMessage, PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

/** The error that a connection is told, and its close code. */
async function refusal(worker: ScriptedWorker) {
  const { code, message, retry } = await worker.next("error");
  return { code, message, retry, close: (await worker.closed).code };
}

test("S1 a hello with the run's token is welcomed with a name, the run, its configuration and data", async () => {
  const { connect, run } = await startTestRun({ config: { seed: 5 } });
  const { welcome } = await connect().join();
  // Nor what the data set itself says.
  const { root, classes: _classes, ...data } = run.state.config.data;
  expect(welcome).toMatchObject({ worker: "w1", protocol: PROTOCOL_VERSION, run: "run", dataset: run.data.dataset });
  // Volunteers are not told paths of the coordinator's machine.
  expect(root).toBeTypeOf("string");
  expect(welcome.config).toEqual({ ...run.state.config, data });
  expect((await connect().join()).welcome.worker).toBe("w2");
});

test("S2 a connection that says nothing is closed with HELLO_EXPECTED", async () => {
  const { connect } = await startTestRun({ limits: { helloMs: 50 } });
  expect(await refusal(connect())).toMatchObject({ code: "HELLO_EXPECTED", close: 4014, retry: true });
});

test("S3 a first message that is no hello is answered by HELLO_EXPECTED", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().opened();
  worker.send({ type: "ready" });
  expect(await refusal(worker)).toMatchObject({ code: "HELLO_EXPECTED", close: 4014 });
});

test("S4 a wrong token is answered by TOKEN_INVALID, for good", async () => {
  const { connect, events, coordination } = await startTestRun();
  for (const token of ["", "guess", "x".repeat(512)]) {
    const worker = await connect().opened();
    worker.send(worker.hello({ token }));
    expect(await refusal(worker)).toMatchObject({ code: "TOKEN_INVALID", close: 4001, retry: false });
  }
  coordination.stop();
  await coordination.done;
  expect((await events()).filter(({ type, code }) => type === "turned-away" && code === "TOKEN_INVALID")).toHaveLength(
    3,
  );
});

test("S5 another protocol version is called PROTOCOL_MISMATCH, whatever else its hello holds", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().opened();
  const hello = { type: "hello", protocol: PROTOCOL_VERSION + 1, credentials: { of: "the future" } };
  worker.socket.send(encodeMessage(hello as unknown as Parameters<typeof encodeMessage>[0]));
  expect(await refusal(worker)).toMatchObject({
    code: "PROTOCOL_MISMATCH",
    close: 4002,
    retry: false,
    message: expect.stringContaining(`protocol ${PROTOCOL_VERSION + 1}`),
  });
});

test("S5 a worker of protocol 2 is told so with both versions and what to do", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().opened();
  // As workers of that protocol said it, a parameter set by its fixed name among it.
  const hello = { ...worker.hello(), protocol: 2, holds: { student: "ab".repeat(32) } };
  worker.socket.send(encodeMessage(hello));
  expect(await refusal(worker)).toMatchObject({
    code: "PROTOCOL_MISMATCH",
    close: 4002,
    retry: false,
    message: "the worker speaks protocol 2, this coordinator 5; reload the page or update the older side",
  });
});

test.each([
  ["bytes that are no msgpack", Uint8Array.of(0xc1)],
  ["an unknown type", encodeMessage({ type: "dance" } as never)],
  ["a field too many", encodeMessage({ type: "ready", now: true } as never)],
  ["a field of another kind", encodeMessage({ type: "ping", nonce: -1 } as never)],
  ["a second hello", undefined],
  ["a text message", "ready"],
])("S6 %s is answered by MESSAGE_INVALID", async (_, bytes) => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  worker.socket.send(bytes ?? encodeMessage(worker.hello()));
  expect(await refusal(worker)).toMatchObject({ code: "MESSAGE_INVALID", close: 4003, retry: false });
});

test("S7 a control message over the limit is answered by FRAME_TOO_LARGE", async () => {
  const { connect } = await startTestRun({ limits: { messageBytes: 100 } });
  const worker = await connect().opened();
  worker.send(worker.hello({ name: "n".repeat(100) }));
  expect(await refusal(worker)).toMatchObject({ code: "FRAME_TOO_LARGE", close: 1009 });
});

test("S8 a message larger than any contribution of the run is cut off unread, and its lease goes to another", async () => {
  const { connect, coordination, events } = await startTestRun();
  const [large, other] = [await connect().join(), await connect().join()];
  const lease = await large.lease();
  large.socket.send(new Uint8Array(4 * MAX_MESSAGE_BYTES));
  expect((await large.closed).code).toBe(1009);
  expect(await other.lease()).toMatchObject({ ranges: lease.ranges });
  coordination.stop();
  other.close();
  await coordination.done;
  expect(await events()).toContainEqual(
    expect.objectContaining({ type: "left", worker: "w1", code: "FRAME_TOO_LARGE" }),
  );
});

test("S9 ready while a lease is held stands until its verdict, however often it is said", async () => {
  const { connect } = await startTestRun({ config: { lease: { maxMicrobatches: 1 } } });
  const [worker, other] = [await connect().join(), await connect().join()];
  const lease = await worker.lease();
  // Said before the first came, or before its verdict did: both cross it on the wire.
  for (let time = 0; time < 3; time++) worker.send({ type: "ready" });
  expect((await other.lease()).ranges[0].from).toBe(lease.ranges[0].to);
  await worker.answer(lease);
  const next = await worker.next("lease");
  expect(next.ranges[0].from).toBe(lease.ranges[0].to + 16);
  await worker.answer(next);
  // One a verdict, and no more.
  worker.send({ type: "ping", nonce: 1 });
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 1 });
});

test("S9 ready while a lease is held stands also where that is given back, and is forgotten with paused", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  const { lease } = await worker.lease();
  worker.send({ type: "ready" });
  worker.send({ type: "return", lease, reason: "device-lost", detail: "" });
  const again = await worker.next("lease");
  worker.send({ type: "ready" });
  worker.send({ type: "paused" });
  worker.send({ type: "return", lease: again.lease, reason: "pause", detail: "" });
  worker.send({ type: "ping", nonce: 1 });
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 1 });
});

test("S9 a worker may ask for one lease ahead; what it asks for beyond waits for a verdict", async () => {
  const { connect } = await startTestRun({ config: { lease: { maxMicrobatches: 1 } } });
  const worker = await connect().join();
  const [first, second] = [await worker.lease(), await worker.ahead()];
  expect(second).toMatchObject({ step: 0, ranges: [{ from: first.ranges[0].to }] });
  for (let time = 0; time < 2; time++) worker.send({ type: "ready", ahead: true });
  worker.send({ type: "ping", nonce: 1 });
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 1 });
  await worker.answer(first);
  expect(await worker.next("lease")).toMatchObject({ step: 0, ranges: [{ from: second.ranges[0].to }] });
});

test("S9 who asked ahead and got nothing is leased the next step's without asking again", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  const lease = await worker.lease();
  worker.send({ type: "ready", ahead: true });
  await worker.answer(lease);
  expect(await worker.next("lease")).toMatchObject({ step: 1 });
});

test("S10 a worker that answers no ping is closed with HEARTBEAT_LOST, and its lease goes to another", async () => {
  const { connect } = await startTestRun({ config: { heartbeatMs: 30 } });
  const [silent, other] = [await connect().join(), await connect().join()];
  const { ranges } = await silent.lease();
  silent.onPing = () => undefined;
  expect(await refusal(silent)).toMatchObject({ code: "HEARTBEAT_LOST", close: 4011, retry: true });
  expect(await other.lease()).toMatchObject({ ranges });
});

test("S10 a ping is answered by a pong with its nonce", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  worker.send({ type: "ping", nonce: 7 });
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 7 });
});

test("S26 a WebSocket ping is answered by a pong, and more of them than control messages may come close with RATE_LIMITED", async () => {
  const { connect } = await startTestRun({ limits: { messageRate: { perSecond: 1, burst: 20 } } });
  const worker = await connect().join();
  const pong = once(worker.socket, "pong");
  worker.socket.ping("here");
  expect(String((await pong)[0])).toBe("here");
  for (let time = 0; time < 20; time++) worker.socket.pong();
  expect(await refusal(worker)).toMatchObject({ code: "RATE_LIMITED", close: 4016 });
});

test("S11 more workers than maxWorkers are told TOO_MANY_WORKERS until one leaves", async () => {
  const { connectStranger: connect } = await startTestRun({ config: { maxWorkers: 1 } });
  const first = await connect().join();
  const second = await connect().opened();
  second.send(second.hello());
  expect(await refusal(second)).toMatchObject({ code: "TOO_MANY_WORKERS", close: 4012, retry: true });
  first.send({ type: "leave" });
  expect((await first.closed).code).toBe(1000);
  await connect().join();
});

test("S12 a page of another site cannot open the socket; one of this host can", async () => {
  const { connect, url } = await startTestRun();
  await expect(connect({ origin: "https://elsewhere.example" }).opened()).rejects.toThrow();
  await expect(connect({ origin: "null" }).opened()).rejects.toThrow();
  await connect({ origin: new URL(url).origin }).join();
});

test("S13 parameters are sent once per session and hash, before the first lease that names them", async () => {
  const { connect } = await startTestRun();
  const [one, two] = [await connect().join(), await connect().join()];
  two.send({ type: "ready" });
  const first = await two.next("lease");
  const sent = () => two.parameters.map(({ hash }) => hash);
  expect(sent()).toEqual([first.parametersHash]);
  two.send({ type: "return", lease: first.lease, reason: "pause", detail: "" });
  const second = await two.lease();
  expect(second).toMatchObject({ step: 0, parametersHash: first.parametersHash });
  expect(two.parameters).toHaveLength(1);
  await two.answer(second);
  const next = await two.lease();
  expect(next.step).toBe(1);
  expect(sent()).toEqual([first.parametersHash, next.parametersHash]);
  expect(one.parameters).toEqual([]);
});

test("D3 a worker that has the step before is sent a change, one that comes now the whole", async () => {
  const { connect } = await startTestRun();
  const one = await connect().join();
  const before = await one.lease();
  await one.answer(before);
  const after = await one.lease();
  const two = await connect().join();
  one.send({ type: "return", lease: after.lease, reason: "pause", detail: "" });
  await two.lease();
  const seen = (worker: typeof one) => worker.parameters.map(({ set, base, hash }) => ({ set, base, hash }));
  const [first, second] = [before.parametersHash, after.parametersHash];
  expect(seen(one)).toEqual([
    { set: "teacher", base: null, hash: first },
    { set: "teacher", base: first, hash: second },
  ]);
  expect(seen(two)).toEqual([{ set: "teacher", base: null, hash: second }]);
  await one.store.blob("teacher", second);
  expect([one.refused, one.wanted]).toEqual([[], []]);
});

test("D8 a worker that does not hold what was changed asks for the whole; more than three times without a contribution is MESSAGE_INVALID", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  worker.send({ type: "need", set: "student" });
  expect(await refusal(worker)).toMatchObject({ code: "MESSAGE_INVALID" });
  const other = await connect().join({ holds: { teacher: "ab".repeat(32) } });
  const lease = await other.lease();
  for (let time = 1; time <= WHOLE_REQUESTS; time++) other.send({ type: "need", set: "teacher" });
  await expect.poll(() => other.parameters.length).toBe(1 + WHOLE_REQUESTS);
  expect(other.parameters.every(({ base, hash }) => base === null && hash === lease.parametersHash)).toBe(true);
  await other.answer(lease);
  await other.lease();
  for (let time = 0; time <= WHOLE_REQUESTS; time++) other.send({ type: "need", set: "teacher" });
  expect(await refusal(other)).toMatchObject({ code: "MESSAGE_INVALID", close: 4003 });
});

test("D9 a worker that comes back says what it holds, and is sent no more than a change", async () => {
  const { connect } = await startTestRun();
  const one = await connect().join();
  const lease = await one.lease();
  await one.store.blob("teacher", lease.parametersHash);
  const { holds } = one.store;
  expect(holds).toEqual({ teacher: lease.parametersHash });
  one.close();
  const same = await connect().join({ holds });
  const again = await same.lease();
  expect(again.parametersHash).toBe(lease.parametersHash);
  expect(same.parameters).toEqual([]);
  await same.answer(again);
  const back = await connect().join({ holds });
  const next = await back.lease();
  expect(back.parameters).toMatchObject([{ base: lease.parametersHash, hash: next.parametersHash }]);
});

test("S14 a paused worker is given no lease until it is ready again", async () => {
  const { connect } = await startTestRun();
  const [paused, other] = [await connect().join(), await connect().join()];
  const { ranges } = await paused.lease();
  paused.send({ type: "paused" });
  expect(await other.lease()).toMatchObject({ ranges });
  other.close();
  expect(await paused.lease()).toMatchObject({ ranges });
});

test("S15 when the run is over, workers are told so, and so are those who come later", async () => {
  const { connect, coordination } = await startTestRun({ maxSteps: 1 });
  const worker = await connect().join();
  await worker.answer(await worker.lease());
  await worker.answer(await worker.lease());
  expect((await worker.next("ended")).message).toContain("is done");
  expect(await refusal(worker)).toMatchObject({ code: "RUN_ENDED", close: 4013, retry: false });
  await coordination.done;
});

test("S32 a worker that is drained is told so when it has answered what it holds, and not to come back by itself", async () => {
  const { connect, coordination } = await startTestRun();
  const worker = await connect().join();
  const lease = await worker.lease();
  coordination.operate({ type: "drain", worker: workerId(worker.welcome.worker) });
  worker.send({ type: "ready", ahead: true });
  await worker.answer(lease);
  expect(await refusal(worker)).toMatchObject({ code: "WORKER_DRAINED", close: 4026, retry: false });
});

test("S16 three leases in a row that come to nothing by the worker's fault end the session; a good one forgives", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  const spoil = async () => {
    const lease = await worker.lease();
    const honest = honestContribution(worker.welcome, lease);
    worker.sendContribution({ ...honest, header: { ...honest.header, codec: "f32" } });
    expect((await worker.next("rejected")).code).toBe("CONTRIBUTION_MISMATCH");
  };
  await spoil();
  const { lease } = await worker.lease();
  worker.send({ type: "return", lease, reason: "error", detail: "out of memory" });
  await worker.answer(await worker.lease());
  for (let i = 0; i < 3; i++) await spoil();
  expect(await refusal(worker)).toMatchObject({ code: "CONTRIBUTION_MISMATCH", close: 4009, retry: true });
});
