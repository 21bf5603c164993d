// The tensors of a training state as safetensors files, in PyTorch's axis order and with torchvision's names, and back
// bit for bit.

import { BitswarmError } from "../../shared/base/errors.ts";
import {
  float32Of,
  readSafetensors,
  type SafeTensor,
  tensorOf,
  writeSafetensors,
} from "../../shared/base/safetensors.ts";
import type { Manifest } from "../../shared/model/manifest.ts";
import { networkPlanNamed, type Outline } from "../../shared/model/phases.ts";
import { type Networks, wireManifest } from "../../shared/run/networks.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { hasReplica } from "../../shared/wire/parameter-set.ts";
import { fileShape, fromFileOrder, toFileOrder } from "../state/axis-order.ts";
import { deriveCompanions } from "../state/latent-layers.ts";
import { bufferName } from "../state/parameter-buffers.ts";
import type { ParameterMap, TrainingState } from "../state/training-state.ts";

export const MODEL_FILE = "model.safetensors";
const OPTIMIZER_FILE = "optimizer.safetensors";
const REPLICA_FILE = "replica.safetensors";

/** Of a network, or of a partner: a set has one name in the run. */
function fileNamed({ primary }: Pick<Outline, "primary">, set: string): string {
  return set === primary ? MODEL_FILE : `${set}.safetensors`;
}

/** A file's bytes and, in words, what it holds. */
export interface CheckpointFile {
  readonly bytes: Uint8Array;
  readonly holds: string;
}

/** Prefix in the optimizer's file of each of the state's buffers. */
const buffers = [
  ["momentum.", "momentum"],
  ["adam.first.", "adamFirst"],
  ["adam.second.", "adamSecond"],
] as const;

/** Shapes of the buffers' tensors by their name in the state, the primary network's first. */
function bufferShapes(networks: Networks, outline: Pick<Outline, "primary">): ReadonlyMap<string, readonly number[]> {
  const { primary } = outline;
  const order = [primary, ...Object.keys(networks).filter((name) => name !== primary)];
  return new Map(
    order.flatMap((network) =>
      wireManifest(networks, network).entries.map(
        ({ name, shape }) => [bufferName(outline, network, name), shape] as const,
      ),
    ),
  );
}

/** The partners of all networks that have replicas, which lie in one file, by the names that the state has for them. */
function partnersManifest(networks: Networks, outline: Pick<Outline, "primary">): Manifest {
  const own = Object.entries(networks).flatMap(([network, { partners }]) =>
    Object.entries(partners)
      .filter(([set]) => hasReplica(networks, set))
      .flatMap(([, { entries }]) =>
        entries.map((entry) => ({ ...entry, name: bufferName(outline, network, entry.name) })),
      ),
  );
  return { entries: own };
}

function fileTensor(values: Float32Array, shape: readonly number[]): SafeTensor {
  return tensorOf(toFileOrder(values, shape), fileShape(shape));
}

function parameterFile(
  manifest: Manifest,
  parameters: Parameters,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const tensors = manifest.entries.map(
    ({ name, shape }) => [name, fileTensor(parameter(parameters, name), shape)] as const,
  );
  return writeSafetensors(tensors, metadata);
}

function optimizerFile(state: TrainingState, metadata: Readonly<Record<string, string>>): Uint8Array {
  const shapes = bufferShapes(state.networks, state.program);
  const tensors: (readonly [string, SafeTensor])[] = [];
  for (const [prefix, buffer] of buffers) {
    // In the manifests' order, so that a restored state writes the same bytes as the one that made them.
    for (const [name, shape] of shapes) {
      const values = state[buffer].get(name);
      if (values) tensors.push([prefix + name, fileTensor(values, shape)]);
    }
  }
  return writeSafetensors(tensors, metadata);
}

