// The network for inference: weights in the bits that their method gives them, what scales them, and the full-precision
// rest. Latent W, the coordinator's own state, discriminators and teacher stay behind (methods/README.md).

import { stat } from "node:fs/promises";
import { basename, dirname, extname, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type {
  Description,
  ExportedInput,
  ExportedModel,
  ExportedScore,
  ExportedSizes,
  ExportedTracking,
} from "../../shared/export/exported-model.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import { CROP, strideOf, trackedGraph } from "../../shared/export/tracked-graph.ts";
import { writeExported } from "../../shared/export/write-exported.ts";
import type { Graph } from "../../shared/model/graph.ts";
import { elementCount, type Manifest, wireOf } from "../../shared/model/manifest.ts";
import { fullPrecision } from "../../shared/model/methods/full.ts";
import type { NetworkPlan, Outline } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import {
  buildNetworks,
  type NetworkConfig,
  type Networks,
  networkNamed,
  twinManifest,
} from "../../shared/run/networks.ts";
import { type PhaseConfig, phaseProgram, phasesOf } from "../../shared/run/program.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { commandText, shellWord } from "../base/command-text.ts";
import { packageVersion } from "../base/package-root.ts";
import { classNames } from "../data/class-names.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { CHECKPOINTS, readNewestCheckpoint, type SkippedCheckpoint } from "./checkpoint.ts";
import type { CheckpointManifest } from "./checkpoint-manifest.ts";
import { decodeNetwork } from "./checkpoint-tensors.ts";

export interface ModelSizes {
  /** Of the run's network: a bit for each sign of its planes, 32 for every other parameter that it computes with. */
  readonly binaryBytes: number;
  /** Of its twin with every layer in float32. */
  readonly teacherBytes: number;
}

export interface ExportResult {
  /** Of the first file, and of those beside it. */
  readonly path: string;
  readonly beside: readonly string[];
  /** Steps behind the exported parameters. */
  readonly step: number;
  /** Of all files, with names, metadata and running statistics. */
  readonly fileBytes: number;
  readonly sizes: ExportedSizes;
  /** Of the network, as people call it. */
  readonly title: string;
  /** Newer checkpoints that do not verify. */
  readonly skipped: readonly SkippedCheckpoint[];
  /** What a person should know of it. */
  readonly notices: readonly string[];
}

/** Bits of each value of an entry: those of its way down, without what fills a plane's last words. */
const bitsOf = { signs: 1, f32: 32, none: 0 } as const;

function learnedBytes({ entries }: Manifest): number {
  const bits = entries.map((entry) =>
    entry.role === "statistic" ? 0 : elementCount(entry.shape) * bitsOf[wireOf(entry)],
  );
  return Math.ceil(bits.reduce((a, b) => a + b, 0) / 8);
}

/**
 * Sizes as the literature counts them: learned parameters; running statistics fold into the batch norm's weight and
 * bias.
 */
export function modelSizes(
  config: NetworkConfig & PhaseConfig,
  dataset: Pick<Dataset, "shape" | "classes">,
): ModelSizes {
  const { outline } = phasesOf(config);
  const { manifest } = networkNamed(buildNetworks(config, dataset, outline), outline.primary);
  return { binaryBytes: learnedBytes(manifest), teacherBytes: learnedBytes(twinManifest(config, dataset)) };
}

/** Before the checkpoint is read: a place where the file can be. @throws STORAGE_FAILED */
async function requirePlace(out: string): Promise<void> {
  const refused = (what: string) => new BitswarmError("STORAGE_FAILED", `--out ${out} cannot be written: ${what}`);
  const folder = dirname(resolve(out));
  const [there, at] = await Promise.all([folder, out].map((path) => stat(path).catch(() => undefined)));
  if (!there?.isDirectory())
    throw refused(`the folder ${folder} is not there; make it first (mkdir -p), or name another`);
  if (at?.isDirectory()) throw refused("it is a folder; name a file in it");
  if (at !== undefined && !at.isFile()) throw refused("it is a device or a fifo; name a file");
}

/** A network of a run as its file for inference. */
export interface ExportedNetwork {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Reading `bytes`. */
  readonly model: ExportedModel;
  /** Newer checkpoints that do not verify. */
  readonly skipped: readonly SkippedCheckpoint[];
  /** What a person should know of it. */
  readonly notices: readonly string[];
}

/** By its name, or as people call it. @throws CONFIG_INVALID for one that the run has not */
function chosenNetwork({ networks, primary }: Pick<Outline, "networks" | "primary">, wanted = primary): NetworkPlan {
  const same = (text: string) => text.toLowerCase() === wanted.toLowerCase();
  const found = networks.find(({ name }) => same(name)) ?? networks.find(({ title }) => same(title));
  if (found) return found;
  const known = networks.map(({ name, title }) => (name === title ? name : `${name} (${title})`)).join(", ");
  throw new BitswarmError(
    "CONFIG_INVALID",
    `--network: the run has no network ${JSON.stringify(wanted)}; it has ${known}`,
  );
}

/** Of a run, what its networks' files say. */
export interface ExportedRun {
  /** Name of its folder. */
  readonly run: string;
  readonly config: RunConfig;
  readonly dataset: CheckpointManifest["dataset"];
  readonly networks: Networks;
  readonly step: number;
}

/** Of one of its networks. */
export interface ExportedPart {
  readonly plan: NetworkPlan;
  readonly parameters: Parameters;
  readonly parameterHash: string;
  readonly score?: ExportedScore | undefined;
  readonly classNames?: readonly string[] | undefined;
}

/** What goes into a network, the graph that the file has of it, and what it is for. */
interface Exportable {
  readonly graph: Graph;
  readonly input: ExportedInput;
  readonly classes: number;
  readonly tracking?: ExportedTracking;
}

/** @throws CONFIG_INVALID for a task that says of no picture how it becomes the network's input */
function exportable({ config, dataset, networks }: ExportedRun, network: string): Exportable {
  const { graph } = networkNamed(networks, network);
  const task = tasks.get(config.task.kind);
  const of = { dataset, data: config.data };
  const { mean, std, classes } = dataset;
  if (task.picture) {
    const [{ name, h, w, c }] = task.inputs(config.task, of);
    return { graph, classes, input: { name, h, w, c, ...task.picture(config.task, of), mean, std } };
  }
  const crops = task.tracking?.(config.task, of);
  const tracked = crops && trackedGraph(graph, crops.instance);
  if (!crops || !tracked) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `a network of task.kind=${task.kind} cannot be exported: the task does not say how a picture becomes its input`,
    );
  }
  const { backbone, scale } = tracked;
  const { exemplar, instance, context } = crops;
  const sides = { h: instance, w: instance };
  const stride = strideOf(backbone.nodes, backbone.output);
  return {
    graph: backbone,
    classes: 0,
    input: { name: CROP, ...sides, c: backbone.shapes[0]!.c, resize: sides, crop: sides, pad: 0, mean, std },
    tracking: { exemplar, instance, context, stride, response: { op: "xcorr", scale } },
  };
}

