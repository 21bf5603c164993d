// Samples on their way to a device: bytes arrive as the floats that the host's table has, of odd sizes and of
// microbatches shorter than the buffer too.

import { expect, test } from "vitest";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { normaliseTable } from "../../../shared/tasks/pixels.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { SampleBuffers } from "../../../worker/trainer/sample-buffers.ts";
import { readBuffer } from "../../../worker/tuning/pass-bench.ts";
import { testDevice } from "../../fixtures/device.ts";

const shape = { h: 5, w: 5, c: 3 };
const split = { samples: 3, shards: [{ sha256: "ab".repeat(32), samples: 3, bytes: 1 }] };
const dataset: Dataset = {
  name: "odd",
  format: { kind: "raw" },
  shape,
  classes: 10,
  mean: [0.1, 0.4, 0.7],
  std: [0.2, 0.3, 0.5],
  train: split,
  test: split,
};
const IMAGE = 75;

test("a microbatch and a shorter one after it are what the table says, and f32 is taken as it is", async () => {
  const device = await testDevice();
  const config = parseConfig({ microbatch: 3, batch: 3, data: { kind: "idx" } });
  const buffers = new SampleBuffers(new PipelineCache(device), config, dataset);
  const recording = await buffers.ready();
  const table = normaliseTable(dataset);
  const image = buffers.externals["sample.image"]!;
  const written = async (values: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>, n: number) => {
    const encoder = device.createCommandEncoder();
    buffers.write({ image: values, label: new Uint32Array(n) }, encoder, recording);
    device.queue.submit([encoder.finish()]);
    return new Float32Array(await readBuffer(device, image, 4 * n * IMAGE));
  };
  const bytes = (n: number, first: number) => Uint8Array.from({ length: n * IMAGE }, (_, i) => (first + 7 * i) % 256);
  for (const [n, first] of [
    [3, 0],
    [1, 200],
    [2, 3],
  ] as const) {
    const values = bytes(n, first);
    expect(await written(values, n)).toEqual(Float32Array.from(values, (value, i) => table[value * 3 + (i % 3)]!));
  }
  const floats = Float32Array.from({ length: IMAGE }, (_, i) => i / 3);
  expect(await written(floats, 1)).toEqual(floats);
  buffers.destroy();
});
