// The only floating-point truth of a run: parameters, optimizer state, units and the step. Everything else is a
// function of it and the configuration.

import { createHash } from "node:crypto";
import { type Rng, rng } from "../../shared/base/rng.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { kaimingNormal, uniform } from "../../shared/model/initialise.ts";
import { elementCount, joinManifests, type Manifest, type ParameterEntry } from "../../shared/model/manifest.ts";
import { networkPlanNamed, phaseNamed } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks, type Network, type Networks, twinParameter, wireManifest } from "../../shared/run/networks.ts";
import { type Program, phaseProgram } from "../../shared/run/program.ts";
import type { OtherValues } from "../../shared/tasks/task.ts";
import { encodeBlob, type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import {
  frozenForm,
  hasReplica,
  type ParameterSet,
  setManifest,
  setOwner,
  type WireForm,
  wireForm,
} from "../../shared/wire/parameter-set.ts";
import { encodeWhole, roundFloats } from "../../shared/wire/parameter-update.ts";
import { advanceReplica } from "../../shared/wire/replica.ts";
import { RiceWriter } from "../../shared/wire/rice.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { NormHistories } from "../trust/norm-history.ts";
import type { PeakMedians } from "../trust/peak-medians.ts";
import { deriveCompanions, latentLayerOf, makeCompanions, settleLayer } from "./latent-layers.ts";
import { bufferName, secondMomentOf } from "./parameter-buffers.ts";

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
  /** Of each network, its own and its partners'. */
  readonly parameters: Readonly<Record<string, ParameterMap>>;
  /** SGD's buffers, made at zero when first needed; see `bufferName`. */
  readonly momentum: ParameterMap;
  readonly adamFirst: ParameterMap;
  readonly adamSecond: ParameterMap;
  /** Adam steps made. */
  adamStep: number;
  /** Unit 2^e of a tensor in the next round, by `phase/tensor`. */
  readonly exponents: Map<string, number>;
  /** What is usual of the sizes of contributions, from which clipping and refusals follow. */
  readonly norms: NormHistories;
  readonly peaks: PeakMedians;
  /** Committed steps of the program. */
  step: number;
  /** Newest score of each network on the held-out samples; null before the first. */
  readonly evaluations: Record<string, number | null>;
  /** What was told beside each score. */
  readonly others: Record<string, OtherValues>;
  /** The step that each evaluation was made at. */
  readonly evaluatedAt: Record<string, number | null>;
  /** Partners as workers hold them, where they are sent as `int8`; else empty. See `bufferName`. */
  readonly replica: ParameterMap;
  /** How each partner's replica came to be as it is; unknown before its first step. */
  readonly replicaChanges: Map<ParameterSet, ReplicaChange>;
  /** What `wireBlob` encoded since the parameters last changed, by set. */
  readonly blobs: Map<ParameterSet, WireBlob>;
  /** What `frozenNetwork` encoded, by network. */
  readonly frozen: Map<string, WireBlob>;
}

/** Where a run stands, without the numbers of its networks. */
export interface RunProgress extends Pick<TrainingState, "config" | "dataset" | "networks" | "program"> {
  step: number;
  readonly evaluations: TrainingState["evaluations"];
  readonly others: TrainingState["others"];
  readonly evaluatedAt: TrainingState["evaluatedAt"];
  readonly norms: TrainingState["norms"];
  readonly peaks: TrainingState["peaks"];
}

/** A copy that goes on by itself. */
export function progressOf({ config, dataset, networks, program, ...state }: TrainingState): RunProgress {
  const { step, evaluations, others, evaluatedAt, norms, peaks } = state;
  return {
    config,
    dataset,
    networks,
    program,
    step,
    evaluations: { ...evaluations },
    others: { ...others },
    evaluatedAt: { ...evaluatedAt },
    norms: new Map(norms),
    peaks: new Map(peaks),
  };
}

/** What a checkpoint brings back; a fresh run starts with the parameters alone. */
export type StateParts = Pick<TrainingState, "parameters"> &
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
      | "others"
      | "evaluatedAt"
      | "replica"
    >
  >;