/** The state's tensors as files by name, copied: the state may go on at once. */
export function encodeTensors(state: TrainingState, run: string): ReadonlyMap<string, CheckpointFile> {
  const { networks, program, parameters } = state;
  const files = new Map<string, CheckpointFile>();
  const put = (file: string, holds: string, encode: (metadata: Readonly<Record<string, string>>) => Uint8Array) => {
    const metadata = { format: "pt", run, step: String(state.step), holds };
    files.set(file, { bytes: encode(metadata), holds });
  };
  const putSet = (set: string, holds: string, manifest: Manifest, values: Parameters) =>
    put(fileNamed(program, set), holds, (metadata) => parameterFile(manifest, values, metadata));
  for (const [name, { saved, partners, method }] of Object.entries(networks)) {
    const { title } = networkPlanNamed(program, name);
    const holds = `the ${title} (${method.kind}): latent and full-precision parameters, running statistics`;
    putSet(name, holds, saved, parameters[name]);
    for (const [set, own] of Object.entries(partners)) {
      putSet(set, `the ${set} of the ${title}`, own, parameters[name]);
    }
  }
  const optimizer = `momentum.* of SGD, adam.first.* and adam.second.*; the ${program.primary}'s names are plain, others begin with the network's`;
  put(OPTIMIZER_FILE, optimizer, (metadata) => optimizerFile(state, metadata));
  if (state.replica.size > 0) {
    const replica = "what travels beside a network as workers hold it, where it is sent as int8";
    put(REPLICA_FILE, replica, (metadata) =>
      parameterFile(partnersManifest(networks, program), state.replica, metadata),
    );
  }
  return files;
}

function fileOf(files: ReadonlyMap<string, Uint8Array>, file: string): Uint8Array {
  const bytes = files.get(file);
  if (!bytes) throw new BitswarmError("CHECKPOINT_CORRUPT", `${file} is not among the checkpoint's files`);
  return bytes;
}

function values(file: string, name: string, tensor: SafeTensor | undefined, shape: readonly number[]): Float32Array {
  const expected = fileShape(shape);
  if (tensor?.dtype !== "F32" || tensor.shape.join() !== expected.join()) {
    const actual = tensor ? `${tensor.dtype} [${tensor.shape}]` : "missing";
    throw new BitswarmError(
      "CHECKPOINT_CORRUPT",
      `${file}: ${name} is ${actual}; the run's networks want F32 [${expected}]`,
    );
  }
  return fromFileOrder(float32Of(tensor), shape);
}

function parametersOf(files: ReadonlyMap<string, Uint8Array>, file: string, manifest: Manifest): ParameterMap {
  const { tensors } = readSafetensors(fileOf(files, file));
  return new Map(manifest.entries.map(({ name, shape }) => [name, values(file, name, tensors.get(name), shape)]));
}

/** A network's own parameters, with what follows from them. @throws CHECKPOINT_CORRUPT, SAFETENSORS_INVALID */
export function decodeNetwork(
  files: ReadonlyMap<string, Uint8Array>,
  networks: Networks,
  outline: Pick<Outline, "primary">,
  name: string,
): ParameterMap {
  const network = networks[name];
  const parameters = parametersOf(files, fileNamed(outline, name), network.saved);
  const optimizer = readSafetensors(fileOf(files, OPTIMIZER_FILE)).tensors;
  const shapes = new Map(network.latent.map(({ weight }) => [weight.name, weight.shape]));
  deriveCompanions(network, parameters, network.latent, (weight) => {
    const entry = `adam.second.${bufferName(outline, name, weight)}`;
    const tensor = optimizer.get(entry);
    return tensor && values(OPTIMIZER_FILE, entry, tensor, shapes.get(weight) ?? []);
  });
  return parameters;
}

/** What `encodeTensors` wrote. @throws CHECKPOINT_CORRUPT, SAFETENSORS_INVALID */
export function decodeTensors(
  files: ReadonlyMap<string, Uint8Array>,
  networks: Networks,
  outline: Pick<Outline, "primary">,
): Pick<TrainingState, "parameters" | "momentum" | "adamFirst" | "adamSecond" | "replica"> {
  const shapes = bufferShapes(networks, outline);
  const optimizer = readSafetensors(fileOf(files, OPTIMIZER_FILE)).tensors;
  const bufferOf = (prefix: string): ParameterMap => {
    const made: ParameterMap = new Map();
    for (const [name, shape] of shapes) {
      const tensor = optimizer.get(prefix + name);
      if (tensor) made.set(name, values(OPTIMIZER_FILE, prefix + name, tensor, shape));
    }
    return made;
  };
  const parameters = Object.entries(networks).map(([name, { partners }]): [string, ParameterMap] => {
    const beside = Object.entries(partners).flatMap(([set, manifest]) => [
      ...parametersOf(files, fileNamed(outline, set), manifest),
    ]);
    return [name, new Map([...decodeNetwork(files, networks, outline, name), ...beside])];
  });
  return {
    parameters: Object.fromEntries(parameters),
    momentum: bufferOf("momentum."),
    adamFirst: bufferOf("adam.first."),
    adamSecond: bufferOf("adam.second."),
    // There is none where nothing is sent as int8.
    replica: files.has(REPLICA_FILE)
      ? parametersOf(files, REPLICA_FILE, partnersManifest(networks, outline))
      : new Map(),
  };
}
