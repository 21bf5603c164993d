// The numbers of an inner step that change from step to step, as the update kernels read them: one small buffer, so
// that a recording can be replayed.

import type { RunConfig } from "../../shared/run/config.ts";

/** Parameters that are updated alike. */
export type UpdateGroup = "float" | "latent" | "learned" | "critic";

const groups: readonly UpdateGroup[] = ["float", "latent", "learned", "critic"];
/** Floats of a group: the step size, 1/√(1−β₂ᵗ), the decoupled decay, and one to spare. */
const GROUP_FLOATS = 4;

/** Index of a group's first number. */
export function rateIndex(group: UpdateGroup): number {
  return GROUP_FLOATS * groups.indexOf(group);
}

/** Index of the lease's samples. */
export const SAMPLES_INDEX = GROUP_FLOATS * groups.length;
export const RATES = SAMPLES_INDEX + 1;

export interface InnerStep {
  /** The lease's learning rate. */
  readonly learningRate: number;
  /** From 1 at each lease: the inner optimizer begins anew there. */
  readonly step: number;
  /** Samples of the whole lease. */
  readonly samples: number;
}

type RatesConfig = Pick<RunConfig, "sync" | "optimizer" | "adversarial">;

function adam(learningRate: number, beta1: number, beta2: number, step: number, weightDecay: number): number[] {
  return [learningRate / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step), learningRate * weightDecay];
}

/** f32 [RATES] of one inner step. */
export function innerRates(
  { sync, optimizer, adversarial }: RatesConfig,
  { learningRate, step, samples }: InnerStep,
): Float32Array<ArrayBuffer> {
  const rates = new Float32Array(RATES);
  const put = (group: UpdateGroup, values: readonly number[]) => rates.set(values, rateIndex(group));
  const slow = learningRate * optimizer.rectifierRate;
  if (sync.kind === "local" && sync.inner.kind === "adamw") {
    const { beta1, beta2, weightDecay } = sync.inner;
    put("float", adam(learningRate, beta1, beta2, step, weightDecay));
    put("latent", adam(learningRate, beta1, beta2, step, optimizer.latentWeightDecay));
    put("learned", adam(slow, beta1, beta2, step, 0));
  } else {
    put("float", [learningRate]);
    put("latent", [learningRate]);
    put("learned", [slow]);
  }
  put("critic", adam(adversarial.learningRate, adversarial.beta1, adversarial.beta2, step, 0));
  rates[SAMPLES_INDEX] = samples;
  return rates;
}
