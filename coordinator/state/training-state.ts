// The only floating-point truth of a run: parameters, optimizer state, units and the step. Everything else is a function of it and the configuration.

import { createHash } from "node:crypto";
import { type Rng, rng } from "../../shared/base/rng.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { kaimingNormal, uniform } from "../../shared/model/initialise.ts";
import { elementCount, joinManifests, type Manifest, type ParameterEntry } from "../../shared/model/manifest.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import {
  buildNetworks,
  type Network,
  type NetworkName,
  type Networks,
  usesGan,
  wireManifest,
} from "../../shared/run/networks.ts";
import { type Program, phaseProgram } from "../../shared/run/program.ts";
import { encodeBlob, type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import {
  frozenForm,
  type ParameterSet,
  setManifest,
  type WireForm,
  wireForm,
} from "../../shared/wire/parameter-set.ts";
import { encodeWhole, roundFloats } from "../../shared/wire/parameter-update.ts";
import { advanceReplica } from "../../shared/wire/replica.ts";
import { RiceWriter } from "../../shared/wire/rice.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { NormHistories } from "../trust/norm-history.ts";
import type { PeakMedians } from "../trust/peak-medians.ts";
import { deriveCompanions, latentLayerOf, settleLayer } from "./latent-layers.ts";

/** Bytes that workers hold, named by their SHA-256. */
export interface WireBlob {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 64 lower-case hex digits: the `parametersHash` of frames and leases. */
  readonly hash: string;
}

/** What `advanceReplica` wrote of the last step: it moves the blob of this hash to the one after. */
export interface ReplicaChange {
  readonly base: string;
  readonly body: Uint8Array<ArrayBuffer>;
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
  /** What is usual of the sizes of contributions, from which clipping and refusals follow. */
  readonly norms: NormHistories;
  readonly peaks: PeakMedians;
  /** Committed steps of the program. */
  step: number;
  /** Newest held-out accuracy (top-1, from 0 to 1) of each network. */
  readonly evaluations: Record<NetworkName, number | null>;
  /** The step that each evaluation was made at. */
  readonly evaluatedAt: Record<NetworkName, number | null>;
  /** The discriminators as workers hold them, where they are sent as `int8`; else empty. */
  readonly replica: ParameterMap;
  /** How the replica came to be as it is; unknown before its first step. */
  replicaChange: ReplicaChange | undefined;
  /** What `wireBlob` and `frozenTeacher` encoded since the parameters last changed. */
  readonly blobs: Map<ParameterSet | "frozen", WireBlob>;
}

/** Where a run stands, without the numbers of its networks. */
export interface RunProgress extends Pick<TrainingState, "config" | "dataset" | "networks" | "program"> {
  step: number;
  readonly evaluations: TrainingState["evaluations"];
  readonly evaluatedAt: TrainingState["evaluatedAt"];
  readonly norms: TrainingState["norms"];
  readonly peaks: TrainingState["peaks"];
}

/** A copy that goes on by itself. */
export function progressOf({ config, dataset, networks, program, ...state }: TrainingState): RunProgress {
  const { step, evaluations, evaluatedAt, norms, peaks } = state;
  return {
    config,
    dataset,
    networks,
    program,
    step,
    evaluations: { ...evaluations },
    evaluatedAt: { ...evaluatedAt },
    norms: new Map(norms),
    peaks: new Map(peaks),
  };
}

/** What a checkpoint brings back; a fresh run starts with the parameters alone. */
export type StateParts = Pick<TrainingState, "teacher" | "student"> &
  Partial<
    Pick<
      TrainingState,
      | "momentum"
      | "adamFirst"
      | "adamSecond"
      | "adamStep"
      | "exponents"
      | "norms"
      | "peaks"
      | "step"
      | "evaluations"
      | "evaluatedAt"
      | "replica"
    >
  >;

/** The numbers of a state for another owner, to whom they go by value; the state keeps none of them. */
export function takeParts(state: TrainingState): StateParts {
  const { adamStep, step, evaluations, evaluatedAt } = state;
  const parts = { adamStep, step, evaluations, evaluatedAt };
  const taken = (map: ParameterMap) => {
    const numbers = new Map(map);
    map.clear();
    return numbers;
  };
  const { teacher, student, momentum, adamFirst, adamSecond, replica } = state;
  const exponents = new Map(state.exponents);
  state.blobs.clear();
  return {
    ...parts,
    exponents,
    teacher: taken(teacher),
    student: taken(student),
    momentum: taken(momentum),
    adamFirst: taken(adamFirst),
    adamSecond: taken(adamSecond),
    replica: taken(replica),
  };
}

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
    norms: new Map(),
    peaks: new Map(),
    step: 0,
    evaluations: { teacher: null, student: null },
    evaluatedAt: { teacher: null, student: null },
    replica: new Map(),
    replicaChange: undefined,
    blobs: new Map(),
    ...parts,
  };
}

