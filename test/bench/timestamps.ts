// GPU time by timestamp queries, where the adapter has them: an extra, for drivers round them (Chromium to 100 µs).

import { type Bound, dispatch } from "./replay.ts";

// GPUBufferUsage and GPUMapMode; the namespace objects are missing in some runtimes.
const MAP_READ = 1;
const COPY_SRC = 4;
const COPY_DST = 8;
const QUERY_RESOLVE = 512;

/** Stretches of launches that are timed at once: a query set holds 4,096. */
const MOST_STRETCHES = 1024;

/** Milliseconds of each stretch of launches, run in order; undefined without the feature. */
export async function timestamps(
  device: GPUDevice,
  stretches: readonly (readonly Bound[])[],
): Promise<readonly number[] | undefined> {
  if (!device.features.has("timestamp-query") || stretches.length > MOST_STRETCHES) return undefined;
  const count = 2 * stretches.length;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const resolved = device.createBuffer({ size: 8 * count, usage: QUERY_RESOLVE | COPY_SRC });
  const host = device.createBuffer({ size: 8 * count, usage: MAP_READ | COPY_DST });
  try {
    const encoder = device.createCommandEncoder();
    stretches.forEach((stretch, i) => {
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      for (const each of stretch) dispatch(pass, each);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, host, 0, 8 * count);
    device.queue.submit([encoder.finish()]);
    await host.mapAsync(MAP_READ);
    const ns = new BigUint64Array(host.getMappedRange().slice(0));
    return stretches.map((_, i) => Number(ns[2 * i + 1] - ns[2 * i]) / 1e6);
  } finally {
    querySet.destroy();
    resolved.destroy();
    host.destroy();
  }
}
