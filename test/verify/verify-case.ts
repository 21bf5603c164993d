// One oracle file on one device: the registry of operations and reports that are plain data, so they can cross a
// process boundary.

import type { AdapterTraits } from "../../kernels/text/adapter-traits.ts";
import { quadsFor } from "../../kernels/text/quads.ts";
import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { Comparison } from "./compare.ts";
import { type ForcedTilings, TilingTurns } from "./forced-tilings.ts";
import { verifyBatchNorm, verifyConv, verifyKernelLoss, verifyPool, verifyPrelu, verifyRbconv } from "./layer-cases.ts";
import {
  NotSupported,
  notSupportedOperation,
  verifyActivation,
  verifyBnnStep,
  verifyQuantizedConv,
  verifyWeightTransform,
} from "./method-cases.ts";
import { verifyDiscriminator, verifyLinearCrossEntropy, verifyRbcnStep } from "./network-cases.ts";
import { type OracleCase, readOracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

type Verify = (rig: Rig, test: OracleCase) => Promise<Comparison[]>;

const operations: Readonly<Record<string, Verify>> = {
  rbconv: verifyRbconv,
  conv: verifyConv,
  batchnorm: verifyBatchNorm,
  prelu: verifyPrelu,
  pool: verifyPool,
  linear_ce: verifyLinearCrossEntropy,
  discriminator: verifyDiscriminator,
  kernel_loss: verifyKernelLoss,
  rbcn_step: verifyRbcnStep,
  weight_transform: verifyWeightTransform,
  activation: verifyActivation,
  quantized_conv: verifyQuantizedConv,
  bnn_step: verifyBnnStep,
  distillation: notSupportedOperation("distillation"),
  gradient_quantizer: notSupportedOperation("gradient_quantizer"),
  lab_step: notSupportedOperation("lab_step"),
  inq_step: notSupportedOperation("inq_step"),
  mask_step: notSupportedOperation("mask_step"),
};

export interface CaseReport {
  readonly file: string;
  readonly op: string;
  /** Which tilings its convolutions had. */
  readonly tilings: string;
  readonly comparisons: readonly Comparison[];
  /** Why the case could not be run at all. */
  readonly error?: string;
  /** What of the case the product does not do yet, by name; then nothing was compared. */
  readonly notSupported?: string;
}

/** A report for each turn of tilings; the default's comes first. */
export async function* verifyCase(
  cache: PipelineCache,
  traits: AdapterTraits,
  which: ForcedTilings,
  file: string,
  bytes: Uint8Array,
): AsyncGenerator<CaseReport> {
  const forced = new TilingTurns(traits);
  for (const turn of forced.turns(which)) {
    let op = "?";
    try {
      const test = readOracleCase(bytes);
      op = test.op;
      const verify = operations[op];
      if (!verify)
        throw new RangeError(`unknown op ${JSON.stringify(op)}; known are ${Object.keys(operations).join(", ")}`);
      const quads = turn !== "naive" && quadsFor(traits);
      const comparisons = await verify({ cache, choose: (pass) => forced.choose(turn, pass), quads }, test);
      yield { file, op, tilings: forced.describe(turn), comparisons };
    } catch (error) {
      if (error instanceof NotSupported) {
        yield { file, op, tilings: forced.describe(turn), comparisons: [], notSupported: error.message };
        return;
      }
      const message = error instanceof Error ? error.message : String(error);
      yield { file, op, tilings: forced.describe(turn), comparisons: [], error: message };
    }
  }
}
