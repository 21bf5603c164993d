// Our own kernels and plan, behind the interface that the peers have.

import { convolutionPass } from "../../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../../kernels/convolution/pass/pass.ts";
import { packSigns } from "../../../kernels/layers/pack-signs.ts";
import type { Kernel, KernelSequence } from "../../../kernels/text/kernel.ts";
import { rbcnGradients, weightSurrogate } from "../../../shared/model/methods/rbcn.ts";
import { packSignPlanes } from "../../../shared/model/sign-planes.ts";
import { outputHeight, outputWidth, signWords } from "../../../shared/model/window.ts";
import { METRICS } from "../../../shared/wire/contribution.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import type { Launch, Ref } from "../../../worker/plan/launch-list.ts";
import { storageBuffer } from "../../../worker/plan/recording.ts";
import type { BenchDevice } from "../bench-device.ts";
import { fastestTilings } from "../fastest-tiling.ts";
import { type PreparedStep, prepareStep } from "../prepared-step.ts";
import { type Bound, bind, submit } from "../replay.ts";
import type { StepCase } from "../step-cases.ts";
import type { Stopwatch } from "../stopwatch.ts";
import { type LayerData, type LayerRun, type NetworkRun, trained } from "./peer.ts";

// GPUBufferUsage and GPUMapMode; the namespace objects are missing in some runtimes.
const MAP_READ = 1;
const COPY_DST = 8;

