// Checkpoints: runs/<id>/checkpoints/step-N, whole or not there whenever the process dies, and the newest that verifies
// on resume.

import { access, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phaseProgram } from "../../shared/run/program.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import { commandText, resumeAdvice } from "../base/command-text.ts";
import { contentHash } from "../disk/content-hash.ts";
import { diskFiles, type FileOperations } from "../disk/durable-file.ts";
import { readPlainFile, requirePlainFolder } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { sealMode } from "../round/deadline.ts";
import { Ledger } from "../round/ledger.ts";
import { networkScores } from "../state/scores.ts";
import {
  assembleState,
  beginReplica,
  parametersHash,
  type RunProgress,
  type TrainingState,
} from "../state/training-state.ts";
import type { CheckpointContents } from "./checkpoint-contents.ts";
import {
  CHECKPOINT_FORMAT,
  type CheckpointManifest,
  datasetHash,
  decodeManifest,
  encodeManifest,
  MANIFEST,
  MOST_MANIFEST_BYTES,
} from "./checkpoint-manifest.ts";
import { decodeTensors } from "./checkpoint-tensors.ts";

export const CHECKPOINTS = "checkpoints";

/** What a checkpoint names beside the state. */
export interface CheckpointExtra {
  readonly run: string;
  /** ISO 8601. */
  readonly time: string;
}

export interface SkippedCheckpoint {
  readonly path: string;
  /** In words; begins with the code where there is one. */
  readonly reason: string;
}

/** A checkpoint whose every hash verified. */
export interface Checkpoint {
  readonly path: string;
  readonly manifest: CheckpointManifest;
  /** Bytes of the tensor files by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly ledger: Ledger;
  /** Newer ones that do not verify. */
  readonly skipped: readonly SkippedCheckpoint[];
}

interface Candidate {
  readonly name: string;
  readonly step: number;
  /** Renamed away while another took its place: stands in only if that one is not there. */
  readonly replaced: boolean;
}

const REPLACED = ".replaced";
const WRITING = ".writing-";
const REMOVING = ".removing-";

function stepName(step: number): string {
  return `step-${step}`;
}

/** Newest first; of one step, the one in place first. */
async function candidates(root: string): Promise<Candidate[]> {
  const names = await readdir(root).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
  const found = names.flatMap((name): Candidate[] => {
    const match = /^step-(\d+)(\.replaced)?$/.exec(name);
    return match ? [{ name, step: Number(match[1]), replaced: match[2] !== undefined }] : [];
  });
  return found.sort((a, b) => b.step - a.step || Number(a.replaced) - Number(b.replaced));
}

/** The network that step `progress.step` trains; at the end, the last one's. */
function nextNetwork({ program, step }: RunProgress): string {
  const pass = program.passes.find((p) => step < p.firstStep + p.steps) ?? program.passes[program.passes.length - 1];
  return pass.network;
}

function manifestOf(
  progress: RunProgress,
  { files, paramsHash, exponents, adamStep }: CheckpointContents,
  ledger: Ledger,
  extra: CheckpointExtra,
): CheckpointManifest {
  const { config, dataset } = progress;
  const { name, shape, classes, mean, std, train, test } = dataset;
  return {
    format: CHECKPOINT_FORMAT,
    run: extra.run,
    time: extra.time,
    step: progress.step,
    network: nextNetwork(progress),
    config,
    dataset: {
      name,
      shape,
      classes,
      mean,
      std,
      trainSamples: train.samples,
      testSamples: test.samples,
      sha256: datasetHash(dataset),
    },
    files: Object.fromEntries(
      [...files].map(([file, { bytes, holds, sha256 }]) => [file, { bytes: bytes.length, sha256, holds }]),
    ),
    paramsHash: { ...paramsHash },
    ledger: ledger.toJSON(),
    exponents,
    norms: Object.fromEntries([...progress.norms].map(([phase, rounds]) => [phase, rounds.map((round) => [...round])])),
    peaks: Object.fromEntries([...progress.peaks].map(([phase, medians]) => [phase, [...medians]])),
    scores: Object.fromEntries(
      Object.entries(networkScores(progress)).map(([network, { name, value }]) => {
        const others = progress.others[network];
        return [network, { name, value, ...(others && { others: { ...others } }) }];
      }),
    ),
    evaluatedAt: { ...progress.evaluatedAt },
    adamStep,
    versions: { protocol: PROTOCOL_VERSION, node: process.version },
  };
}