/** The numbers of a state for another owner, to whom they go by value; the state keeps none of them. */
export function takeParts(state: TrainingState): StateParts {
  const { adamStep, step, evaluations, others, evaluatedAt } = state;
  const parts = { adamStep, step, evaluations, others, evaluatedAt };
  const taken = (map: ParameterMap) => {
    const numbers = new Map(map);
    map.clear();
    return numbers;
  };
  const { parameters, momentum, adamFirst, adamSecond, replica } = state;
  const exponents = new Map(state.exponents);
  state.blobs.clear();
  state.frozen.clear();
  return {
    ...parts,
    exponents,
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, values]) => [name, taken(values)])),
    momentum: taken(momentum),
    adamFirst: taken(adamFirst),
    adamSecond: taken(adamSecond),
    replica: taken(replica),
  };
}

function replaced<K, V>(map: Map<K, V>, values: ReadonlyMap<K, V> = new Map()): void {
  map.clear();
  for (const [key, value] of values) map.set(key, value);
}

/** Puts what a checkpoint brings back in the place of all that the state is now; the parts are the state's then. */
export function restoreParts(state: TrainingState, parts: StateParts): void {
  const { parameters, momentum, adamFirst, adamSecond, exponents, replica, replicaChanges, blobs, frozen } = state;
  for (const [network, values] of Object.entries(parts.parameters)) replaced(parameters[network], values);
  replaced(momentum, parts.momentum);
  replaced(adamFirst, parts.adamFirst);
  replaced(adamSecond, parts.adamSecond);
  replaced(exponents, parts.exponents);
  replaced(replica, parts.replica);
  for (const made of [replicaChanges, blobs, frozen]) made.clear();
  state.adamStep = parts.adamStep ?? 0;
  restoreProgress(state, parts);
}

/** The same of where a run stands. */
export function restoreProgress(
  progress: Pick<RunProgress, "step" | "evaluations" | "others" | "evaluatedAt" | "norms" | "peaks">,
  { step = 0, evaluations, others, evaluatedAt, norms, peaks }: Omit<StateParts, "parameters">,
): void {
  progress.step = step;
  Object.assign(progress.evaluations, evaluations);
  Object.assign(progress.others, others);
  Object.assign(progress.evaluatedAt, evaluatedAt);
  replaced(progress.norms, norms);
  replaced(progress.peaks, peaks);
}

export function assembleState(config: RunConfig, dataset: Dataset, parts: StateParts): TrainingState {
  const program = phaseProgram(config, dataset.train.samples);
  const noEvaluation = () => Object.fromEntries(program.networks.map(({ name }) => [name, null]));
  return {
    config,
    dataset,
    networks: buildNetworks(config, dataset, program),
    program,
    momentum: new Map(),
    adamFirst: new Map(),
    adamSecond: new Map(),
    adamStep: 0,
    exponents: new Map(),
    norms: new Map(),
    peaks: new Map(),
    step: 0,
    evaluations: noEvaluation(),
    others: {},
    evaluatedAt: noEvaluation(),
    replica: new Map(),
    replicaChanges: new Map(),
    blobs: new Map(),
    frozen: new Map(),
    ...parts,
  };
}

/** Where nothing was sent yet, or a checkpoint knows of no replica, it begins at the partners' true values. */
export function beginReplica({ config, networks, program, parameters, replica }: TrainingState): void {
  if (config.downlink.discriminators !== "int8" || replica.size > 0) return;
  for (const [network, { partners }] of Object.entries(networks)) {
    for (const [set, { entries }] of Object.entries(partners)) {
      if (!hasReplica(networks, set)) continue;
      for (const { name } of entries) {
        replica.set(bufferName(program, network, name), parameter(parameters[network], name).slice());
      }
    }
  }
}