async function readFloats(device: GPUDevice, buffer: GPUBuffer, elements: number): Promise<Float32Array> {
  const host = device.createBuffer({ size: 4 * elements, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, host, 0, 4 * elements);
  device.queue.submit([encoder.finish()]);
  await host.mapAsync(MAP_READ);
  const values = new Float32Array(host.getMappedRange().slice(0));
  host.destroy();
  return values;
}

/** The passes of one layer, and those of the float layer of the same shape. */
function layerPasses({ shape }: LayerData) {
  const rectify = "kernel";
  return {
    forward: { verb: "binaryConvForward", shape, rectify },
    inputGradient: { verb: "binaryConvInputGradient", shape, rectify, surrogate: "bireal", accumulate: false },
    weightGradient: { verb: "binaryConvWeightGradient", shape },
    float: { verb: "convForward", shape, bias: false },
  } as const satisfies Record<string, ConvolutionPass>;
}

export interface OurLayer extends LayerRun {
  /** The float forward pass of the same shape. */
  readonly floatForward: () => Promise<void>;
}

export async function ourLayer(bench: BenchDevice, watch: Stopwatch, data: LayerData): Promise<OurLayer> {
  const { device, cache } = bench;
  const { n, h, w, in: input, out, kernel } = data.shape;
  const passes = layerPasses(data);
  const choose = await fastestTilings(bench, watch, Object.values(passes));
  const buffers = new Map<string, GPUBuffer>();
  const make = (name: string, elements: number, values?: Float32Array | Uint32Array) => {
    const buffer = storageBuffer(device, name, 16 * Math.ceil(elements / 4));
    if (values) device.queue.writeBuffer(buffer, 0, Uint32Array.from(new Uint32Array(values.buffer)));
    buffers.set(name, buffer);
  };
  const outputs = n * outputHeight(data.shape) * outputWidth(data.shape) * out;
  const planes = packSignPlanes(data.w, out * kernel * kernel, input);
  make("x", data.x.length, data.x);
  make("bits", n * h * w * signWords(input));
  make("w", planes.length, planes);
  make("floatW", data.w.length, data.w);
  make("c", data.c.length, data.c);
  make("dy", data.dy.length, data.dy);
  make("y", outputs);
  make("dx", data.x.length);
  make("dw", data.w.length);

  const bindSequence = (verb: KernelSequence | Kernel, rename: Readonly<Record<string, string>> = {}) => {
    const sequence = "kernels" in verb ? verb : { kernels: [verb], scratchBytes: 0 };
    const scratch = `scratch of ${sequence.kernels[0].label}`;
    if (sequence.scratchBytes > 0) make(scratch, sequence.scratchBytes / 4);
    const names: string[] = [];
    const launches = sequence.kernels.map(
      (each): Launch => ({
        kernel: each,
        refs: each.bindings.map(({ name }): Ref => {
          names.push(name === "scratch" ? scratch : (rename[name] ?? name));
          return { kind: "transient", id: names.length - 1, offset: 0, bytes: buffers.get(names.at(-1)!)!.size };
        }),
      }),
    );
    return bind(cache, launches, (ref) => ({
      buffer: buffers.get(names[ref.kind === "transient" ? ref.id : 0])!,
    }));
  };
  const convolution = (pass: ConvolutionPass, rename?: Readonly<Record<string, string>>) =>
    bindSequence(convolutionPass(pass, choose(pass)), rename);
  const pack = await bindSequence(packSigns({ rows: n * h * w, channels: input }));
  const forward = [...pack, ...(await convolution(passes.forward, { a: "bits" }))];
  const backward = [
    ...forward,
    ...(await convolution(passes.inputGradient)),
    ...(await convolution(passes.weightGradient, { a: "bits" })),
  ];
  const floatForward = await convolution(passes.float, { w: "floatW" });
  const run = async (bound: readonly Bound[]) => {
    submit(device, bound, 1);
    await device.queue.onSubmittedWorkDone();
  };
  return {
    forward: () => run(forward),
    forwardBackward: () => run(backward),
    floatForward: () => run(floatForward),
    results: async () => {
      await run(backward);
      const read = (name: string, elements: number) => readFloats(device, buffers.get(name)!, elements);
      const gradient = await read("dw", data.w.length);
      // The last factors, which the coordinator applies once a step: C of the tap and the surrogate of W.
      const taps = kernel * kernel;
      const dw = gradient.map((g, i) => g * data.c[Math.floor(i / input) % taps] * weightSurrogate(data.w[i]));
      return { y: await read("y", outputs), dx: await read("dx", data.x.length), dw };
    },
    dispose: () => {
      for (const buffer of buffers.values()) buffer.destroy();
    },
  };
}

export interface OurNetwork extends NetworkRun {
  readonly prepared: PreparedStep;
}

type Four = readonly [number, number, number, number];

/** Our gradients as the peers have them: of latent W and of C, not of their product. */
async function networkResults(bench: BenchDevice, step: StepCase, prepared: PreparedStep) {
  const { layout } = prepared.plan;
  const { entries } = step.networks.student.manifest;
  const arena = await readFloats(bench.device, prepared.round.gradient, layout.size);
  const sent = new Map(layout.tensors.map(({ name, offset, size }) => [name, arena.subarray(offset, offset + size)]));
  const gradients = new Map<string, Float32Array>();
  for (const { name, role, shape } of trained({ entries })) {
    if (role === "learned") continue;
    if (role !== "latent") {
      gradients.set(name, parameter(sent, name));
      continue;
    }
    const cName = name.replace(/weight$/, "c");
    const rectifierShape = entries.find((entry) => entry.name === cName)?.shape as Four;
    const latent = rbcnGradients(
      {
        shape: shape as Four,
        rectifierShape,
        weight: parameter(prepared.parameters, name),
        rectifier: parameter(prepared.parameters, cName),
        gradient: Float64Array.from(parameter(sent, name)),
      },
      { kernelGradient: "direct", lambdaKernel: 0 },
    );
    gradients.set(name, Float32Array.from(latent.weight));
    gradients.set(cName, Float32Array.from(latent.rectifier));
  }
  return { loss: parameter(sent, METRICS)[0], gradients };
}

export async function ourNetwork(bench: BenchDevice, watch: Stopwatch, step: StepCase): Promise<OurNetwork> {
  const prepared = await prepareStep(bench, watch, step);
  const run = async () => {
    prepared.submit(1);
    await bench.device.queue.onSubmittedWorkDone();
  };
  return {
    prepared,
    step: run,
    results: async () => {
      await run();
      return networkResults(bench, step, prepared);
    },
    dispose: prepared.destroy,
  };
}
