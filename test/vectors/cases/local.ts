// Vector of a lease in `sync: local`: two microbatches, two inner steps, and what goes home.

import type { RbcnOptions } from "../../../shared/model/methods/rbcn.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { METRICS, phaseLayout } from "../../../shared/wire/contribution.ts";
import { innerStep } from "../reference/inner.ts";
import { referenceStep } from "../reference/step.ts";
import { base64 } from "../text.ts";
import { readByWorkers, vectorConfig, vectorNetworks } from "./run.ts";
import { describedParameters, microbatch, setsOf } from "./steps.ts";

const MICROBATCH = 2;
const SAMPLES = 4;
export const INNER_LEARNING_RATE = 0.05;

const given = {
  microbatch: MICROBATCH,
  method: { kind: "rbcn", ablation: "R", lambdaKernel: 0.1, kernelGradient: "both" },
  optimizer: { momentum: 0.9, weightDecay: 0.01, latentWeightDecay: 0.02, rectifierRate: 0.1 },
  sync: { kind: "local", inner: { kind: "sgd" } },
};

/** The lease in float64: values at its end, tallied metrics, and the least |x| whose sign was taken. */
export function localLease() {
  const config = vectorConfig(given);
  const networks = vectorNetworks(config);
  const phase = phaseNamed(phasesOf(config).outline, "student");
  const { manifest, graph } = networks[phase.network];
  const before = setsOf(config)[phase.network];
  const values = new Map([...before].map(([name, value]) => [name, Float64Array.from(value)]));
  const momenta = new Map<string, Float64Array>();
  const { image, label } = microbatch(config);
  const pixels = image.length / label.length;
  const metrics = new Float64Array(5);
  const method = config.method as unknown as RbcnOptions;
  let margin = 1;
  for (let from = 0; from < SAMPLES; from += MICROBATCH) {
    const { tensors, trace } = referenceStep({
      networks,
      phase,
      image: (image as Float32Array).slice(from * pixels, (from + MICROBATCH) * pixels),
      label: label.slice(from, from + MICROBATCH),
      values,
      frozen: {},
      labelSmoothing: 0.1,
      lambda: 0,
      reduce: "mean",
    });
    for (const node of graph.nodes) {
      if (node.op === "rbconv")
        for (const x of trace.outputs[node.input].values) margin = Math.min(margin, Math.abs(x));
    }
    tensors.get(METRICS)!.forEach((mean, i) => {
      metrics[i] += MICROBATCH * mean;
    });
    const options = { optimizer: config.optimizer, method, learningRate: INNER_LEARNING_RATE };
    innerStep(manifest.entries, values, momenta, tensors, options);
  }
  return { config, networks, phase, before, values, metrics, margin };
}

export function local() {
  const { config, networks, phase, before, values, metrics } = localLease();
  const layout = phaseLayout(networks, phase, config.sync.kind);
  return {
    config: readByWorkers(config),
    phase: phase.name,
    parameters: { [phase.network]: describedParameters(networks[phase.network].manifest, before) },
    samples: [0, 1, 2, 3],
    innerLearningRate: INNER_LEARNING_RATE,
    tensors: layout.tensors.map(({ name, kind }) => {
      const end = values.get(name) ?? metrics;
      const start = before.get(name);
      const sum = end.map((value, i) => {
        if (name === METRICS) return value;
        return SAMPLES * (kind === "difference" ? start![i] - value : value);
      });
      return { name, kind, values: base64(Float32Array.from(sum)) };
    }),
  };
}
