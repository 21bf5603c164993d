// A run ready to be driven: its folder, data, state, ledger and log, all fresh or all from the newest checkpoint that
// verifies.

import { rm } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type RunConfig, unusedFields } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { Parameters } from "../../shared/wire/parameter-blob.ts";
import { type Checkpoint, readNewestCheckpoint, restoreState } from "../checkpoint/checkpoint.ts";
import { type CommitLog, openCommitLog, standingCommits } from "../checkpoint/commit-log.ts";
import { readTeacherFile } from "../checkpoint/teacher-file.ts";
import { type OpenDataset, openDataset } from "../data/open-dataset.ts";
import { Ledger } from "../round/ledger.ts";
import { createTrainingState, type TrainingState } from "../state/training-state.ts";
import { requireRobustMemory } from "../training/robust-memory.ts";
import { createRunDirectory, keepTokens, openRunDirectory, type RunDirectory } from "./run-directory.ts";

export interface OpenRun {
  readonly directory: RunDirectory;
  readonly data: OpenDataset;
  readonly state: TrainingState;
  readonly ledger: Ledger;
  readonly log: CommitLog;
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
export async function openFreshRun(given: RunConfig, runDir?: string, token?: string): Promise<OpenRun> {
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
    if (file !== undefined) read[name] = await readTeacherFile(file, networks[name].manifest);
  }
  const state = createTrainingState(config, data.dataset, read);
  requireRobustMemory(state);
  const directory = await createRunDirectory(config, runDir, token);
  const log = await openCommitLog(directory.path);
  const unused = unusedFields(config);
  const notices = [
    ...data.notices,
    ...(unused.length === 0
      ? []
      : [`the method ${config.method.kind} does not use ${unused.join(", ")} of the configuration`]),
  ];
  const discard = () => rm(directory.path, { recursive: true, force: true });
  return { directory, data, state, ledger: new Ledger(), log, discard, notices };
}

/** The log is written before the checkpoint: both must tell of the same parameters, and of the same samples. */
function requireAgreement({ path, manifest, ledger }: Checkpoint, state: TrainingState, log: CommitLog): void {
  const { step } = manifest;
  const commits = standingCommits(log.records)
    .filter((record) => record.type === "step")
    .filter((record) => record.step <= step);
  const commit = commits.at(-1);
  if (commit?.step !== step) return;
  const network = state.program.passes[commit.pass]?.network;
  const expected = network === undefined ? undefined : manifest.paramsHash[network];
  if (expected === commit.paramsHash) {
    // A log that was begun anew tells of later steps only.
    if (commits[0].step === 1) ledger.requireSteps(state.program, commits);
    return;
  }
  throw new BitswarmError(
    "COMMIT_LOG_CORRUPT",
    `${path} holds parameters ${expected} after step ${step}; the commit log says ${commit.paramsHash}. One of them is of another run: restore both from the same copy`,
  );
}

/**
 * Opens a run where its newest checkpoint that verifies left it.
 * @throws CHECKPOINT_MISSING, CHECKPOINT_CORRUPT, COMMIT_LOG_CORRUPT, DATA_MISSING, DATA_INVALID, LEDGER_VIOLATION,
 * RUN_OF_OTHER_BUILD
 */
export async function reopenRun(runDir: string, token?: string): Promise<OpenRun> {
  const directory = await openRunDirectory(runDir, token);
  const checkpoint = await readNewestCheckpoint(directory.path);
  const { path, manifest, ledger, skipped } = checkpoint;
  const { classes } = manifest.dataset;
  // A run of before the configuration said how many classes there are goes on with those that it had.
  const asTrained = classes > 0 ? { classes, ...manifest.config.data } : manifest.config.data;
  const data = await openDataset(asTrained);
  const state = restoreState(checkpoint, data.dataset);
  const log = await openCommitLog(directory.path);
  try {
    requireAgreement(checkpoint, state, log);
    await keepTokens(directory);
    await log.append({ type: "resume", fromStep: state.step, checkpoint: relative(directory.path, path) });
  } catch (error) {
    await log.close();
    throw error;
  }
  const notices = skipped.map((damaged) => `skipped ${damaged.path}: ${damaged.reason}`);
  if (log.notice !== null) notices.push(log.notice);
  return { directory, data, state, ledger, log, resumedFrom: path, notices };
}
