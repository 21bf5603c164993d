// One oracle file on one device: the registry of operations and a report that is plain data, so it can cross a process boundary.

import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { Comparison } from "./compare.ts";
import { verifyBatchNorm, verifyConv, verifyKernelLoss, verifyPool, verifyPrelu, verifyRbconv } from "./layer-cases.ts";
import { verifyDiscriminator, verifyLinearCrossEntropy, verifyRbcnStep } from "./network-cases.ts";
import { type OracleCase, readOracleCase } from "./oracle-case.ts";

type Verify = (cache: PipelineCache, test: OracleCase) => Promise<Comparison[]>;

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
};

export interface CaseReport {
  readonly file: string;
  readonly op: string;
  readonly comparisons: readonly Comparison[];
  /** Why the case could not be run at all. */
  readonly error?: string;
}

export async function verifyCase(cache: PipelineCache, file: string, bytes: Uint8Array): Promise<CaseReport> {
  let op = "?";
  try {
    const test = readOracleCase(bytes);
    op = test.op;
    const verify = operations[op];
    if (!verify)
      throw new RangeError(`unknown op ${JSON.stringify(op)}; known are ${Object.keys(operations).join(", ")}`);
    return { file, op, comparisons: await verify(cache, test) };
  } catch (error) {
    return { file, op, comparisons: [], error: error instanceof Error ? error.message : String(error) };
  }
}
