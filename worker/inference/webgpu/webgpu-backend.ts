// The program of a network that predicts, on a GPU: one pass, and its logits read back.

import { PipelineCache } from "../../pipeline-cache.ts";
import type { Backend } from "../program/backend.ts";
import type { Program } from "../program/program.ts";
import { accepted, type Constants, type MapValue, padded, record, USAGE } from "./record.ts";

const MAP_READ = 1;

/**
 * @param device destroyed with the backend, where `owned`
 * @throws COMPUTE_FAILED for what the device refuses
 */
export function webgpuBackend(program: Program, device: GPUDevice, owned = true): Promise<Backend> {
  return accepted(device, () => recorded(program, device, owned));
}

async function recorded(program: Program, device: GPUDevice, owned: boolean): Promise<Backend> {
  const constants: Constants = new Map();
  const recording = await record(program, new PipelineCache(device), constants);
  const [from, to] = [program.values[program.input], program.values[program.output]] as MapValue[];
  const staging = device.createBuffer({ size: 4 * padded(to.c), usage: USAGE.mapRead | USAGE.copyTarget });
  const pixels = new Float32Array(from.h * from.w * padded(from.c));

  const compute = async (values: Float32Array): Promise<Float32Array> => {
    const stride = padded(from.c);
    for (let p = 0; p < from.h * from.w; p++) {
      for (let c = 0; c < from.c; c++) pixels[p * stride + c] = values[p * from.c + c];
    }
    device.queue.writeBuffer(recording.input, 0, pixels);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    recording.encode(pass);
    pass.end();
    encoder.copyBufferToBuffer(recording.output, 0, staging, 0, staging.size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    const logits = new Float32Array(staging.getMappedRange().slice(0, 4 * to.c));
    staging.unmap();
    return logits;
  };
  // One picture at a time: the next begins when the one before has come back.
  let turn: Promise<unknown> = Promise.resolve();
  return {
    kind: "webgpu",
    run: (values) => {
      const next = turn.then(() => compute(values));
      turn = next.catch(() => undefined);
      return next;
    },
    dispose: () => {
      recording.destroy();
      for (const one of [...constants.values(), staging]) one.destroy();
      if (owned) device.destroy();
    },
  };
}
