// The tensors of a training state as safetensors files, in PyTorch's axis order and with torchvision's names, and back bit for bit.

import { BitswarmError } from "../../shared/base/errors.ts";
import {
  float32Of,
  readSafetensors,
  type SafeTensor,
  tensorOf,
  writeSafetensors,
} from "../../shared/base/safetensors.ts";
import { joinManifests, type Manifest } from "../../shared/model/manifest.ts";
import { type Networks, usesGan } from "../../shared/run/networks.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { fileShape, fromFileOrder, toFileOrder } from "../state/axis-order.ts";
import { deriveCompanions } from "../state/latent-layers.ts";
import type { ParameterMap, TrainingState } from "../state/training-state.ts";

export const MODEL_FILE = "model.safetensors";
const TEACHER_FILE = "teacher.safetensors";
const DISCRIMINATOR_FILE = "discriminators.safetensors";
const OPTIMIZER_FILE = "optimizer.safetensors";
const REPLICA_FILE = "replica.safetensors";

const holds: Readonly<Record<string, string>> = {
  [MODEL_FILE]: "the 1-bit student: latent W in [-1,1], C (.c), full-precision parameters, running statistics",
  [TEACHER_FILE]: "the full-precision teacher",
  [DISCRIMINATOR_FILE]: "one discriminator per compared map",
  [OPTIMIZER_FILE]:
    "momentum.* of SGD (momentum.teacher.* of the teacher's), adam.first.* and adam.second.* of the discriminators",
  [REPLICA_FILE]: "the discriminators as workers hold them, where downlink.discriminators is int8",
};

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

/** Shapes of the buffers' tensors by their name in the state: the student's plain, the teacher's under `teacher.`. */
function bufferShapes({ teacher, student, discriminators }: Networks): ReadonlyMap<string, readonly number[]> {
  return new Map([
    ...joinManifests(student.manifest, discriminators).entries.map(({ name, shape }) => [name, shape] as const),
    ...teacher.manifest.entries.map(({ name, shape }) => [`teacher.${name}`, shape] as const),
  ]);
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
  const shapes = bufferShapes(state.networks);
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
  const { networks, config } = state;
  const metadata = (file: string) => ({ format: "pt", run, step: String(state.step), holds: holds[file] });
  const files = new Map<string, CheckpointFile>();
  const put = (file: string, bytes: Uint8Array) => files.set(file, { bytes, holds: holds[file] });
  put(MODEL_FILE, parameterFile(networks.student.saved, state.student, metadata(MODEL_FILE)));
  if (usesGan(config)) {
    put(TEACHER_FILE, parameterFile(networks.teacher.manifest, state.teacher, metadata(TEACHER_FILE)));
    put(DISCRIMINATOR_FILE, parameterFile(networks.discriminators, state.student, metadata(DISCRIMINATOR_FILE)));
  }
  put(OPTIMIZER_FILE, optimizerFile(state, metadata(OPTIMIZER_FILE)));
  if (state.replica.size > 0) {
    put(REPLICA_FILE, parameterFile(networks.discriminators, state.replica, metadata(REPLICA_FILE)));
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

/** The student's own parameters, with what follows from them. @throws CHECKPOINT_CORRUPT, SAFETENSORS_INVALID */
export function decodeStudent(files: ReadonlyMap<string, Uint8Array>, { student }: Networks): ParameterMap {
  const parameters = parametersOf(files, MODEL_FILE, student.saved);
  deriveCompanions(student, parameters, student.latent);
  return parameters;
}

/** What `encodeTensors` wrote. @throws CHECKPOINT_CORRUPT, SAFETENSORS_INVALID */
export function decodeTensors(
  files: ReadonlyMap<string, Uint8Array>,
  networks: Networks,
  gan: boolean,
): Pick<TrainingState, "teacher" | "student" | "momentum" | "adamFirst" | "adamSecond" | "replica"> {
  const shapes = bufferShapes(networks);
  const optimizer = readSafetensors(fileOf(files, OPTIMIZER_FILE)).tensors;
  const bufferOf = (prefix: string): ParameterMap => {
    const made: ParameterMap = new Map();
    for (const [name, shape] of shapes) {
      const tensor = optimizer.get(prefix + name);
      if (tensor) made.set(name, values(OPTIMIZER_FILE, prefix + name, tensor, shape));
    }
    return made;
  };
  return {
    teacher: gan ? parametersOf(files, TEACHER_FILE, networks.teacher.manifest) : new Map(),
    student: new Map([
      ...decodeStudent(files, networks),
      ...(gan ? parametersOf(files, DISCRIMINATOR_FILE, networks.discriminators) : []),
    ]),
    momentum: bufferOf("momentum."),
    adamFirst: bufferOf("adam.first."),
    adamSecond: bufferOf("adam.second."),
    // Checkpoints from before there were replicas have none.
    replica: files.has(REPLICA_FILE) ? parametersOf(files, REPLICA_FILE, networks.discriminators) : new Map(),
  };
}