function describe(exported: ExportedRun, part: ExportedPart, { input, classes, tracking }: Exportable): Description {
  const { run, config, dataset, networks, step } = exported;
  const { plan, parameterHash, score, classNames: names } = part;
  const { manifest, method } = networkNamed(networks, plan.name);
  const { sha256, trainSamples, testSamples } = dataset;
  const full = method.kind === fullPrecision.kind;
  const model = plan.model ?? config.model;
  return {
    network: { name: plan.name, title: plan.title, precision: full ? "full" : "method" },
    task: config.task,
    input,
    classes,
    ...(tracking ? { tracking } : names && { classNames: names }),
    method: full ? { kind: method.kind } : { ...config.method, ...plan.options, kind: method.kind },
    model,
    sizes: {
      bytes: learnedBytes(manifest),
      fullPrecisionBytes: learnedBytes(twinManifest({ ...config, model }, dataset)),
    },
    provenance: {
      run,
      title: config.name,
      step,
      parameterHash,
      bitswarm: packageVersion(),
      dataset: { name: dataset.name, sha256, trainSamples, testSamples },
      ...(score && { score }),
    },
  };
}

/**
 * A network's file.
 * @throws CONFIG_INVALID for a task whose networks are not exported; MODEL_INVALID for one whose training diverged
 */
export function exportFile(run: ExportedRun, part: ExportedPart): Uint8Array<ArrayBuffer> {
  const what = exportable(run, part.plan.name);
  const finite = (name: string): Float32Array => {
    const values = parameter(part.parameters, name);
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at < 0) return values;
    throw new BitswarmError(
      "MODEL_INVALID",
      `${name} of the ${part.plan.title} has ${values[at]} at place ${at}, at step ${run.step}: the training diverged, and there is no network to export; train again with smaller rates (optimizer.learningRate)`,
    );
  };
  return writeExported(what.graph, finite, describe(run, part, what));
}

/** The newest score of a network, and the step that it was measured at. */
function scoreOf({ scores, evaluatedAt }: CheckpointManifest, network: string): ExportedScore | undefined {
  const score = scores[network];
  if (!score) return undefined;
  const { name, value, others = {} } = score;
  return { name, value, step: evaluatedAt[network] ?? 0, ...(Object.keys(others).length > 0 && { others }) };
}

/** @throws CONFIG_INVALID for a file, CHECKPOINT_MISSING for one checkpoint: a run's newest is taken by itself */
async function requireRunFolder(runDir: string): Promise<void> {
  const facts = await stat(runDir).catch(() => undefined);
  if (facts !== undefined && !facts.isDirectory()) {
    throw new BitswarmError("CONFIG_INVALID", `${runDir} is a file; give a run's folder, such as runs/NAME`);
  }
  const path = resolve(runDir);
  const run = dirname(dirname(path));
  if (/^step-\d+$/.test(basename(path)) && basename(dirname(path)) === CHECKPOINTS) {
    throw new BitswarmError(
      "CHECKPOINT_MISSING",
      `${runDir} is one checkpoint of a run; give the run's folder, ${shellWord(run)}, and its newest is taken`,
    );
  }
}

