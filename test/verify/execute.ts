// Runs a launch list once on a device and reads tensors back: the recording that training replays, with every buffer in
// sight.

import type { Manifest } from "../../shared/model/manifest.ts";
import { contributionLayout } from "../../shared/wire/contribution.ts";
import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { LaunchList, Ref } from "../../worker/plan/launch-list.ts";
import { type Externals, Recording, storageBuffer } from "../../worker/plan/recording.ts";
import { everything } from "../fixtures/phases.ts";

export type HostData = Readonly<Record<string, Uint8Array | Float32Array | Uint32Array>>;

export interface Executed {
  /** f32 values of a range. */
  readonly read: (ref: Ref) => Promise<Float32Array>;
  /** Bytes allocated for tensors of the list's own. */
  readonly bytes: number;
  readonly destroy: () => void;
}

function bytesOf(data: Uint8Array | Float32Array | Uint32Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

/** @throws Error with the device's message where anything is invalid */
export async function execute(cache: PipelineCache, list: LaunchList, data: HostData): Promise<Executed> {
  const { device } = cache;
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const buffers = Object.fromEntries(
    Object.entries(data).map(([name, value = new Uint8Array()]) => {
      const buffer = storageBuffer(device, name, value.byteLength);
      const bytes = bytesOf(value);
      const padded = new Uint8Array(buffer.size);
      padded.set(bytes);
      device.queue.writeBuffer(buffer, 0, padded);
      return [name, buffer];
    }),
  ) as Externals;
  const recording = await Recording.create(cache, list, buffers);
  const encoder = device.createCommandEncoder();
  recording.encode(encoder);
  device.queue.submit([encoder.finish()]);
  for (const error of [await device.popErrorScope(), await device.popErrorScope()]) {
    if (error) throw new Error(`the device refused the program: ${error.message}`);
  }
  return {
    bytes: recording.bytes,
    read: (ref) => readBack(device, recording.rangeOf(ref)),
    destroy: () => {
      recording.destroy();
      for (const buffer of Object.values(buffers)) buffer?.destroy();
    },
  };
}

async function readBack(
  device: GPUDevice,
  { buffer, offset, size }: ReturnType<Recording["rangeOf"]>,
): Promise<Float32Array> {
  // MAP_READ | COPY_DST
  const host = device.createBuffer({ size, usage: 1 | 8 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, offset, host, 0, size);
  device.queue.submit([encoder.finish()]);
  await host.mapAsync(1);
  const values = new Float32Array(host.getMappedRange().slice(0));
  host.destroy();
  return values;
}

/** Empty buffers that every plan binds for its contribution. */
export function roundData(manifest: Manifest): HostData {
  const layout = contributionLayout(manifest, everything);
  return {
    gradient: new Float32Array(layout.size),
    sum: new Float32Array(layout.size),
    segments: layout.segments,
    scales: new Float32Array(layout.tensors.length).fill(2 ** 16),
    peaks: new Uint32Array(layout.tensors.length),
  };
}
