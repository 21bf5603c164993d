// The 1-bit network for inference: Ŵ in bits, C and the full-precision rest. Latent W, discriminators and teacher stay
// behind (methods/README.md).

import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type SafeTensor, tensorOf, writeSafetensors } from "../../shared/base/safetensors.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { elementCount, type Manifest } from "../../shared/model/manifest.ts";
import { networkPlanNamed } from "../../shared/model/phases.ts";
import { packSignPlanes } from "../../shared/model/sign-planes.ts";
import { signWords } from "../../shared/model/window.ts";
import { buildNetworks, type NetworkConfig, networkNamed, twinManifest } from "../../shared/run/networks.ts";
import { type PhaseConfig, phaseProgram, phasesOf } from "../../shared/run/program.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { commandText } from "../base/command-text.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { fileShape, toFileOrder } from "../state/axis-order.ts";
import { readNewestCheckpoint, type SkippedCheckpoint } from "./checkpoint.ts";
import { decodeNetwork } from "./checkpoint-tensors.ts";

const EXPORT_FORMAT = 1;

const layout = {
  signs:
    "<layer>.weight.signs is U32 [out][kh][kw][words], words = ceil(in/32): input channel i is bit i%32 of word floor(i/32); 1 means -1, 0 means +1, tail bits are 0",
  rectifier: "<layer>.c scales the signs, broadcast over [out][in][kh][kw]: weight = sign * c",
  others: "F32 with PyTorch's names and axis order (convolutions [out][in][kh][kw], linear [out][in])",
};

export interface ModelSizes {
  /** Of the 1-bit network: one bit a binary weight, 32 for every other learned parameter. */
  readonly binaryBytes: number;
  /** Of its twin with every layer in float32. */
  readonly teacherBytes: number;
}

export interface ExportResult {
  readonly path: string;
  /** Steps behind the exported parameters. */
  readonly step: number;
  /** Of the file, with names, metadata and running statistics. */
  readonly fileBytes: number;
  readonly sizes: ModelSizes;
  /** Newer checkpoints that do not verify. */
  readonly skipped: readonly SkippedCheckpoint[];
}

function learnedBytes(manifest: Manifest): number {
  const bits = manifest.entries.map(({ role, shape }) => {
    if (role === "statistic") return 0;
    return elementCount(shape) * (role === "latent" ? 1 : 32);
  });
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

function exportTensors(manifest: Manifest, parameters: Parameters): (readonly [string, SafeTensor])[] {
  return manifest.entries.map(({ name, role, shape }) => {
    const values = parameter(parameters, name);
    if (role !== "latent") return [name, tensorOf(toFileOrder(values, shape), fileShape(shape))];
    const channels = shape[shape.length - 1];
    const planes = packSignPlanes(values, values.length / channels, channels);
    return [`${name}.signs`, tensorOf(planes, [...shape.slice(0, -1), signWords(channels)])];
  });
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

/**
 * Writes the primary network of the run's newest checkpoint that verifies to `out` as safetensors; the metadata say how
 * to read it.
 * @throws CHECKPOINT_MISSING also where the run has not trained it yet, CHECKPOINT_CORRUPT
 */
export async function exportModel(runDir: string, out: string): Promise<ExportResult> {
  await requirePlace(out);
  const { path, manifest, files, skipped } = await readNewestCheckpoint(runDir);
  const { config, dataset, step } = manifest;
  const program = phaseProgram(config, dataset.trainSamples);
  const { primary } = program;
  const first = program.passes.find(({ network }) => network === primary);
  if (!first || step <= first.firstStep) {
    throw new BitswarmError(
      "CHECKPOINT_MISSING",
      `${path} is from before the ${networkPlanNamed(program, primary).title}'s first step (step ${step}; its training begins after ${first?.firstStep}): go on with \`${commandText("coordinator", ["resume", resolve(runDir)])}\``,
    );
  }
  const networks = buildNetworks(config, dataset, program);
  const { manifest: own } = networkNamed(networks, primary);
  const sizes = modelSizes(config, dataset);
  const score = manifest.scores[primary];
  const { shape, mean, std, classes } = dataset;
  const metadata = {
    format: "bitswarm-inference",
    formatVersion: String(EXPORT_FORMAT),
    run: manifest.run,
    step: String(step),
    config: JSON.stringify(config),
    classes: String(classes),
    input: JSON.stringify({
      ...shape,
      pad: config.data.pad,
      mean,
      std,
      value: "(pixel/255 - mean)/std, zero pixels padded before",
    }),
    layout: JSON.stringify(layout),
    sizes: JSON.stringify(sizes),
    ...(score && { [`test.${score.name}`]: String(score.value) }),
  };
  const bytes = writeSafetensors(exportTensors(own, decodeNetwork(files, networks, program, primary)), metadata);
  try {
    await writeDurably(out, bytes);
  } catch (error) {
    throw storageError(error, out, "Name a file in a folder that is there, by --out", "written");
  }
  return { path: out, step, fileBytes: bytes.length, sizes, skipped };
}