function drawn({ initial, name, shape }: ParameterEntry, draws: () => Rng): Float32Array | undefined {
  switch (initial.kind) {
    case "kaiming-normal":
      return kaimingNormal(draws(), shape, initial.fanIn);
    case "uniform":
      return uniform(draws(), elementCount(shape), initial.bound);
    case "constant":
      return new Float32Array(elementCount(shape)).fill(initial.value);
    case "values":
      return Float32Array.from(initial.values);
    case "companion":
      return undefined;
    default:
      throw new RangeError(`${name} starts in a way that is not known: ${JSON.stringify(initial satisfies never)}`);
  }
}

/**
 * Fresh values of a network and of `beside`, each from a stream of its own; then latent weights settle, and their
 * companions follow.
 */
export function initialParameters(network: Network, beside: Manifest, seed: number, name: string): ParameterMap {
  const made: ParameterMap = new Map();
  for (const entry of joinManifests(network.saved, beside).entries) {
    const values = drawn(entry, () => rng(seed, "init", name, entry.name));
    if (values) made.set(entry.name, values);
  }
  const { latent } = network;
  for (const layer of latent) {
    // As after each update.
    settleLayer(network, made, layer);
    makeCompanions(network, made, layer);
  }
  deriveCompanions(network, made, latent);
  const inOrder = [...network.manifest.entries, ...beside.entries, ...network.saved.entries];
  return new Map(inOrder.map((entry) => [entry.name, parameter(made, entry.name)]));
}

/**
 * The state before the first step, a function of the configuration alone.
 * @param given parameters of networks that are from files (`readTeacherFile`), by name; all of them are needed
 */
export function createTrainingState(
  config: RunConfig,
  dataset: Dataset,
  given: Readonly<Record<string, Parameters>> = {},
): TrainingState {
  const state = assembleState(config, dataset, { parameters: {} });
  const parameters = state.program.networks.map(({ name, file }): [string, ParameterMap] => {
    if (file !== undefined && !given[name]) {
      throw new RangeError(`the ${name} is from ${file}: its parameters must be read first`);
    }
    const network = state.networks[name];
    const beside = joinManifests(...Object.values(network.partners));
    const values = given[name] ?? initialParameters(network, beside, config.seed, name);
    return [name, new Map([...values].map(([entry, value]) => [entry, Float32Array.from(value)]))];
  });
  const fresh = { ...state, parameters: Object.fromEntries(parameters) };
  beginPass(fresh);
  beginReplica(fresh);
  return fresh;
}

/** What a network's parameter is called in another one: a twin's begins with the twin's own name. */
function nameIn(state: TrainingState, name: string, source: string, entry: string): string {
  const [own, others] = [name, source].map((network) => Object.keys(state.networks[network].twins));
  const twin = own.findIndex((one) => entry.startsWith(twinParameter(one, "")));
  return twin < 0 || !others[twin]
    ? entry
    : twinParameter(others[twin], entry.slice(twinParameter(own[twin], "").length));
}

/** Takes over what another network has by the same names; what belongs to W beside that is made anew. */
function startFrom(state: TrainingState, name: string, source: string): void {
  const { parameters, networks } = state;
  const [network, own] = [networks[name], parameters[name]];
  const taken = new Set<string>();
  for (const [entry, value] of own) {
    const from = parameters[source].get(nameIn(state, name, source, entry));
    if (from?.length !== value.length) continue;
    value.set(from);
    taken.add(entry);
  }
  for (const layer of network.latent) {
    settleLayer(network, own, layer);
    for (const companion of Object.values(layer.companions)) {
      if (companion.role !== "derived" && !taken.has(companion.name)) own.delete(companion.name);
    }
    makeCompanions(network, own, layer);
  }
  deriveCompanions(network, own, network.latent);
}

/**
 * Where a pass begins at the state's step: the first of a network starts from the one that its plan names, and the
 * first of a phase is told to the network's method.
 */