/**
 * Writes the run as it is at the call to `runDir`/checkpoints/step-N and removes all but the newest `checkpoint.keep`,
 * and those of later steps, which this run has left. Killed at any point, this one or the one before is there, whole.
 * @param contents of the state after the step that `progress` names
 * @returns the checkpoint's folder
 * @throws STORAGE_FAILED
 */
export async function writeCheckpoint(
  runDir: string,
  contents: CheckpointContents,
  progress: RunProgress,
  ledger: Ledger,
  extra: CheckpointExtra,
  disk: FileOperations = diskFiles,
): Promise<string> {
  const { step } = progress;
  if (contents.step !== step) throw new RangeError(`a checkpoint of step ${step} has tensors of step ${contents.step}`);
  // Before the first await: the ledger may go on while this is written.
  const manifest = encodeManifest(manifestOf(progress, contents, ledger, extra));
  const { keep } = progress.config.checkpoint;

  const all = new Map<string, Uint8Array | string>([...contents.files].map(([file, { bytes }]) => [file, bytes]));
  // Last: without it nothing is a checkpoint.
  return placeCheckpoint(runDir, step, all.set(MANIFEST, manifest), keep, disk);
}

/**
 * Puts the files of a checkpoint in their place, and removes others as writeCheckpoint() does.
 * @returns the checkpoint's folder @throws STORAGE_FAILED
 */
async function placeCheckpoint(
  runDir: string,
  step: number,
  files: ReadonlyMap<string, Uint8Array | string>,
  keep: number,
  disk: FileOperations,
): Promise<string> {
  const root = join(runDir, CHECKPOINTS);
  const target = join(root, stepName(step));
  const beside = join(root, WRITING + stepName(step));
  try {
    await requirePlainFolder(root, "STORAGE_FAILED");
    await disk.makeDirectory(root);
    await disk.syncDirectory(runDir);
    await disk.remove(beside);
    await disk.makeDirectory(beside);
    for (const [file, bytes] of files) await disk.writeFile(join(beside, file), bytes);
    await disk.syncDirectory(beside);
    const there = await access(target).then(
      () => true,
      () => false,
    );
    if (there) {
      // A folder cannot be renamed over another: the old one steps aside, where a reader still finds it.
      await disk.remove(target + REPLACED);
      await disk.rename(target, target + REPLACED);
    }
    await disk.rename(beside, target);
    await disk.syncDirectory(root);
    await prune(root, step, keep, disk);
  } catch (error) {
    // On a full disk what was written of it is in the way of the next one.
    await disk.remove(beside).catch(() => undefined);
    throw storageError(error, target, resumeAdvice(runDir));
  }
  return target;
}

async function prune(root: string, step: number, keep: number, disk: FileOperations): Promise<void> {
  const all = await candidates(root);
  const standing = all.filter((candidate) => candidate.step <= step && !candidate.replaced).slice(0, keep);
  for (const { name } of all.filter((candidate) => !standing.includes(candidate))) {
    // Renamed first: half a checkpoint must not look like one.
    await disk.remove(join(root, REMOVING + name));
    await disk.rename(join(root, name), join(root, REMOVING + name));
  }
  const leftovers = (await readdir(root)).filter((name) => name.startsWith(REMOVING) || name.startsWith(WRITING));
  for (const name of leftovers) await disk.remove(join(root, name));
  if (leftovers.length > 0) await disk.syncDirectory(root);
}

/** A checkpoint as another coordinator has it: its files by name. */
export type CheckpointFiles = ReadonlyMap<string, Uint8Array>;

