// A microbatch of a round, compiled and bound on synthetic data: what a trainer replays, with each launch told apart by
// its class.

import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { quadsFor } from "../../kernels/text/quads.ts";
import { wireManifest } from "../../shared/run/networks.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../shared/wire/parameter-blob.ts";
import type { ChooseTiling } from "../../worker/plan/launch-list.ts";
import { frozenBuffer } from "../../worker/plan/launch-list.ts";
import { compilePlan, type Plan, type PlanOptions } from "../../worker/plan/plan.ts";
import { type Externals, Recording, storageBuffer } from "../../worker/plan/recording.ts";
import { classificationLoss } from "../../worker/tasks/classification.ts";
import { RoundBuffers } from "../../worker/trainer/round-buffers.ts";
import { createSampleDecoder } from "../../worker/trainer/sample-decoder.ts";
import type { MicrobatchInput } from "../../worker/trainer/trainer-contract.ts";
import type { BenchDevice } from "./bench-device.ts";
import { fastestTilings } from "./fastest-tiling.ts";
import { type Bound, bind } from "./replay.ts";
import type { StepCase } from "./step-cases.ts";
import type { Stopwatch } from "./stopwatch.ts";
import { freshParameters, syntheticShards } from "./synthetic.ts";

export const launchClasses = ["forward", "input gradient", "weight gradient", "discriminators", "other"] as const;
/** Which pass of a convolution a launch belongs to, whether it is a discriminator's matrix product, or `other`. */
export type LaunchClass = (typeof launchClasses)[number];

export interface PreparedStep {
  readonly plan: Plan;
  readonly recording: Recording;
  readonly round: RoundBuffers;
  readonly parameters: Parameters;
  readonly launches: readonly Bound[];
  readonly classOf: (bound: Bound) => LaunchClass;
  /** Milliseconds of Recording.create, and the texts that it compiled for the first time in this process. */
  readonly compileMs: number;
  readonly pipelines: number;
  /** Decodes and augments the microbatch, as a lease does. */
  readonly decode: () => MicrobatchInput;
  /** Sends a decoded microbatch to the device. */
  readonly write: (input: MicrobatchInput) => void;
  /** Encodes and submits so many microbatches, each as a trainer does. */
  readonly submit: (times: number) => void;
  readonly destroy: () => void;
}

function classifier(plan: Plan, choose: ChooseTiling): (bound: Bound) => LaunchClass {
  const classes = new Map<string, LaunchClass>();
  for (const pass of plan.list.passes.values()) {
    const found: LaunchClass = /Forward$/.test(pass.verb)
      ? "forward"
      : /InputGradient$/.test(pass.verb)
        ? "input gradient"
        : "weight gradient";
    for (const { wgsl } of convolutionPass(pass, choose(pass)).kernels) classes.set(wgsl, found);
  }
  return ({ launch: { kernel } }) =>
    classes.get(kernel.wgsl) ?? (kernel.label.startsWith("groupedLinear") ? "discriminators" : "other");
}

/** Chooses the fastest tilings first, as a worker's tuner does. */
export async function prepareStep(bench: BenchDevice, watch: Stopwatch, step: StepCase): Promise<PreparedStep> {
  const { device, cache } = bench;
  const { networks, phase, n, config, dataset } = step;
  const options: PlanOptions = {
    networks,
    phase,
    n,
    adversarialReduce: config.adversarial.reduce,
    loss: classificationLoss(0),
    accumulate: "exact",
    quads: quadsFor(bench.traits),
  };
  const choose = await fastestTilings(bench, watch, compilePlan(options).list.passes.values());
  const plan = compilePlan({ ...options, choose });
  const round = new RoundBuffers(device, plan.layout);
  const manifest = wireManifest(networks, phase.network);
  const parameters = freshParameters(manifest);
  const decoder = createSampleDecoder(config, dataset);
  const shards = syntheticShards(dataset);
  const samples = Array.from({ length: n }, (_, i) => i);
  const split = phase.evaluate ? "test" : "train";
  const decode = () => decoder.decode({ phase: phase.name, epoch: 0, split }, samples, shards);
  const input = decode();
  const upload = (label: string, data: Uint8Array<ArrayBuffer>): GPUBuffer => {
    const buffer = storageBuffer(device, label, data.byteLength);
    device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  const frozen = phase.needs.map((name) => {
    const own = networks[name].manifest;
    return [frozenBuffer(name), upload(name, encodeBlob(own, blobLayout(own), freshParameters(own)))] as const;
  });
  const own: Externals = {
    parameters: upload("parameters", encodeBlob(manifest, blobLayout(manifest), parameters)),
    ...Object.fromEntries(frozen),
    ...Object.fromEntries(
      Object.entries(input).map(([name, { byteLength }]) => [
        `sample.${name}`,
        storageBuffer(device, name, byteLength),
      ]),
    ),
  };
  const write = (samples: MicrobatchInput) => {
    for (const [name, values] of Object.entries(samples)) {
      device.queue.writeBuffer(own[`sample.${name}`]!, 0, values);
    }
  };
  write(input);
  const { gradient, segments, scales, sum, peaks } = round;
  const texts = new Set(plan.list.launches.map(({ kernel }) => kernel.wgsl));
  const fresh = [...texts].filter((text) => !bench.compiled.has(text));
  const start = performance.now();
  const recording = await Recording.create(cache, plan.list, { ...own, gradient, segments, scales, sum, peaks });
  const compileMs = performance.now() - start;
  for (const text of fresh) bench.compiled.add(text);
  round.begin(plan.layout.tensors.map(() => -16));
  return {
    plan,
    recording,
    round,
    parameters,
    launches: await bind(cache, plan.list.launches, (ref) => recording.rangeOf(ref)),
    classOf: classifier(plan, choose),
    compileMs,
    pipelines: fresh.length,
    decode,
    write,
    submit: (times) => {
      for (let i = 0; i < times; i++) {
        const encoder = device.createCommandEncoder();
        recording.encode(encoder);
        device.queue.submit([encoder.finish()]);
      }
    },
    destroy: () => {
      recording.destroy();
      round.destroy();
      for (const buffer of Object.values(own)) buffer?.destroy();
    },
  };
}
