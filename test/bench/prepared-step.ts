// A microbatch of a round, compiled and bound on synthetic data: what a trainer replays, with each launch told apart by
// its class.

import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { quadsFor } from "../../kernels/text/quads.ts";
import { networkNamed, wireManifest } from "../../shared/run/networks.ts";
import type { MicrobatchInput } from "../../shared/samples/microbatch.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../shared/wire/parameter-blob.ts";
import type { ChooseTiling } from "../../worker/plan/launch-list.ts";
import { frozenBuffer } from "../../worker/plan/launch-list.ts";
import { compilePlan, type Plan, type PlanOptions } from "../../worker/plan/plan.ts";
import { type Externals, Recording, storageBuffer } from "../../worker/plan/recording.ts";
import { deviceTasks } from "../../worker/tasks/device-tasks.ts";
import { RoundBuffers } from "../../worker/trainer/round-buffers.ts";
import { SampleBuffers } from "../../worker/trainer/sample-buffers.ts";
import { heldDecoder } from "../fixtures/decode-samples.ts";
import type { BenchDevice } from "./bench-device.ts";
import { fastestTilings } from "./fastest-tiling.ts";
import { type Bound, bind } from "./replay.ts";
import type { StepCase } from "./step-cases.ts";
import type { Stopwatch } from "./stopwatch.ts";
import { freshNetwork, freshParameters, syntheticShards } from "./synthetic.ts";

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

function optionsOf(bench: Pick<BenchDevice, "traits">, { networks, phase, n, config }: StepCase): PlanOptions {
  return {
    networks,
    phase,
    n,
    adversarialReduce: config.adversarial.reduce,
    loss: deviceTasks.get(config.task.kind).loss(config.task),
    accumulate: "exact",
    quads: quadsFor(bench.traits),
  };
}

/** The plan with the tilings that the kernels choose. */
export function planOf(bench: Pick<BenchDevice, "traits">, step: StepCase): Plan {
  return compilePlan({ ...optionsOf(bench, step), choose: (pass) => tilings(pass, bench.traits)[0] });
}

function constant<T>(value: T): () => T {
  return () => value;
}

/** Decodes and augments the microbatch, as a lease does. */
function decoding({ config, dataset, phase, n }: StepCase): () => MicrobatchInput {
  const decoder = heldDecoder(config, dataset);
  const shards = syntheticShards(dataset);
  const samples = Array.from({ length: n }, (_, i) => i);
  const split = phase.evaluate ? "test" : "train";
  return () => decoder({ phase: phase.name, epoch: 0, split }, samples, shards).input;
}

/** Chooses the fastest tilings first, as a worker's tuner does. */
export async function prepareStep(bench: BenchDevice, watch: Stopwatch, step: StepCase): Promise<PreparedStep> {
  const { device, cache } = bench;
  const { networks, phase, n, config, dataset } = step;
  const options = optionsOf(bench, step);
  const choose = await fastestTilings(bench, watch, compilePlan(options).list.passes.values());
  const plan = compilePlan({ ...options, choose });
  const round = new RoundBuffers(device, plan.layout);
  const manifest = wireManifest(networks, phase.network);
  const parameters = freshNetwork(networkNamed(networks, phase.network));
  const decode = step.decoded ? constant(step.decoded) : decoding(step);
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
  const held = new SampleBuffers(cache, { ...config, microbatch: n }, dataset);
  const own: Externals = {
    parameters: upload("parameters", encodeBlob(manifest, blobLayout(manifest), parameters)),
    ...Object.fromEntries(frozen),
    ...held.externals,
  };
  const unpacking = await held.ready();
  const write = (samples: MicrobatchInput) => {
    const encoder = device.createCommandEncoder();
    held.write(samples, encoder, unpacking);
    device.queue.submit([encoder.finish()]);
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
      held.destroy();
      for (const buffer of Object.values(own)) buffer?.destroy();
    },
  };
}
