// Who packs signs on a device: whom its traits suggest, unless that gives other bits than it should there.

import { type Packing, packingFor } from "../../kernels/layers/pack-lanes.ts";
import { packSigns } from "../../kernels/layers/pack-signs.ts";
import type { AdapterTraits } from "../../kernels/text/adapter-traits.ts";
import { signWords } from "../../shared/model/window.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import { storageBuffer } from "../plan/recording.ts";
import { readBuffer } from "./pass-bench.ts";

/** Several workgroups, the last one partly; words that hold the end of a row. */
const ROWS = 37;
const CHANNELS = 200;

/** The suggested packing where it packs right, else one invocation a word, which every device can do. */
export async function checkedPacking(cache: PipelineCache, traits: AdapterTraits): Promise<Packing> {
  const suggested = packingFor(traits);
  if (suggested === "words") return suggested;
  try {
    return (await packsRight(cache, suggested)) ? suggested : "words";
  } catch {
    // It does not compile here.
    return "words";
  }
}

/** A pattern without a period that a workgroup or a subgroup has. */
function isNegative(element: number): boolean {
  return (element * element) % 7 < 3;
}

/** Whether a packing gives the bits that it should. @throws what the device says where it refuses the kernel */
export async function packsRight(cache: PipelineCache, how: Packing): Promise<boolean> {
  const { device } = cache;
  const kernel = packSigns({ rows: ROWS, channels: CHANNELS, how });
  const { pipeline, layout } = await cache.get(kernel);
  const words = signWords(CHANNELS);
  const x = storageBuffer(device, "values", 4 * ROWS * CHANNELS);
  const bits = storageBuffer(device, "signs", 4 * ROWS * words);
  try {
    const values = Float32Array.from({ length: ROWS * CHANNELS }, (_, i) => (isNegative(i) ? -1 - i : i));
    device.queue.writeBuffer(x, 0, values);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [x, bits].map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...kernel.grid);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const packed = new Uint32Array(await readBuffer(device, bits));
    const bitAt = (row: number, channel: number) => (packed[row * words + (channel >>> 5)] >>> (channel & 31)) & 1;
    for (let row = 0; row < ROWS; row++) {
      for (let channel = 0; channel < 32 * words; channel++) {
        const wanted = channel < CHANNELS && isNegative(row * CHANNELS + channel) ? 1 : 0;
        if (bitAt(row, channel) !== wanted) return false;
      }
    }
    return true;
  } finally {
    x.destroy();
    bits.destroy();
  }
}
