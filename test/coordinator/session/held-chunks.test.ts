// Workers say which chunks they hold, over real sockets; it changes who computes what, and no bit of what comes of it.

import { join } from "node:path";
import { expect, test } from "vitest";
import { sampleOrder } from "../../../shared/samples/sample-order.ts";
import { samplesOf } from "../../../shared/wire/lease-ranges.ts";
import type { LeaseMessage, WorkerMessage } from "../../../shared/wire/protocol.ts";
import { MAX_CHUNK_BITS_BYTES } from "../../../shared/wire/protocol.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder, startTestRun, stepHashes, type TestRun } from "../../fixtures/test-run.ts";

const SAMPLES = 256;
const CHUNK = 4;
const CHUNKS = SAMPLES / CHUNK;

/** A run over a store of 64 chunks of pixels. */
async function chunkedRun(config: Record<string, unknown> = {}): Promise<TestRun> {
  const store = join(await scratchFolder(), "store");
  const shape = { h: 28, w: 28, c: 1 };
  await writeStoreFolder(store, {
    media: "pixels",
    shape,
    mean: [0.5],
    std: [0.25],
    classes: 10,
    chunk: CHUNK,
    chunksPerShard: 16,
    splits: { train: noiseSamples(SAMPLES, shape, 10), test: noiseSamples(96, shape, 10, 2) },
  });
  const lease = { maxMicrobatches: 1, ...(config.lease as Record<string, unknown> | undefined) };
  return startTestRun({
    limits: { graceMs: 10_000 },
    config: { data: { kind: "store", store, pad: 2 }, trust: { audits: "off" }, ...config, lease },
  });
}

type Chunks = Extract<WorkerMessage, { type: "chunks" }>;

const told = (chunks: readonly number[], from = 0): Chunks => {
  const bits = new Uint8Array(CHUNKS / 8 - from / 8);
  for (const chunk of chunks) bits[(chunk - from) >> 3] |= 1 << ((chunk - from) & 7);
  return { type: "chunks", from, bits };
};

const halves = [0, 1].map((half) => Array.from({ length: CHUNKS / 2 }, (_, i) => 2 * i + half));

/** Of what a worker was leased to train with, the share that lies in these chunks. */
function shareOf({ welcome, accepted }: ScriptedWorker, chunks: readonly number[]): number {
  let [held, all] = [0, 0];
  for (const { split, ranges, phase, epoch } of accepted as readonly LeaseMessage[]) {
    if (split === "test") continue;
    const sampleAt = sampleOrder(welcome.config.seed, welcome.dataset, { phase, epoch, split });
    all += samplesOf(ranges);
    for (const { from, to } of ranges) {
      for (let at = from; at < to; at++) if (chunks.includes(Math.floor(sampleAt(at) / CHUNK))) held++;
    }
  }
  return held / all;
}

/** Works a run to its end with two workers, of which each says what it holds. */
async function workedBy(run: TestRun, holds: readonly (readonly number[])[]): Promise<readonly ScriptedWorker[]> {
  const crew = await Promise.all(holds.map(() => run.connect().join()));
  for (const [i, worker] of crew.entries()) worker.send(told(holds[i]));
  await Promise.all(crew.map((worker) => worker.work()));
  await run.coordination.done;
  return crew;
}

test("L55 workers that hold a half each end with the same bits as workers that hold nothing, and without affinity", async () => {
  const asked = await chunkedRun();
  const crew = await workedBy(asked, halves);
  const hashes = await stepHashes(asked);
  expect(hashes.length).toBeGreaterThan(8);
  const empty = await chunkedRun();
  await workedBy(empty, [[], []]);
  expect(await stepHashes(empty)).toEqual(hashes);
  const firstCome = await chunkedRun({ lease: { affinity: false } });
  const others = await workedBy(firstCome, halves);
  expect(await stepHashes(firstCome)).toEqual(hashes);
  const [mean, before] = [crew, others].map((workers) => {
    return (shareOf(workers[0], halves[0]) + shareOf(workers[1], halves[1])) / 2;
  });
  // Microbatches are of four chunks here, so that of most each holds some.
  expect(before).toBeLessThan(0.6);
  expect(mean).toBeGreaterThan(before + 0.05);
});

test("L58 what a worker holds is remembered over a lost connection, and as it said it last", async () => {
  const run = await chunkedRun({ lease: { maxMicrobatches: 1, affinity: true } });
  const worker = await run.connect().join();
  const { welcome } = worker;
  const sampleAt = sampleOrder(welcome.config.seed, welcome.dataset, { phase: "teacher", epoch: 0, split: "train" });
  const chunksOf = (from: number) => [0, 4, 8, 12].map((at) => Math.floor(sampleAt(from + at) / CHUNK));
  worker.send(told(chunksOf(16)));
  worker.send(told(chunksOf(32)));
  worker.socket.terminate();
  const back = run.connect({ after: worker });
  await back.resume([]);
  const lease = await back.lease();
  expect(lease.phase).toBe("teacher");
  expect(lease.ranges).toEqual([{ from: 32, to: 48 }]);
});

const hostile: readonly (readonly [string, unknown])[] = [
  ["a first chunk within a byte", { type: "chunks", from: 4, bits: Uint8Array.of(1) }],
  ["a first chunk behind the last", { type: "chunks", from: CHUNKS, bits: Uint8Array.of(0) }],
  ["a first chunk of 2^40", { type: "chunks", from: 2 ** 40, bits: Uint8Array.of(1) }],
  ["more bits than there are chunks", { type: "chunks", from: 0, bits: new Uint8Array(CHUNKS / 8 + 1) }],
  ["as many bytes as a message may have", { type: "chunks", from: 0, bits: new Uint8Array(MAX_CHUNK_BITS_BYTES + 1) }],
  ["no bits", { type: "chunks", from: 0, bits: new Uint8Array(0) }],
  ["a list for bits", { type: "chunks", from: 0, bits: [1] }],
  ["a count of bits", { type: "chunks", from: 0, bits: 1e9 }],
];

test.each(hostile)("L59 %s is answered by MESSAGE_INVALID", async (_, message) => {
  const run = await chunkedRun();
  const worker = await run.connect().join();
  worker.send(message as WorkerMessage);
  expect(await worker.next("error")).toMatchObject({ code: "MESSAGE_INVALID", retry: false });
});

test("L59 whoever tells of chunks where the data set has none is answered by MESSAGE_INVALID", async () => {
  const run = await startTestRun();
  const worker = await run.connect().join();
  worker.send({ type: "chunks", from: 0, bits: Uint8Array.of(0) });
  expect(await worker.next("error")).toMatchObject({ code: "MESSAGE_INVALID" });
});