/** The run's newest checkpoint that verifies, and how its networks become files. */
async function openExports(runDir: string) {
  await requireRunFolder(runDir);
  const { path, manifest, files, skipped } = await readNewestCheckpoint(runDir);
  const { run, config, dataset, step, paramsHash } = manifest;
  const program = phaseProgram(config, dataset.trainSamples);
  const networks = buildNetworks(config, dataset, program);
  const { names, notice } = await classNames(config.data, dataset.classes);
  const firstPass = ({ name }: NetworkPlan) => program.passes.find((pass) => pass.network === name);
  const trained = (plan: NetworkPlan) => {
    const first = firstPass(plan);
    return plan.file !== undefined || (first !== undefined && step > first.firstStep);
  };
  return {
    path,
    step,
    program,
    firstPass,
    trained,
    file: (plan: NetworkPlan): ExportedNetwork => {
      const { name } = plan;
      const part = {
        plan,
        parameters: decodeNetwork(files, networks, program, name),
        parameterHash: paramsHash[name] ?? "",
        score: scoreOf(manifest, name),
        classNames: names,
      };
      const bytes = exportFile({ run, config, dataset, networks, step }, part);
      return { bytes, model: readExported(bytes), skipped, notices: notice === undefined ? [] : [notice] };
    },
  };
}

/**
 * A network of the run's newest checkpoint that verifies, as its file for inference; its primary network unless another
 * is named, by its name or its title.
 * @throws CHECKPOINT_MISSING also where the run has not trained it yet, CHECKPOINT_CORRUPT, CONFIG_INVALID
 */
export async function exportedNetwork(runDir: string, network?: string): Promise<ExportedNetwork> {
  const { path, step, program, firstPass, trained, file } = await openExports(runDir);
  const plan = chosenNetwork(program, network);
  if (trained(plan)) return file(plan);
  throw new BitswarmError(
    "CHECKPOINT_MISSING",
    `${path} is from before the ${plan.title}'s first step (step ${step}; its training begins after ${firstPass(plan)?.firstStep}): go on with \`${commandText("coordinator", ["resume", resolve(runDir)])}\``,
  );
}

/**
 * Every network of the run's newest checkpoint that is trained, its primary one first.
 * @throws CHECKPOINT_MISSING also where the primary one is not, CHECKPOINT_CORRUPT, CONFIG_INVALID
 */
export async function exportedNetworks(runDir: string): Promise<readonly ExportedNetwork[]> {
  const { path, program, trained, file } = await openExports(runDir);
  const primary = chosenNetwork(program);
  if (!trained(primary)) {
    throw new BitswarmError("CHECKPOINT_MISSING", `${path} is from before the ${primary.title}'s first step`);
  }
  return [primary, ...program.networks.filter((plan) => plan !== primary && trained(plan))].map(file);
}

export interface ExportOptions {
  /** By its name or title; the run's primary one unless given. */
  readonly network?: string | undefined;
  /** The files of another format: one, or several that are parts of the network. */
  readonly encode?: ((model: ExportedModel) => readonly EncodedFile[]) | undefined;
}

export interface EncodedFile {
  /** What part of the network it is, where it is not the whole: it stands in its name, before the ending. */
  readonly part?: string;
  readonly bytes: Uint8Array;
}

/** "model.onnx" → "model-head.onnx" */
function partPath(out: string, part: string | undefined): string {
  if (part === undefined) return out;
  const ending = extname(out);
  return `${out.slice(0, out.length - ending.length)}-${part}${ending}`;
}

/**
 * Writes a network of the run's newest checkpoint that verifies to `out`, as safetensors (SPEC.md, annex 12) unless it
 * is encoded otherwise.
 * @throws STORAGE_FAILED, and what `exportedNetwork` does
 */
export async function exportModel(
  runDir: string,
  out: string,
  { network, encode }: ExportOptions = {},
): Promise<ExportResult> {
  await requirePlace(out);
  const { bytes: own, model, skipped, notices } = await exportedNetwork(runDir, network);
  const files = (encode?.(model) ?? [{ bytes: own }]).map(({ part, bytes }) => ({ path: partPath(out, part), bytes }));
  for (const { path, bytes } of files) {
    if (path !== out) await requirePlace(path);
    try {
      await writeDurably(path, bytes);
    } catch (error) {
      throw storageError(error, path, "Name a file in a folder that is there, by --out", "written");
    }
  }
  const { sizes, provenance } = model;
  const [first, ...beside] = files.map(({ path }) => path);
  return {
    path: first!,
    beside,
    step: provenance.step,
    title: model.network.title,
    fileBytes: files.reduce((sum, { bytes }) => sum + bytes.length, 0),
    sizes,
    skipped,
    notices,
  };
}
