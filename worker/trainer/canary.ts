// Answers the coordinator's canary with this GPU and the kernels that a lease would run: their sums are integers, and
// have to be exact.

import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { planeForm, planeScales } from "../../kernels/convolution/pass/planes.ts";
import { type CanaryLayer, canaryHash, canaryOperands } from "../../shared/model/canary.ts";
import { rectifyShape } from "../../shared/model/rectify.ts";
import { groupCount, outputHeight, outputWidth } from "../../shared/model/window.ts";
import { adapterTraits, type OpenDevice } from "../device.ts";
import { PipelineCache } from "../pipeline-cache.ts";
import { storageBuffer } from "../plan/recording.ts";
import { readBuffer } from "../tuning/pass-bench.ts";

type Words = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/** The hash of all layers' sums. @throws what the device says where it refuses a kernel or is lost */
export async function answerCanary(open: OpenDevice, layers: readonly CanaryLayer[], seed: number): Promise<number> {
  const cache = new PipelineCache(open.device);
  const sums: Float32Array[] = [];
  for (const [index, layer] of layers.entries()) sums.push(await layerSums(open, cache, layer, index, seed));
  return canaryHash(sums);
}

/** The pass that a lease would run for a layer. */
function passOf(layer: CanaryLayer): ConvolutionPass {
  const { shape } = layer;
  if (!("planes" in layer)) return { verb: "binaryConvForward", shape, rectify: layer.rectify };
  const { activations, weights } = layer.planes;
  return {
    verb: "planesConvForward",
    shape,
    activations: activations.kind === "sign" ? { kind: "sign" } : activations,
    weights,
  };
}

/** Every scale of a pass is 1. */
function scalesOf(pass: ConvolutionPass): Readonly<Record<string, Words>> {
  const ones = (length: number) => new Float32Array(length).fill(1);
  if (pass.verb === "planesConvForward") {
    return { c: ones(planeScales(pass, pass.shape)), b: ones(planeForm(pass).activations) };
  }
  if (!("rectify" in pass)) throw new RangeError(`the canary has no ${pass.verb}`);
  const { out, kernel, in: input } = pass.shape;
  const scales = rectifyShape(pass.rectify, groupCount(pass.shape) * out, kernel, input);
  return { c: ones(scales.reduce((p, q) => p * q, 1)) };
}

/** f32 [oh][ow][out]. */
async function layerSums(
  open: OpenDevice,
  cache: PipelineCache,
  layer: CanaryLayer,
  index: number,
  seed: number,
): Promise<Float32Array> {
  const { device } = open;
  const { shape } = layer;
  const pass = passOf(layer);
  const { kernels, scratchBytes } = convolutionPass(pass, tilings(pass, adapterTraits(open))[0]);
  const { a, w } = canaryOperands(layer, index, seed);
  const outputs = outputHeight(shape) * outputWidth(shape) * groupCount(shape) * shape.out;
  // What is not written must not pass for a sum.
  const data: Record<string, Words> = {
    a,
    w,
    ...scalesOf(pass),
    y: new Float32Array(outputs).fill(Number.NaN),
    // Deno ends where nothing is written to a buffer.
    ...(scratchBytes > 0 ? { scratch: new Float32Array(scratchBytes / 4) } : {}),
  };
  const buffers = new Map<string, GPUBuffer>();
  try {
    for (const [name, words] of Object.entries(data)) {
      const buffer = storageBuffer(device, `canary ${name}`, Math.max(16, Math.ceil(words.byteLength / 16) * 16));
      device.queue.writeBuffer(buffer, 0, words);
      buffers.set(name, buffer);
    }
    const bufferOf = (name: string): GPUBuffer => {
      const buffer = buffers.get(name);
      if (!buffer) throw new RangeError(`the canary has no operand ${name}`);
      return buffer;
    };
    const compiled = await Promise.all(kernels.map((kernel) => cache.get(kernel)));
    const encoder = device.createCommandEncoder();
    const recording = encoder.beginComputePass();
    kernels.forEach(({ bindings, grid }, i) => {
      const entries = bindings.map(({ name }, binding) => ({ binding, resource: { buffer: bufferOf(name) } }));
      recording.setPipeline(compiled[i].pipeline);
      recording.setBindGroup(0, device.createBindGroup({ layout: compiled[i].layout, entries }));
      recording.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    });
    recording.end();
    device.queue.submit([encoder.finish()]);
    const sums = new Float32Array(await readBuffer(device, bufferOf("y"), 4 * outputs));
    if (pass.verb !== "planesConvForward" || pass.activations.kind !== "bits") return sums;
    // Of k bits, whose sums are divided: the integer before that is the nearest.
    const levels = 2 ** pass.activations.bits - 1;
    return sums.map((sum) => Math.round(sum * levels));
  } finally {
    for (const buffer of buffers.values()) buffer.destroy();
  }
}
