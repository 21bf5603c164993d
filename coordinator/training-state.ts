// The only floating-point truth of a run: parameters, optimizer state, units and the step. Everything else is a function of it and the configuration.

import { createHash } from "node:crypto";
import type { RunConfig } from "../shared/config.ts";
import type { Dataset } from "../shared/dataset.ts";
import { kaimingNormal, uniform } from "../shared/initialise.ts";
import { elementCount, type Manifest, type ParameterEntry } from "../shared/manifest.ts";
import { bestRectifier } from "../shared/methods.ts";
import { buildNetworks, type NetworkName, type Networks, usesGan, wireManifest } from "../shared/networks.ts";
import { blobLayout, encodeBlob, latentEncoding, type Parameters, parameter } from "../shared/parameter-blob.ts";
import { type Program, phaseProgram } from "../shared/program.ts";
import { rng } from "../shared/rng.ts";
import { fourAxes } from "./axis-order.ts";
import { contentHash } from "./content-hash.ts";

/** What workers are sent of a network: sign planes (latent weights themselves in `sync: local`) and floats, named by the SHA-256 of the bytes. */
export interface WireBlob {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 64 lower-case hex digits: the `parametersHash` of frames and leases. */
  readonly hash: string;
}

/** Float32 values by name, in the manifest's axis order. */
export type ParameterMap = Map<string, Float32Array>;

export interface TrainingState {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly networks: Networks;
  readonly program: Program;
  /** Empty without the GAN, where nothing looks at a teacher. */
  readonly teacher: ParameterMap;
  /** The student's own parameters and the discriminators'. */
  readonly student: ParameterMap;
  /** SGD's buffers, made at zero when first needed; the teacher's names begin with `teacher.`. */
  readonly momentum: ParameterMap;
  readonly adamFirst: ParameterMap;
  readonly adamSecond: ParameterMap;
  /** Adam steps made. */
  adamStep: number;
  /** Unit 2^e of a tensor in the next round, by `kind/tensor`. */
  readonly exponents: Map<string, number>;
  /** Committed steps of the program. */
  step: number;
  /** Newest held-out accuracy (top-1, from 0 to 1) of each network. */
  readonly evaluations: Record<NetworkName, number | null>;
  /** The step that each evaluation was made at. */
  readonly evaluatedAt: Record<NetworkName, number | null>;
  /** What `wireBlob` encoded since the parameters last changed. */
  readonly blobs: Map<NetworkName, WireBlob>;
}

/** What a checkpoint brings back; a fresh run starts with the parameters alone. */
export type StateParts = Pick<TrainingState, "teacher" | "student"> &
  Partial<
    Pick<
      TrainingState,
      "momentum" | "adamFirst" | "adamSecond" | "adamStep" | "exponents" | "step" | "evaluations" | "evaluatedAt"
    >
  >;

export function assembleState(config: RunConfig, dataset: Dataset, parts: StateParts): TrainingState {
  return {
    config,
    dataset,
    networks: buildNetworks(config, dataset),
    program: phaseProgram(config, dataset.train.samples),
    momentum: new Map(),
    adamFirst: new Map(),
    adamSecond: new Map(),
    adamStep: 0,
    exponents: new Map(),
    step: 0,
    evaluations: { teacher: null, student: null },
    evaluatedAt: { teacher: null, student: null },
    blobs: new Map(),
    ...parts,
  };
}

function initialValue(
  entry: ParameterEntry,
  seed: number,
  network: NetworkName,
  made: ParameterMap,
  manifest: Manifest,
) {
  const { initial, name, shape } = entry;
  const draws = () => rng(seed, "init", network, name);
  switch (initial.kind) {
    case "kaiming-normal": {
      const values = kaimingNormal(draws(), shape, initial.fanIn);
      // As after each update: outside of [−1, 1] the surrogate is zero.
      return entry.role === "latent-binary" ? values.map((w) => Math.min(1, Math.max(-1, w))) : values;
    }
    case "uniform":
      return uniform(draws(), elementCount(shape), initial.bound);
    case "constant":
      return new Float32Array(elementCount(shape)).fill(initial.value);
    case "best-rectifier": {
      const weight = manifest.entries.find((e) => e.name === initial.weight);
      if (!weight) throw new RangeError(`${name} starts from ${initial.weight}, which the manifest does not have`);
      return bestRectifier(fourAxes(weight.shape), fourAxes(shape), parameter(made, weight.name));
    }
    default:
      return initial satisfies never;
  }
}

function initialParameters(manifest: Manifest, seed: number, network: NetworkName): ParameterMap {
  const made: ParameterMap = new Map();
  for (const entry of manifest.entries) made.set(entry.name, initialValue(entry, seed, network, made, manifest));
  return made;
}

/**
 * The state before the first step, a function of the configuration alone.
 * @param teacherParameters of a trained teacher (`readTeacherFile`); needed where the configuration names a file
 */
export function createTrainingState(
  config: RunConfig,
  dataset: Dataset,
  teacherParameters?: Parameters,
): TrainingState {
  if (usesGan(config) && config.teacher.file !== undefined && teacherParameters === undefined) {
    throw new RangeError(`teacher.file is ${config.teacher.file}: its parameters must be read first`);
  }
  const state = assembleState(config, dataset, { teacher: new Map(), student: new Map() });
  const copy = (into: ParameterMap, from: Parameters) => {
    for (const [name, values] of from) into.set(name, Float32Array.from(values));
  };
  if (usesGan(config)) {
    copy(
      state.teacher,
      teacherParameters ?? initialParameters(wireManifest(state.networks, "teacher"), config.seed, "teacher"),
    );
  }
  copy(state.student, initialParameters(wireManifest(state.networks, "student"), config.seed, "student"));
  return state;
}

/** SHA-256 of a network's float32 parameters in manifest order (the student's with its discriminators), as hex. */
export function parametersHash(state: TrainingState, network: NetworkName): string {
  const hash = createHash("sha256");
  for (const { name } of wireManifest(state.networks, network).entries) {
    const values = parameter(state[network], name);
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex");
}

/** The network's blob of `wireManifest`, encoded once per change of its parameters. */
export function wireBlob(state: TrainingState, network: NetworkName): WireBlob {
  const known = state.blobs.get(network);
  if (known) return known;
  const manifest = wireManifest(state.networks, network);
  const bytes = encodeBlob(manifest, blobLayout(manifest, latentEncoding(state.config)), state[network]);
  const blob = { bytes, hash: contentHash(bytes) };
  state.blobs.set(network, blob);
  return blob;
}

/** Notes the held-out accuracy of a network at the state's step. */
export function recordEvaluation(state: TrainingState, network: NetworkName, accuracy: number): void {
  state.evaluations[network] = accuracy;
  state.evaluatedAt[network] = state.step;
}
