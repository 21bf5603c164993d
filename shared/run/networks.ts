// From a run's configuration and outline to its networks by name: graphs of one topology, with their manifests.

import { BitswarmError } from "../base/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Graph } from "../model/graph.ts";
import {
  discriminatorManifest,
  joinManifests,
  type LatentEntries,
  latentEntries,
  type Manifest,
  networkManifest,
  savedEntries,
  sentEntries,
} from "../model/manifest.ts";
import { fullPrecision } from "../model/methods/full.ts";
import type { Method } from "../model/methods/method.ts";
import { methods } from "../model/methods/methods.ts";
import { models } from "../model/networks/models.ts";
import type { Outline, Partner, Phase } from "../model/phases.ts";
import type { Task } from "../tasks/task.ts";
import { tasks } from "../tasks/tasks.ts";
import type { RunConfig } from "./config.ts";
import { type PhaseConfig, phasesOf } from "./program.ts";

export interface Network {
  readonly graph: Graph;
  readonly method: Method;
  /** Of the task, beside its loss. */
  readonly metrics: readonly string[];
  /** What the task says that its loss and metrics can be. */
  readonly ranges: NonNullable<Task["ranges"]>;
  /** The network's own parameters, as workers hold them. */
  readonly manifest: Manifest;
  /** Those in checkpoints: without what follows from latent weights, with the coordinator's own state. */
  readonly saved: Manifest;
  /** Each latent weight with its companions. */
  readonly latent: readonly LatentEntries[];
  /** What travels with it under hashes of its own, by name. */
  readonly partners: Readonly<Record<string, Manifest>>;
  /** Graphs of those partners that are the same network in full precision, by name. */
  readonly twins: Readonly<Record<string, Graph>>;
}

/** A graph that a method was built into, with its parameters. */
export function networkOf(
  graph: Graph,
  method: Method,
  metrics: Network["metrics"],
  partners: Network["partners"] = {},
  ranges: Network["ranges"] = {},
  twins: Network["twins"] = {},
): Network {
  const all = networkManifest(graph);
  return {
    graph,
    method,
    metrics,
    ranges,
    manifest: sentEntries(all),
    saved: savedEntries(all),
    latent: latentEntries(all),
    partners,
    twins,
  };
}

/** Name of a twin's parameter beside those of its network. */
export function twinParameter(twin: string, name: string): string {
  return `${twin}.${name}`;
}

/** By name, in the outline's order. */
export type Networks = Readonly<Record<string, Network>>;

/** What of a run's description decides how its networks are built. */
export type NetworkConfig = Pick<RunConfig, "model" | "task" | "method" | "data">;

/** What of an outline builds networks; without its phases nobody is compared with another. */
type NetworkOutline = Pick<Outline, "networks"> & Partial<Pick<Outline, "phases">>;

type Input = Pick<Dataset, "shape" | "classes">;

function buildGraph(config: NetworkConfig, dataset: Input, method: Method): Graph {
  const { model, data } = config;
  const task = tasks.get(config.task.kind);
  const run = { dataset, data };
  const io = { inputs: task.inputs(config.task, run), head: task.head(config.task, run) };
  return models.get(model.kind).build(model, io, method);
}

/** The full-precision manifest of the same topology: what a 1-bit network is compared with. */
export function twinManifest(config: NetworkConfig, dataset: Input): Manifest {
  return networkManifest(buildGraph(config, dataset, fullPrecision));
}

function partnerManifest({ name, kind }: Partner, graph: Graph, twin: () => Graph): Manifest {
  switch (kind) {
    case "discriminators":
      return discriminatorManifest(graph);
    case "twin":
      // Beside a network that has the same layers.
      return {
        entries: networkManifest(twin()).entries.map((entry) => ({ ...entry, name: twinParameter(name, entry.name) })),
      };
    default:
      return kind satisfies never;
  }
}

/** What a map is called and how large it is: "layer1.0.conv1 56×56×64". */
function mapSizes({ maps, shapes }: Graph): readonly string[] {
  return maps.map(({ name, node }) => {
    const { h, w, c } = shapes[node];
    return `${name} ${h}×${w}×${c}`;
  });
}

/** Losses that look at compared maps. */
const mapLosses: readonly string[] = ["adversarial", "features"];

/**
 * A network that is frozen for another's phase, and has a model of its own, has the same maps to compare.
 * @throws CONFIG_INVALID naming the first map that differs
 */
function requireComparable({ networks, phases = [] }: NetworkOutline, built: Networks): void {
  for (const { network, needs, losses } of phases) {
    if (!losses.some(({ kind }) => mapLosses.includes(kind))) continue;
    for (const { name, model } of networks) {
      if (model === undefined || !needs.includes(name)) continue;
      const [own, others] = [mapSizes(built[network].graph), mapSizes(built[name].graph)];
      const at = own.findIndex((map, i) => map !== others[i]);
      if (at < 0 && own.length === others.length) continue;
      const [wanted, found] = at < 0 ? ["no more", others[own.length]] : [own[at], others[at] ?? "no more"];
      throw new BitswarmError(
        "CONFIG_INVALID",
        `${name}.model: its maps are compared with the ${network}'s, layer by layer, and differ: ${own.length} and ${others.length} of them, at ${at < 0 ? own.length + 1 : at + 1} the ${network} has ${wanted}, the ${name} ${found}. Give model and ${name}.model the same depth, widths, blocks and stem`,
      );
    }
  }
}

/** @param outline of the program; the configuration's own unless given */
export function buildNetworks(config: NetworkConfig & PhaseConfig, dataset: Input): Networks;
export function buildNetworks(config: NetworkConfig, dataset: Input, outline: NetworkOutline): Networks;
export function buildNetworks(
  config: NetworkConfig & Partial<PhaseConfig>,
  dataset: Input,
  outline: NetworkOutline = phasesOf(config as PhaseConfig).outline,
): Networks {
  const built = outline.networks.map(({ name, precision, options, model, partners }): [string, Network] => {
    const method =
      precision === "full"
        ? fullPrecision
        : methods.get(config.method.kind).create({ ...config.method, ...options, kind: config.method.kind });
    const graph = buildGraph(model === undefined ? config : { ...config, model }, dataset, method);
    const twin = () => buildGraph(config, dataset, fullPrecision);
    const beside = partners.map((one) => [one.name, partnerManifest(one, graph, twin)]);
    const twins = partners.filter(({ kind }) => kind === "twin").map((one) => [one.name, twin()]);
    const { metrics, ranges } = tasks.get(config.task.kind);
    const named = Object.fromEntries(twins);
    return [name, networkOf(graph, method, metrics, Object.fromEntries(beside), ranges, named)];
  });
  const networks = Object.fromEntries(built);
  requireComparable(outline, networks);
  return networks;
}

/** @throws RangeError for a name that the run has no network of */
export function networkNamed(networks: Networks, name: string): Network {
  const network = Object.hasOwn(networks, name) ? networks[name] : undefined;
  if (!network) throw new RangeError(`no network named ${name}; there are ${Object.keys(networks).join(", ")}`);
  return network;
}

/** The parameters that travel for a network: its own, then its partners'. */
export function wireManifest(networks: Networks, name: string): Manifest {
  const { manifest, partners } = networkNamed(networks, name);
  return joinManifests(manifest, ...Object.values(partners));
}

/** The parameters that a phase computes with: the network's, and those of the partners that take part. */
export function phaseManifest(networks: Networks, { network, partners }: Pick<Phase, "network" | "partners">) {
  const { manifest, partners: all } = networkNamed(networks, network);
  return joinManifests(manifest, ...partners.map((name) => all[name]));
}
