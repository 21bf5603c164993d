// How the learning rate changes over a run: a factor on the configured rate, a pure function of the step.

interface Warmup {
  /** Steps of linear warm-up before the schedule proper; default 0. */
  readonly warmupSteps?: number;
}

/** `milestones` are steps, counted from the start of the run; at each of them the factor is multiplied by `gamma`. */
export type Schedule =
  | ({ readonly kind: "constant" } & Warmup)
  | ({ readonly kind: "cosine" } & Warmup)
  | ({ readonly kind: "step"; readonly milestones: readonly number[]; readonly gamma: number } & Warmup);

/**
 * The factor at `step` (from 0) of `totalSteps`. Warm-up rises as (step + 1) / warmupSteps to 1; `cosine` then falls
 * as (1 + cos πt) / 2 over the remaining steps, with t in [0, 1] (Loshchilov and Hutter, ICLR 2017), and stays at 0
 * from `totalSteps` on. The cosine is rounded to float32, as Math.cos may differ in its last bit between engines.
 */
export function learningRateFactor(schedule: Schedule, step: number, totalSteps: number): number {
  if (!Number.isInteger(step) || step < 0) throw new RangeError(`schedule: step is an integer from 0, got ${step}`);
  if (!Number.isInteger(totalSteps) || totalSteps < 1) {
    throw new RangeError(`schedule: totalSteps is an integer from 1, got ${totalSteps}`);
  }
  const warmupSteps = schedule.warmupSteps ?? 0;
  const warmup = step < warmupSteps ? (step + 1) / warmupSteps : 1;
  switch (schedule.kind) {
    case "constant":
      return warmup;
    case "cosine": {
      if (step < warmupSteps) return warmup;
      if (step >= totalSteps) return 0;
      const progress = (step - warmupSteps) / (totalSteps - warmupSteps);
      return Math.fround((1 + Math.cos(Math.PI * progress)) / 2);
    }
    case "step": {
      let factor = warmup;
      for (const milestone of schedule.milestones) if (step >= milestone) factor *= schedule.gamma;
      return factor;
    }
    default:
      return schedule satisfies never;
  }
}
