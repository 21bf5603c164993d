// The importer's seam: a data set that exists in this file only is configured, cut, served, fetched, verified, kept,
// decoded and trained.

import { createHash } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { z } from "zod";
import { defineImporter, type Sample, type SplitSource } from "../../coordinator/data/importers/importer.ts";
import { addImporter } from "../../coordinator/data/importers/importers.ts";
import { SHARD_SAMPLES } from "../../coordinator/data/sharder.ts";
import { dataKind } from "../../shared/data/data-kinds.ts";
import { locateSample } from "../../shared/data/dataset.ts";
import { decodeHere } from "../../shared/samples/decoding.ts";
import { KeptContent } from "../../worker/content/kept-content.ts";
import type { OpenDevice } from "../../worker/device.ts";
import { runtimePorts, type SocketConstructor } from "../../worker/platform/runtime-ports.ts";
import { runSession } from "../../worker/session/session.ts";
import type { SessionPorts } from "../../worker/session/session-ports.ts";
import { gpuDevice } from "../../worker/trainer/gpu-device.ts";
import { untuned } from "../../worker/tuning/tuning-options.ts";
import { freshDevice } from "../fixtures/device.ts";
import { MemoryContent } from "../fixtures/memory-content.ts";
import { normalised } from "../fixtures/normalised.ts";
import { startTestRun } from "../fixtures/test-run.ts";

/** Waves of colour of 28×28×3: how long they are is their class, made by arithmetic, from no file. */
const half = dataKind("toy-waves", { waves: z.number().int().min(2).max(8).default(4) });
const side = 28;

function wave(i: number, waves: number): Sample {
  const label = i % waves;
  const content = Uint8Array.from({ length: side * side * 3 }, (_, at) => {
    const [x, c] = [Math.floor(at / 3) % side, at % 3];
    return 128 + Math.round(100 * Math.sin((x * (label + 1) + 3 * c + (i % 7)) / 3));
  });
  return { content, target: label };
}

const toyWaves = defineImporter(half, async ({ waves }) => {
  const split = (samples: number): SplitSource => ({
    samples,
    origin: "arithmetic",
    read: function* () {
      for (let i = 0; i < samples; i++) yield wave(i, waves);
    },
  });
  return {
    format: { kind: "raw" },
    shape: { h: side, w: side, c: 3 },
    classes: waves,
    normalisation: "from-pixels",
    train: split(SHARD_SAMPLES + 64),
    test: split(64),
  };
});

interface Downloads {
  /** Hashes of the shards that were asked for, in order. */
  readonly shards: string[];
  readonly ports: SessionPorts;
}

/** The worker's way to the world, on which the first shard that is asked for comes damaged once. */
function damagedOnce(): Downloads {
  const shards: string[] = [];
  const ports = runtimePorts(WebSocket as unknown as SocketConstructor);
  const get: SessionPorts["fetch"] = async (url, options) => {
    const answer = await ports.fetch(url, options);
    const sha256 = /\/shards\/([0-9a-f]{64})/.exec(url)?.[1];
    if (sha256 === undefined) return answer;
    shards.push(sha256);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (shards.length === 1) bytes[1000] ^= 1;
    return { ok: answer.ok, status: answer.status, arrayBuffer: async () => bytes.buffer };
  };
  return { shards, ports: { ...ports, fetch: get } };
}

interface Decoded {
  readonly sample: number;
  readonly image: Float32Array;
  readonly label: number;
}

test("a toy importer's samples reach a worker, who verifies, keeps, decodes and learns them", async () => {
  onTestFinished(addImporter(toyWaves));
  const started = await startTestRun({
    config: {
      data: { kind: "toy-waves", waves: 3, trainSamples: SHARD_SAMPLES + 32, testSamples: 32 },
      model: { kind: "lenet", widths: [4, 8, 8] },
      batch: 32,
      microbatch: 16,
      teacher: { epochs: 1, learningRate: 0.05 },
    },
    maxSteps: 24,
  });
  const { dataset } = started.run.data;
  expect(started.run.state.config.data).toMatchObject({ kind: "toy-waves", waves: 3 });
  expect(dataset).toMatchObject({ name: "toy-waves", shape: { h: 28, w: 28, c: 3 }, classes: 3 });
  expect(dataset.train.shards.map(({ samples }) => samples)).toEqual([SHARD_SAMPLES, 32]);

  const device = await freshDevice();
  const open: OpenDevice = { device, adapter: { vendor: "", architecture: "", description: "Dawn", software: true } };
  const { shards, ports } = damagedOnce();
  const storage = new MemoryContent(2 ** 26);
  const decoded: Decoded[] = [];
  const session = runSession({
    url: started.url,
    name: "learner",
    runtime: "node",
    ports,
    kept: await KeptContent.open(storage),
    openDevice: async () => gpuDevice(open, (circumstances) => untuned(open, circumstances)),
    openDecoding: (config, manifest) => {
      const decoding = decodeHere(config, manifest);
      return {
        ...decoding,
        decode: async (round, samples, held) => {
          const microbatch = await decoding.decode(round, samples, held);
          const { image, label } = normalised(config, manifest, microbatch.input);
          const size = image.length / samples.length;
          if (round.split === "train") {
            samples.forEach((sample, i) => {
              const pixels = Float32Array.from(image.subarray(i * size, (i + 1) * size));
              decoded.push({ sample, image: pixels, label: label[i] });
            });
          }
          return microbatch;
        },
      };
    },
    onEvent: () => undefined,
  });
  const summary = await started.coordination.done;
  session.leave();
  await session.ended;

  // Fetched by hash from the coordinator; what came damaged was asked for again, and nothing else was.
  const announced = [...dataset.train.shards, ...dataset.test.shards].map(({ sha256 }) => sha256);
  expect(shards.length).toBe(new Set(shards).size + 1);
  expect(shards.filter((sha256) => sha256 === shards[0])).toHaveLength(2);
  expect(announced).toEqual(expect.arrayContaining(shards));
  expect([...new Set(shards)]).toEqual(expect.arrayContaining(dataset.train.shards.map(({ sha256 }) => sha256)));
  // Kept under its hash, as it hashes.
  for (const sha256 of new Set(shards)) {
    const bytes = storage.held.get(`shards/${sha256}`);
    expect(createHash("sha256").update(bytes!).digest("hex")).toBe(sha256);
  }
  // Decoded to what the importer made, from both shards.
  expect(new Set(decoded.map(({ sample }) => locateSample(dataset, "train", sample).shard))).toEqual(new Set([0, 1]));
  for (const { sample, image, label } of decoded) {
    const { content, target } = wave(sample, 3);
    expect(label).toBe(target);
    const at = (sample * 37) % content.length;
    const expected = (content[at] / 255 - dataset.mean[at % 3]) / dataset.std[at % 3];
    expect(image[at]).toBeCloseTo(expected, 5);
  }
  // Learned: the loss of three classes begins at ln 3.
  const losses = started.jsonLines.map((line) => JSON.parse(line)).filter(({ event }) => event === "step");
  expect(summary).toMatchObject({ step: 24 });
  expect(losses[0].loss.task).toBeGreaterThan(0.8);
  expect(losses.at(-1).loss.task).toBeLessThan(0.4);
}, 300_000);
