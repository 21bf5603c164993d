// A run ready to be driven: its folder, claimed, with data, state, ledger and log, all fresh or all from the newest
// checkpoint that verifies.

import { rm } from "node:fs/promises";
import { relative } from "node:path";
import { type RunConfig, unusedFields } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { Parameters } from "../../shared/wire/parameter-blob.ts";
import { readNewestCheckpoint, restoreState, writeCheckpoint } from "../checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../checkpoint/checkpoint-contents.ts";
import { type CommitLog, type CommitRecord, openCommitLog } from "../checkpoint/commit-log.ts";
import { readTeacherFile, type ShapeOf } from "../checkpoint/teacher-file.ts";
import { fittingFields } from "../checkpoint/teacher-fit.ts";
import { normalisationNotices, withTeacherModel } from "../checkpoint/teacher-model.ts";
import { type OpenDataset, openDataset } from "../data/open-dataset.ts";
import type { Claim } from "../disk/claim.ts";
import { Ledger } from "../round/ledger.ts";
import { createTrainingState, type TrainingState } from "../state/training-state.ts";
import { requireRobustMemory } from "../training/robust-memory.ts";
import { requireAgreement } from "./agreement.ts";
import { requireEngine } from "./engines.ts";
import { findData, requireTeacher } from "./found-again.ts";
import { changeNotices, keepRunFile, longerCommand, resumedConfig } from "./resume-config.ts";
import type { OnNotice } from "./run-claim.ts";
import { withAbsolutePaths } from "./run-config.ts";
import { createRunDirectory, keepTokens, namedBy, openRunDirectory, type RunDirectory } from "./run-directory.ts";

export interface OpenRun {
  readonly directory: RunDirectory;
  readonly data: OpenDataset;
  readonly state: TrainingState;
  readonly ledger: Ledger;
  readonly log: CommitLog;
  /** What an engine of which several drive the run commits first; one in this process has it in its log already. */
  readonly due: readonly CommitRecord[];
  /** Keeps every other process from driving this run, until it is released. */
  readonly claim: Claim;
  /** Folder of the checkpoint that the state is from; none for a fresh run. */
  readonly resumedFrom?: string;
  /** Takes a fresh run back that could not be started, so that the same command works when the obstacle is gone. */
  readonly discard?: () => Promise<void>;
  /** What a person should know of the opening. */
  readonly notices: readonly string[];
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
  requireEngine(given);
  const wanted = withAbsolutePaths(given);
  const data = await openDataset(wanted.data);
  const config = await withTeacherModel({ ...wanted, data: data.options });
  const { outline } = phasesOf(config);
  const normalised = outline.networks.some(({ file }) => file !== undefined)
    ? normalisationNotices(config, data.dataset)
    : [];
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
    ...normalised,
    ...(unused.length === 0
      ? []
      : [`the method ${config.method.kind} does not use ${unused.join(", ")} of the configuration`]),
  ];
  return {
    directory: namedBy(config, directory),
    data,
    state,
    ledger: new Ledger(),
    log,
    due: [],
    claim,
    discard,
    notices,
  };
}

export interface ReopenOptions {
  /** Instead of the one that the run had. */
  readonly token?: string;
  /** `field=value` of what may change; see shared/run/resumable.ts. */
  readonly set?: readonly string[];
  /** BITSWARM_DATA is a folder that may have the data. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Told what a person should know while they wait. */
  readonly onNotice?: OnNotice;
}

/**
 * Opens a run where its newest checkpoint that verifies left it.
 * @throws RUN_IN_USE, CHECKPOINT_MISSING, CHECKPOINT_CORRUPT, CONFIG_INVALID, COMMIT_LOG_CORRUPT, DATA_MISSING,
 * DATA_INVALID, TEACHER_MISMATCH, LEDGER_VIOLATION, RUN_OF_OTHER_BUILD, STORAGE_FAILED
 */
export async function reopenRun(runDir: string, options: ReopenOptions = {}): Promise<OpenRun> {
  const { token, onNotice } = options;
  const { directory, claim } = await openRunDirectory(runDir, token, onNotice);
  try {
    return await openClaimed(directory, claim, options);
  } catch (error) {
    await claim.release();
    throw error;
  }
}

async function openClaimed(directory: RunDirectory, claim: Claim, options: ReopenOptions): Promise<OpenRun> {
  const { set, environment = process.env } = options;
  const checkpoint = await readNewestCheckpoint(directory.path);
  const { manifest, ledger, skipped } = checkpoint;
  const stored = manifest.config;
  const wanted = await resumedConfig(directory.path, stored, set);
  const found = await findData(directory.path, checkpoint, wanted.config, environment);
  const { data } = found;
  const config: RunConfig = { ...wanted.config, data: { ...wanted.config.data, ...found.moved } };
  const notices = [
    ...skipped.map((damaged) => `skipped ${damaged.path}: ${damaged.reason}`),
    ...found.notices,
    ...changeNotices(stored, { ...wanted, config }, manifest.step, data.dataset.train.samples),
  ];
  const state = restoreState(checkpoint, data.dataset, config);
  if (wanted.changes.some(({ field }) => field === "teacher.file")) await requireTeacher(state);
  const log = await openCommitLog(directory.path, { repair: true });
  if (log.notice !== null) notices.push(log.notice);
  let resumedFrom = checkpoint.path;
  const due: CommitRecord[] = [];
  // Where others may drive the run, too, nothing is in a log that the others do not hear of.
  const note = async (record: CommitRecord) => {
    if (config.engine.kind === "local") await log.append(record);
    else due.push(record);
  };
  try {
    const went = { fromStep: state.step, checkpoint: relative(directory.path, resumedFrom) };
    const tellsAll = requireAgreement(checkpoint, state, log);
    await keepTokens(directory);
    if (!tellsAll) {
      await note({ type: "repair", ...went, ledger: ledger.toJSON() });
      notices.push(
        `the commit log does not tell of all ${state.step} steps behind ${resumedFrom}: what that checkpoint holds as committed, every sample once, is in its place`,
      );
    }
    await note({ type: "resume", ...went });
    await keepRunFile(directory, config);
    if (wanted.changes.length > 0 || Object.keys(found.moved).length > 0) {
      // So that whoever reads the checkpoint alone reads what is so.
      const extra = { run: directory.run, time: new Date().toISOString() };
      const contents = encodeCheckpoint(state, directory.run);
      resumedFrom = await writeCheckpoint(directory.path, contents, state, ledger, extra);
    }
  } catch (error) {
    await log.close();
    throw error;
  }
  const longer = longerCommand(directory.path, state);
  if (longer !== undefined) notices.push(`the run has come to its end; to train it longer: ${longer}`);
  return { directory: namedBy(config, directory), data, state, ledger, log, due, claim, resumedFrom, notices };
}