export function beginPass(state: TrainingState): void {
  const { program, step, parameters, networks } = state;
  const pass = program.passes.find(({ firstStep }) => firstStep === step);
  if (!pass) return;
  const before = program.passes.slice(0, pass.index);
  const { startsFrom } = networkPlanNamed(program, pass.network);
  const starts = startsFrom !== undefined && before.every(({ network }) => network !== pass.network);
  if (starts) startFrom(state, pass.network, startsFrom);
  const network = networks[pass.network];
  const begin = before.some(({ phase }) => phase === pass.phase) ? undefined : network.method.rule?.begin;
  if (begin) {
    const own = parameters[pass.network];
    const moment = (weight: string) => secondMomentOf(state, pass.network, weight);
    const phase = phaseNamed(program, pass.phase);
    for (const layer of network.latent) begin(latentLayerOf(own, layer, moment(layer.weight.name)), phase);
    deriveCompanions(network, own, network.latent, moment);
  }
  if (!starts && !begin) return;
  parametersChanged(state, pass.network);
  partnersChanged(state, Object.keys(network.partners));
}

/** SHA-256 of a network's float32 parameters in manifest order, its partners' last, as hex. */
export function parametersHash(state: TrainingState, network: string): string {
  const hash = createHash("sha256");
  for (const { name } of wireManifest(state.networks, network).entries) {
    const values = parameter(state.parameters[network], name);
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex");
}

function encoded(blobs: Map<string, WireBlob>, key: string, encode: () => Uint8Array<ArrayBuffer>): WireBlob {
  const known = blobs.get(key);
  if (known) return known;
  const bytes = encode();
  const blob = { bytes, hash: contentHash(bytes) };
  blobs.set(key, blob);
  return blob;
}

function expanded({ networks }: TrainingState, set: ParameterSet, form: WireForm, values: Parameters) {
  const blob = encodeBlob(setManifest(networks, set), form.layout, values);
  roundFloats(form, blob);
  return blob;
}

/** A partner as workers hold it, by its own names. */
function replicaOf({ networks, program, replica }: TrainingState, owner: string, set: ParameterSet): Parameters {
  const { entries } = setManifest(networks, set);
  return new Map(entries.map(({ name }) => [name, parameter(replica, bufferName(program, owner, name))]));
}

/** A parameter set as workers hold it, after what its way down rounds off; encoded once per change. */
export function wireBlob(state: TrainingState, set: ParameterSet): WireBlob {
  return encoded(state.blobs, set, () => {
    const form = wireForm(state.networks, state.config, set);
    const owner = setOwner(state.networks, set);
    return expanded(state, set, form, form.floats === "int8" ? replicaOf(state, owner, set) : state.parameters[owner]);
  });
}

/** A network for the phases that need it, as it is fetched: packed, named by the SHA-256 of these very bytes. */
export function frozenNetwork(state: TrainingState, network: string): WireBlob {
  return encoded(state.frozen, network, () => {
    const form = frozenForm(state.networks, state.config, network);
    return encodeWhole(form, expanded(state, network, form, state.parameters[network]));
  });
}

/** Must be called after each change of a network's own parameters: forgets what was encoded of them. */
export function parametersChanged(state: TrainingState, network: string): void {
  state.blobs.delete(network);
  state.frozen.delete(network);
}

/** Must be called after each change of partners. @throws GRADIENT_NOT_FINITE where they are not finite */
export function partnersChanged(state: TrainingState, sets: readonly ParameterSet[]): void {
  const { blobs, networks, parameters, replicaChanges } = state;
  for (const set of sets) {
    const base = blobs.get(set)?.hash;
    blobs.delete(set);
    if (state.config.downlink.discriminators !== "int8" || !hasReplica(networks, set)) continue;
    const writer = new RiceWriter();
    const owner = setOwner(networks, set);
    const held = replicaOf(state, owner, set);
    for (const { name } of setManifest(networks, set).entries) {
      advanceReplica(writer, name, parameter(held, name), parameter(parameters[owner], name));
    }
    // Where no blob was encoded, no worker can hold it.
    if (base === undefined) replicaChanges.delete(set);
    else replicaChanges.set(set, { base, body: writer.finish() });
  }
}

/** Notes a network's score on the held-out samples at the run's step. */
export function recordEvaluation(
  progress: RunProgress,
  network: string,
  score: number,
  others: OtherValues = {},
): void {
  progress.evaluations[network] = score;
  progress.others[network] = others;
  progress.evaluatedAt[network] = progress.step;
}