/** The files of a checkpoint, as they are. @throws CHECKPOINT_CORRUPT */
export async function readCheckpointFiles(path: string): Promise<CheckpointFiles> {
  const { files } = await readCheckpoint(path);
  const code = "CHECKPOINT_CORRUPT";
  return new Map(files).set(
    MANIFEST,
    await readPlainFile(join(path, MANIFEST), { code, mostBytes: MOST_MANIFEST_BYTES }),
  );
}

/**
 * Another coordinator's checkpoint takes the place of all that are here.
 * @returns it, read back and verified @throws CHECKPOINT_CORRUPT, STORAGE_FAILED
 */
export async function adoptCheckpoint(runDir: string, step: number, files: CheckpointFiles): Promise<Checkpoint> {
  // Their names become names of files here.
  for (const name of files.keys()) {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(name))
      throw new BitswarmError(
        "CHECKPOINT_CORRUPT",
        `another coordinator's checkpoint has a file named ${JSON.stringify(name)}`,
      );
  }
  await diskFiles.remove(join(runDir, CHECKPOINTS));
  await placeCheckpoint(runDir, step, files, 1, diskFiles);
  return readNewestCheckpoint(runDir);
}

async function readCheckpoint(path: string): Promise<Omit<Checkpoint, "skipped">> {
  const code = "CHECKPOINT_CORRUPT";
  await requirePlainFolder(path, code);
  const text = await readPlainFile(join(path, MANIFEST), { code, mostBytes: MOST_MANIFEST_BYTES });
  const manifest = decodeManifest(text.toString("utf8"));
  const files = new Map<string, Uint8Array>();
  for (const [file, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const content = await readPlainFile(join(path, file), { code, mostBytes: bytes });
    if (content.length !== bytes) {
      throw new BitswarmError(code, `${file} has ${content.length} bytes; ${MANIFEST} says ${bytes}`);
    }
    const actual = contentHash(content);
    if (actual !== sha256) {
      throw new BitswarmError(code, `${file}: its SHA-256 is ${actual}; ${MANIFEST} says ${sha256}`);
    }
    files.set(file, content);
  }
  return { path, manifest, files, ledger: Ledger.fromJSON(manifest.ledger) };
}

function reasonOf(error: unknown): string {
  if (error instanceof BitswarmError) return `${error.code}: ${error.message}`;
  return `CHECKPOINT_CORRUPT: ${error instanceof Error ? error.message : String(error)}`;
}

/** Between two looks at checkpoints of which one went while it was read, and how often. */
const AGAIN_AFTER_MS = 20;
const MOST_LOOKS = 10;

/** Which folder has this name now; nothing where none has. */
async function folderNamed(path: string): Promise<bigint | undefined> {
  return stat(path, { bigint: true }).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

type Look = { readonly found?: Checkpoint; readonly skipped: readonly SkippedCheckpoint[]; readonly moved: boolean };

/** Reads on from the newest until one verifies; `moved` where one before it was replaced or removed meanwhile. */
async function look(root: string, mostStep = Number.POSITIVE_INFINITY): Promise<Look> {
  const skipped: SkippedCheckpoint[] = [];
  let moved = false;
  for (const { name, step } of await candidates(root)) {
    if (step > mostStep) continue;
    const path = join(root, name);
    const folder = await folderNamed(path);
    try {
      return { found: { ...(await readCheckpoint(path)), skipped }, skipped, moved };
    } catch (error) {
      if (error instanceof BitswarmError && error.code === "RUN_OF_OTHER_BUILD") {
        throw new BitswarmError(error.code, `${path}: ${error.message}`, { cause: error });
      }
      const now = await folderNamed(path);
      if (now === undefined || now !== folder) moved = true;
      skipped.push({ path, reason: reasonOf(error) });
    }
  }
  return { skipped, moved };
}

/**
 * The newest checkpoint of a run whose every hash verifies; `skipped` lists the newer ones that do not, and why. The
 * run may go on meanwhile: what it replaces under the reader's hands is looked for again.
 * @throws CHECKPOINT_MISSING where there is none, CHECKPOINT_CORRUPT where none verifies, RUN_OF_OTHER_BUILD
 */
export async function readNewestCheckpoint(runDir: string): Promise<Checkpoint> {
  const root = join(runDir, CHECKPOINTS);
  await requirePlainFolder(root, "CHECKPOINT_CORRUPT");
  let seen = await look(root);
  for (let looks = 1; seen.moved && looks < MOST_LOOKS; looks++) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    seen = await look(root);
  }
  const { found, skipped } = seen;
  if (found) return found;
  if (skipped.length === 0) {
    throw new BitswarmError(
      "CHECKPOINT_MISSING",
      `${root} holds no checkpoint (step-N): check that ${runDir} is a run's folder; a run that ended before its first checkpoint starts anew with \`${commandText("coordinator", ["start"])}\``,
    );
  }
  throw new BitswarmError(
    "CHECKPOINT_CORRUPT",
    [
      `none of the ${skipped.length} checkpoints in ${root} verifies; restore one from a copy, or start a new run:`,
      ...skipped.map(({ path, reason }) => `  ${path}: ${reason}`),
    ].join("\n"),
  );
}

/** The step of the newest checkpoint by its name alone, for those who only tell of it; null where there is none. */
export async function newestCheckpointStep(runDir: string): Promise<number | null> {
  return (await candidates(join(runDir, CHECKPOINTS)))[0]?.step ?? null;
}

/** The newest checkpoint that verifies of a step up to this one; undefined where there is none. */
export async function readCheckpointUpTo(runDir: string, step: number): Promise<Checkpoint | undefined> {
  return (await look(join(runDir, CHECKPOINTS), step)).found;
}

/** The data set must be the one that a checkpoint was trained on, wherever its files lie. @throws DATA_INVALID */
export function requireDataset({ path, manifest }: Checkpoint, dataset: Dataset): void {
  const actual = datasetHash(dataset);
  if (actual === manifest.dataset.sha256) return;
  const { config } = manifest;
  const { name, trainSamples, testSamples } = manifest.dataset;
  throw new BitswarmError(
    "DATA_INVALID",
    `${path} was trained on ${name} (${trainSamples} + ${testSamples} samples, SHA-256 ${manifest.dataset.sha256}); the data set here is ${dataset.name} (${dataset.train.samples} + ${dataset.test.samples}, ${actual}). Bring back the files of data.${config.data.kind === "store" ? "store" : "root"}`,
  );
}

/**
 * The training state of a checkpoint, bit for bit, over the data set that it was trained on.
 * @param config the checkpoint's unless given; another one may say how it goes on, not what was trained
 * @throws DATA_INVALID where the data set is another, CHECKPOINT_CORRUPT, LEDGER_VIOLATION
 */
export function restoreState(
  checkpoint: Checkpoint,
  dataset: Dataset,
  config: RunConfig = checkpoint.manifest.config,
): TrainingState {
  const { path, manifest, files, ledger } = checkpoint;
  const { step, adamStep, paramsHash } = manifest;
  requireDataset(checkpoint, dataset);
  const program = phaseProgram(config, dataset.train.samples);
  const state = assembleState(config, dataset, {
    ...decodeTensors(files, buildNetworks(config, dataset, program), program),
    adamStep,
    step,
    exponents: new Map(Object.entries(manifest.exponents)),
    norms: new Map(Object.entries(manifest.norms ?? {})),
    peaks: new Map(Object.entries(manifest.peaks ?? {})),
    evaluations: Object.fromEntries(program.networks.map(({ name }) => [name, manifest.scores[name]?.value ?? null])),
    others: Object.fromEntries(Object.entries(manifest.scores).map(([name, { others = {} }]) => [name, others])),
    evaluatedAt: { ...manifest.evaluatedAt },
  });
  for (const network of Object.keys(state.networks)) {
    const expected = paramsHash[network];
    const hash = parametersHash(state, network);
    if (hash !== expected) {
      throw new BitswarmError(
        "CHECKPOINT_CORRUPT",
        `${path}: the ${network}'s parameters hash to ${hash}; ${MANIFEST} says ${expected}`,
      );
    }
  }
  beginReplica(state);
  ledger.check(state.program, step, config.batch, sealMode(config));
  return state;
}