/** Where nothing was sent yet, or a checkpoint knows of no replica, it begins at the discriminators' true values. */
export function beginReplica({ config, networks, student, replica }: TrainingState): void {
  if (config.downlink.discriminators !== "int8" || replica.size > 0) return;
  for (const { name } of networks.discriminators.entries) replica.set(name, parameter(student, name).slice());
}

function drawn({ initial, name, shape }: ParameterEntry, draws: () => Rng): Float32Array | undefined {
  switch (initial.kind) {
    case "kaiming-normal":
      return kaimingNormal(draws(), shape, initial.fanIn);
    case "uniform":
      return uniform(draws(), elementCount(shape), initial.bound);
    case "constant":
      return new Float32Array(elementCount(shape)).fill(initial.value);
    case "companion":
      return undefined;
    default:
      throw new RangeError(`${name} starts in a way that is not known: ${JSON.stringify(initial satisfies never)}`);
  }
}

/** Fresh values of a network and of `beside`, each from a stream of its own; then latent weights settle, and their companions follow. */
export function initialParameters(network: Network, beside: Manifest, seed: number, name: string): ParameterMap {
  const made: ParameterMap = new Map();
  for (const entry of joinManifests(network.saved, beside).entries) {
    const values = drawn(entry, () => rng(seed, "init", name, entry.name));
    if (values) made.set(entry.name, values);
  }
  const { latent, method } = network;
  for (const layer of latent) {
    // As after each update.
    settleLayer(network, made, layer);
    for (const [companion, entry] of Object.entries(layer.companions)) {
      if (entry.role === "derived" || !method.rule) continue;
      made.set(entry.name, method.rule.companion(companion, latentLayerOf(made, layer)));
    }
  }
  deriveCompanions(network, made, latent);
  const inOrder = [...network.manifest.entries, ...beside.entries, ...network.saved.entries];
  return new Map(inOrder.map((entry) => [entry.name, parameter(made, entry.name)]));
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
      teacherParameters ?? initialParameters(state.networks.teacher, { entries: [] }, config.seed, "teacher"),
    );
  }
  const { student, discriminators } = state.networks;
  copy(state.student, initialParameters(student, discriminators, config.seed, "student"));
  beginReplica(state);
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

function encoded(state: TrainingState, key: ParameterSet | "frozen", encode: () => Uint8Array<ArrayBuffer>): WireBlob {
  const known = state.blobs.get(key);
  if (known) return known;
  const bytes = encode();
  const blob = { bytes, hash: contentHash(bytes) };
  state.blobs.set(key, blob);
  return blob;
}

function expanded({ networks }: TrainingState, set: ParameterSet, form: WireForm, values: Parameters) {
  const blob = encodeBlob(setManifest(networks, set), form.layout, values);
  roundFloats(form, blob);
  return blob;
}

/** A parameter set as workers hold it, after what its way down rounds off; encoded once per change. */
export function wireBlob(state: TrainingState, set: ParameterSet): WireBlob {
  return encoded(state, set, () => {
    const form = wireForm(state.networks, state.config, set);
    if (form.floats === "int8") return expanded(state, set, form, state.replica);
    return expanded(state, set, form, set === "teacher" ? state.teacher : state.student);
  });
}

/** The teacher for the student's rounds, as it is fetched: packed, named by the SHA-256 of these very bytes. */
export function frozenTeacher(state: TrainingState): WireBlob {
  return encoded(state, "frozen", () => {
    const form = frozenForm(state.networks, state.config);
    return encodeWhole(form, expanded(state, "teacher", form, state.teacher));
  });
}

/** Must be called after each change of a network's parameters: forgets what was encoded of them. */
export function parametersChanged(state: TrainingState, network: NetworkName): void {
  state.blobs.delete(network);
  if (network === "teacher") state.blobs.delete("frozen");
}

/** Must be called after each change of the discriminators. @throws GRADIENT_NOT_FINITE where they are not finite */
export function discriminatorsChanged(state: TrainingState): void {
  const base = state.blobs.get("discriminators")?.hash;
  state.blobs.delete("discriminators");
  if (state.config.downlink.discriminators !== "int8") return;
  const writer = new RiceWriter();
  for (const { name } of state.networks.discriminators.entries) {
    advanceReplica(writer, name, parameter(state.replica, name), parameter(state.student, name));
  }
  // Where no blob was encoded, no worker can hold it.
  state.replicaChange = base === undefined ? undefined : { base, body: writer.finish() };
}

/** Notes the held-out accuracy of a network at the run's step. */
export function recordEvaluation(progress: RunProgress, network: NetworkName, accuracy: number): void {
  progress.evaluations[network] = accuracy;
  progress.evaluatedAt[network] = progress.step;
}
