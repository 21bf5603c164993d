// A full-precision network of a run as a file that other runs take as their teacher: float32 by PyTorch's names, in its
// axis order.

import { tensorOf, writeSafetensors } from "../../shared/base/safetensors.ts";
import { fullPrecision } from "../../shared/model/methods/full.ts";
import { networkPlanNamed, type Outline } from "../../shared/model/phases.ts";
import { buildNetworks, networkNamed } from "../../shared/run/networks.ts";
import { phaseProgram } from "../../shared/run/program.ts";
import { parameter } from "../../shared/wire/parameter-blob.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { fileShape, toFileOrder } from "../state/axis-order.ts";
import { readNewestCheckpoint } from "./checkpoint.ts";
import { decodeNetwork } from "./checkpoint-tensors.ts";

/**
 * The network of a run that is a teacher for others: its own where that is in full precision, else its teacher.
 * @param method the run's
 */
export function teachingNetwork(
  { networks, primary }: Pick<Outline, "networks" | "primary">,
  method: string,
): string | undefined {
  const isFull = (precision: string) => precision === "full" || method === fullPrecision.kind;
  const full = networks.filter(({ precision, file }) => isFull(precision) && file === undefined);
  return (full.find(({ name }) => name === primary) ?? full[0])?.name;
}

/**
 * The file's bytes, which are those of its parameters alone, so that equal teachers have equal names.
 * @throws CHECKPOINT_MISSING, CHECKPOINT_CORRUPT
 */
export async function networkFile(runDir: string, network: string): Promise<Uint8Array> {
  const { manifest, files } = await readNewestCheckpoint(runDir);
  const { config, dataset } = manifest;
  const program = phaseProgram(config, dataset.trainSamples);
  const networks = buildNetworks(config, dataset, program);
  const values = decodeNetwork(files, networks, program, networkPlanNamed(program, network).name);
  const { entries } = networkNamed(networks, network).manifest;
  return writeSafetensors(
    entries.map(({ name, shape }) => [name, tensorOf(toFileOrder(parameter(values, name), shape), fileShape(shape))]),
    { format: "pt" },
  );
}

/** @throws STORAGE_FAILED */
export async function writeNetworkFile(path: string, bytes: Uint8Array): Promise<void> {
  await writeDurably(path, bytes).catch((error) => {
    throw storageError(error, path);
  });
}
