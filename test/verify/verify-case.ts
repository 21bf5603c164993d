// One oracle file on one device: the registry of operations and reports that are plain data, so they can cross a
// process boundary.

import type { AdapterTraits } from "../../kernels/text/adapter-traits.ts";
import { quadsFor } from "../../kernels/text/quads.ts";
import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import { verifyActivation, verifyGradientQuantizer } from "./activation-cases.ts";
import type { Comparison } from "./compare.ts";
import { verifyCorrelation } from "./correlation-cases.ts";
import { verifyDistillation } from "./distillation-cases.ts";
import { type ForcedTilings, TilingTurns } from "./forced-tilings.ts";
import { verifyBatchNorm, verifyConv, verifyKernelLoss, verifyPool, verifyPrelu, verifyRbconv } from "./layer-cases.ts";
import { verifyQuantizedConv, verifyWeightTransform } from "./method-cases.ts";
import { verifyDiscriminator, verifyLinearCrossEntropy, verifyRbcnStep } from "./network-cases.ts";
import { NotSupported } from "./not-supported.ts";
import { type OracleCase, readOracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";
import { verifyBalancedLogistic, verifySiamFc } from "./siamfc-cases.ts";
import { verifyBnnStep, verifyInqStep, verifyLabStep, verifyMaskStep } from "./step-cases.ts";
import { verifyTeacherForward } from "./teacher-cases.ts";
import { trackingOperations } from "./tracking/operations.ts";

type Verify = (rig: Rig, test: OracleCase) => Promise<readonly Comparison[]>;

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
  teacher_forward: verifyTeacherForward,
  weight_transform: verifyWeightTransform,
  activation: verifyActivation,
  quantized_conv: verifyQuantizedConv,
  bnn_step: verifyBnnStep,
  distillation: verifyDistillation,
  gradient_quantizer: verifyGradientQuantizer,
  lab_step: verifyLabStep,
  inq_step: verifyInqStep,
  mask_step: verifyMaskStep,
  xcorr: verifyCorrelation,
  balanced_logistic: verifyBalancedLogistic,
  siamfc: verifySiamFc,
  ...Object.fromEntries(
    Object.entries(trackingOperations).map(([op, verify]): [string, Verify] => [op, async (_, test) => verify(test)]),
  ),
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
