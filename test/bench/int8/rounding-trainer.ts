// A trainer that rounds as an int8 backward would, beside one that does not: now and then they compute the same microbatch, and
// the directions of their gradients are compared.

import { rng } from "../../../shared/base/rng.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { buildNetworks, roundManifest } from "../../../shared/run/networks.ts";
import { contributionLayout } from "../../../shared/wire/contribution.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { createTrainer } from "../../../worker/trainer/trainer.ts";
import type { LeaseResult, Trainer } from "../../../worker/trainer/trainer-contract.ts";
import type { TuningOptions } from "../../../worker/tuning/tuning-options.ts";
import { cosine } from "../statistics.ts";
import { roundBackward } from "./round-backward.ts";

/** Steps between two comparisons. */
const COMPARED_EVERY = 50;

/** Cosine of the rounded with the f32 gradient of one microbatch, by parameter. */
export interface Comparison {
  readonly kind: "student" | "bn";
  readonly step: number;
  readonly cosines: Readonly<Record<string, number>>;
}

/** @param compared called for every 50th step's first microbatch, where this trainer computes it */
export function roundingTrainer(
  device: GPUDevice,
  config: RunConfig,
  dataset: Dataset,
  tuning: TuningOptions,
  compared: (comparison: Comparison) => void,
): Trainer {
  const networks = buildNetworks(config, dataset);
  const rounding = roundBackward(device);
  const [rounded, plain] = [0, 1].map(() => createTrainer(device, config, dataset, tuning));
  const both = [rounded, plain];

  // The bodies of codec exact are integers of one unit a tensor.
  const cosinesOf = (a: LeaseResult, b: LeaseResult, { kind, network }: LeaseMessage) => {
    const { tensors } = contributionLayout(roundManifest(networks, kind, network), kind);
    const [left, right] = [a, b].map(({ body }) => Float64Array.from(new Int32Array(body.slice().buffer)));
    const named = tensors
      .filter(({ name, kind }) => kind === "gradient" && !name.startsWith("discriminator."))
      .map(({ name, offset, size }) => {
        const part = (all: Float64Array) => all.subarray(offset, offset + size);
        return [name, cosine(part(left), part(right))] as const;
      });
    return Object.fromEntries(named);
  };

  return {
    lost: rounded.lost,
    holds: (set, hash) => rounded.holds(set, hash),
    holdsTeacher: (hash) => rounded.holdsTeacher(hash),
    loadParameters: (set, hash, blob) => {
      for (const trainer of both) trainer.loadParameters(set, hash, blob);
    },
    loadTeacher: (hash, blob) => {
      for (const trainer of both) trainer.loadTeacher(hash, blob);
    },
    close: () => {
      for (const trainer of both) trainer.close();
    },
    compute: async (lease, input, aborted) => {
      const { kind, step, from } = lease;
      const drawn: typeof input = (from, to) => {
        rounding.draw(rng(config.seed, "int8 backward", kind, step, from).uint32());
        return input(from, to);
      };
      if ((kind === "student" || kind === "bn") && step % COMPARED_EVERY === 0 && from % config.batch === 0) {
        const microbatch = { ...lease, to: Math.min(from + config.microbatch, lease.to) };
        rounding.wanted = false;
        const a = await plain.compute(microbatch, input, aborted);
        rounding.wanted = true;
        const b = await rounded.compute(microbatch, drawn, aborted);
        if (a !== "aborted" && b !== "aborted") compared({ kind, step, cosines: cosinesOf(a, b, lease) });
      }
      return rounded.compute(lease, drawn, aborted);
    },
  };
}
