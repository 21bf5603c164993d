// A run ready to be driven: its folder, data, state, ledger and log, all fresh or all from the newest checkpoint that
// verifies.

import { rm } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type RunConfig, unusedFields } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { Parameters } from "../../shared/wire/parameter-blob.ts";
import { shellWord } from "../base/command-text.ts";
import { type Checkpoint, readNewestCheckpoint, restoreState } from "../checkpoint/checkpoint.ts";
import {
  COMMIT_LOG,
  type CommitLog,
  openCommitLog,
  standingCommits,
  standingRepair,
} from "../checkpoint/commit-log.ts";
import { readTeacherFile, type ShapeOf } from "../checkpoint/teacher-file.ts";
import { fittingFields } from "../checkpoint/teacher-fit.ts";
import { type OpenDataset, openDataset } from "../data/open-dataset.ts";
import type { Claim } from "../disk/claim.ts";
import { Ledger, type LedgerJSON } from "../round/ledger.ts";
import { createTrainingState, type TrainingState } from "../state/training-state.ts";
import { requireRobustMemory } from "../training/robust-memory.ts";
import type { OnNotice } from "./run-claim.ts";
import { createRunDirectory, keepTokens, openRunDirectory, type RunDirectory } from "./run-directory.ts";

export interface OpenRun {
  readonly directory: RunDirectory;
  readonly data: OpenDataset;
  readonly state: TrainingState;
  readonly ledger: Ledger;
  readonly log: CommitLog;
  /** Keeps every other process from driving this run, until it is released. */
  readonly claim: Claim;
  /** Folder of the checkpoint that the state is from; none for a fresh run. */
  readonly resumedFrom?: string;
  /** Takes a fresh run back that could not be started, so that the same command works when the obstacle is gone. */
  readonly discard?: () => Promise<void>;
  /** What a person should know of the opening. */
  readonly notices: readonly string[];
}

/** Files of a run are found again from any working directory. */
function withAbsolutePaths({ data, teacher, ...rest }: RunConfig): RunConfig {
  return {
    ...rest,
    data: data.root === undefined ? data : { ...data, root: resolve(data.root) },
    teacher: teacher.file === undefined ? teacher : { ...teacher, file: resolve(teacher.file) },
  };
}

/**
 * Makes a run. The data set and the teacher are read first, so that a start that cannot work leaves no folder behind.
 * @throws DATA_MISSING, DATA_INVALID, TEACHER_MISMATCH, CONFIG_INVALID, RUN_EXISTS
 */
export async function openFreshRun(
  given: RunConfig,
  runDir?: string,
  token?: string,
  onNotice?: OnNotice,
): Promise<OpenRun> {
  const wanted = withAbsolutePaths(given);
  const data = await openDataset(wanted.data);
  const { train, test } = data.dataset;
  // What "all there are" came to, so that run.yaml says it.
  const { classes } = data.dataset;
  const sizes = {
    trainSamples: train.samples,
    testSamples: test.samples,
    ...(classes > 0 && wanted.data.classes === undefined ? { classes } : {}),
  };
  const config: RunConfig = { ...wanted, data: { ...wanted.data, ...sizes } };
  const { outline } = phasesOf(config);
  const networks = buildNetworks(config, data.dataset, outline);
  const read: Record<string, Parameters> = {};
  for (const { name, file } of outline.networks) {
    if (file === undefined) continue;
    const fitting = (shapeOf: ShapeOf) => fittingFields(config, data.dataset, shapeOf);
    read[name] = await readTeacherFile(file, networks[name].manifest, fitting);
  }
  const state = createTrainingState(config, data.dataset, read);
  requireRobustMemory(state);
  const { directory, claim } = await createRunDirectory(config, runDir, token, onNotice);
  const discard = () => rm(directory.path, { recursive: true, force: true });
  const log = await openCommitLog(directory.path).catch(async (error) => {
    await claim.release();
    await discard();
    throw error;
  });
  const unused = unusedFields(config);
  const notices = [
    ...data.notices,
    ...(unused.length === 0
      ? []
      : [`the method ${config.method.kind} does not use ${unused.join(", ")} of the configuration`]),
  ];
  return { directory, data, state, ledger: new Ledger(), log, claim, discard, notices };
}

/**
 * The log is written before the checkpoint: both must tell of the same parameters, and of the same samples. What the
 * log does not tell up to the checkpoint, as it was damaged or taken away, the checkpoint's own ledger stands in for.
 * @returns whether it tells all
 */
function requireAgreement({ path, manifest, ledger }: Checkpoint, state: TrainingState, log: CommitLog): boolean {
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

export interface ReopenOptions {
  /** Instead of the one that the run had. */
  readonly token?: string;
  /** Told what a person should know while they wait. */
  readonly onNotice?: OnNotice;
}

/**
 * Opens a run where its newest checkpoint that verifies left it.
 * @throws RUN_IN_USE, CHECKPOINT_MISSING, CHECKPOINT_CORRUPT, COMMIT_LOG_CORRUPT, DATA_MISSING, DATA_INVALID,
 * LEDGER_VIOLATION, RUN_OF_OTHER_BUILD
 */
export async function reopenRun(runDir: string, { token, onNotice }: ReopenOptions = {}): Promise<OpenRun> {
  const { directory, claim } = await openRunDirectory(runDir, token, onNotice);
  try {
    return await openClaimed(directory, claim);
  } catch (error) {
    await claim.release();
    throw error;
  }
}

async function openClaimed(directory: RunDirectory, claim: Claim): Promise<OpenRun> {
  const checkpoint = await readNewestCheckpoint(directory.path);
  const { path, manifest, ledger, skipped } = checkpoint;
  const { classes } = manifest.dataset;
  // A run of before the configuration said how many classes there are goes on with those that it had.
  const asTrained = classes > 0 ? { classes, ...manifest.config.data } : manifest.config.data;
  const data = await openDataset(asTrained);
  const state = restoreState(checkpoint, data.dataset);
  const log = await openCommitLog(directory.path, { repair: true });
  const notices = skipped.map((damaged) => `skipped ${damaged.path}: ${damaged.reason}`);
  if (log.notice !== null) notices.push(log.notice);
  try {
    await keepTokens(directory);
    const went = { fromStep: state.step, checkpoint: relative(directory.path, path) };
    if (!requireAgreement(checkpoint, state, log)) {
      await log.append({ type: "repair", ...went, ledger: ledger.toJSON() });
      notices.push(
        `the commit log does not tell of all ${state.step} steps behind ${path}: what that checkpoint holds as committed, every sample once, is in its place`,
      );
    }
    await log.append({ type: "resume", ...went });
  } catch (error) {
    await log.close();
    throw error;
  }
  return { directory, data, state, ledger, log, claim, resumedFrom: path, notices };
}
