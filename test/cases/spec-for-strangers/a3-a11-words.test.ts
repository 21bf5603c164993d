// What an independent worker guessed or found by trial: whose a verdict is, which peaks are due, how long a message of
// the coordinator is, and what a worker's way of closing means.

import { expect, test } from "vitest";
import { MAX_SHARDS } from "../../../shared/data/dataset.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { MAX_MESSAGE_BYTES } from "../../../shared/wire/plain-message.ts";
import { encodeMessage } from "../../../shared/wire/protocol.ts";
import { frameOf, honestContribution } from "../../fixtures/scripted-contribution.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

test("each verdict names its lease: one that was cancelled while its answer was on the way has two", async () => {
  const { connect } = await startTestRun({ config: { lease: { timeoutMs: 1500 } } });
  const [slow, quick] = [await connect().join(), await connect().join()];
  const lease = await slow.lease();
  quick.send({ type: "ready" });
  const again = await quick.next("lease");
  slow.sendContribution(honestContribution(slow.welcome, lease));
  // It asks for the next before it has heard of this one.
  slow.send({ type: "ready" });
  await quick.answer(again);
  const words: object[] = [];
  for (let message = await slow.take(); message !== "closed"; message = await slow.take()) {
    if (message.type === "lease") slow.sendContribution(honestContribution(slow.welcome, message));
    if (!("lease" in message) || message.type === "offer") continue;
    words.push({ type: message.type, lease: message.lease });
    if (message.type === "accepted") break;
  }
  const next = lease.lease + 2;
  expect(words).toEqual([
    { type: "cancel", lease: lease.lease },
    { type: "rejected", lease: lease.lease },
    { type: "lease", lease: next },
    { type: "accepted", lease: next },
  ]);
});

test("C14 a peak is due of statistics and metrics too; one of minus zero, infinite or none is GRADIENT_NOT_FINITE", async () => {
  const { connect } = await startTestRun();
  for (const [kind, bits] of [
    ["statistic", 0x8000_0000],
    ["metric", 0x8000_0000],
    ["gradient", 0x8000_0000],
    ["statistic", 0x7f80_0000],
    ["metric", 0x7fc0_0000],
  ] as const) {
    const worker = await connect().join();
    const lease = await worker.lease();
    const { config, dataset, program } = worker.welcome;
    const { tensors } = phaseLayout(buildNetworks(config, dataset, program), phaseNamed(program, lease.phase));
    const contribution = honestContribution(worker.welcome, lease);
    expect(contribution.peaks).toHaveLength(tensors.length);
    const peaks = Uint32Array.from(contribution.peaks);
    peaks[tensors.findIndex((tensor) => tensor.kind === kind)] = bits;
    worker.sendContribution({ ...contribution, peaks });
    const rejected = await worker.next("rejected");
    expect(rejected).toMatchObject({ lease: lease.lease, code: "GRADIENT_NOT_FINITE" });
    const said = { 2147483648: "-0", 2139095040: "Infinity", 2143289344: "NaN" }[bits];
    expect(rejected.message).toMatch(new RegExp(`the peak of \\S+ is ${said}; it must be finite, at least 0`));
    worker.close();
  }
});

test("who is told that his answer was damaged is told to ask for another lease, as its own is gone", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  const lease = await worker.lease();
  const frame = frameOf(honestContribution(worker.welcome, lease));
  frame[frame.length - 1] ^= 1;
  worker.socket.send(frame);
  const rejected = await worker.next("rejected");
  expect(rejected).toMatchObject({ lease: lease.lease, code: "FRAME_CORRUPT" });
  expect(rejected.message).toMatch(/announces CRC-32C .* nothing of it counts; ask for another lease/);
  expect((await worker.lease()).lease).not.toBe(lease.lease);
});

test("S27 the welcome of a data set with as many shards as there may be fits one message of 1 MiB", async () => {
  const { connect } = await startTestRun();
  const { welcome } = await connect().join();
  expect(MAX_MESSAGE_BYTES).toBe(1 << 20);
  const shard = { sha256: "ab".repeat(32), samples: 65_535, bytes: 2 ** 28 };
  const split = (count: number) => ({ samples: 2 ** 31, shards: Array.from({ length: count }, () => shard) });
  const dataset = { ...welcome.dataset, train: split(MAX_SHARDS - 1), test: split(1) };
  expect(encodeMessage({ ...welcome, dataset }).length).toBeLessThan(MAX_MESSAGE_BYTES);
});

test.each([1000, 1001])("S28 a worker that closes with %i has left", async (code) => {
  const { connect, coordination } = await startTestRun({ limits: { graceMs: 30_000 } });
  const [worker, other] = [await connect().join(), await connect().join()];
  const { ranges } = await worker.lease();
  worker.socket.close(code);
  expect((await other.lease()).ranges[0].from).toBe(ranges[0].from);
  await expect.poll(() => coordination.sessions.vitals.map((session) => session.worker)).toEqual(["w2"]);
});

test.each([undefined, 1003, 3000, 4000])("S28 one that closes with %s is waited for", async (code) => {
  const { connect } = await startTestRun({ limits: { graceMs: 30_000 } });
  const worker = await connect().join();
  const { lease } = await worker.lease();
  worker.socket.close(code);
  await worker.closed;
  expect(await connect({ after: worker }).resume([lease])).toEqual([lease]);
});
