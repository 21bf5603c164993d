// Whether a run's checkpoint and its commit log tell of the same run.

import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { shellWord } from "../base/command-text.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { COMMIT_LOG, type CommitLog, standingCommits, standingRepair } from "../checkpoint/commit-log.ts";
import type { LedgerJSON } from "../round/ledger.ts";
import type { TrainingState } from "../state/training-state.ts";

/**
 * The log is written before the checkpoint: both must tell of the same parameters, and of the same samples. What the
 * log does not tell up to the checkpoint, as it was damaged or taken away, the checkpoint's own ledger stands in for.
 * @returns whether it tells all
 * @throws COMMIT_LOG_CORRUPT, LEDGER_VIOLATION
 */
export function requireAgreement(
  { path, manifest, ledger }: Checkpoint,
  state: TrainingState,
  log: CommitLog,
): boolean {
  const { step } = manifest;
  if (step === 0) return true;
  const commits = standingCommits(log.records)
    .filter((record) => record.type === "step")
    .filter((record) => record.step <= step);
  const repair = standingRepair(log.records);
  const commit = commits.at(-1);
  if (commit?.step !== step) return repair?.fromStep === step;
  const network = state.program.passes[commit.pass]?.network;
  const expected = network === undefined ? undefined : manifest.paramsHash[network];
  if (expected !== commit.paramsHash) {
    const file = join(log.folder, COMMIT_LOG);
    const aside = process.platform === "win32" ? "move" : "mv";
    const away = [aside, file, `${file}.other`].map((word) => shellWord(word)).join(" ");
    throw new BitswarmError(
      "COMMIT_LOG_CORRUPT",
      `${path} holds parameters ${expected} after step ${step}; the commit log says ${commit.paramsHash}. One of them is of another run: restore both from the same copy, or, where the checkpoint is the one that you want, take the log away (\`${away}\`) and resume: the run goes on from the checkpoint`,
    );
  }
  const after = repair !== undefined && repair.fromStep <= step ? repair : undefined;
  const from = after?.fromStep ?? 0;
  const told = commits.filter((record) => record.step > from);
  const whole = told.every((record, index) => record.step === from + 1 + index);
  if (whole) ledger.requireSteps(state.program, told, after === undefined ? undefined : (after.ledger as LedgerJSON));
  return whole;
}
