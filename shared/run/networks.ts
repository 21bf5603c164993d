// From a configuration to the networks of the run: teacher and student of the same topology, with their manifests.

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
import { fullPrecision } from "../model/methods/full-precision.ts";
import type { Method } from "../model/methods/method.ts";
import { rbcn } from "../model/methods/rbcn.ts";
import { models } from "../model/networks/models.ts";
import { tasks } from "../tasks/tasks.ts";
import type { RoundKind } from "../wire/contribution.ts";
import type { RunConfig } from "./config.ts";

export interface Network {
  readonly graph: Graph;
  readonly method: Method;
  /** The network's own parameters, as workers hold them. */
  readonly manifest: Manifest;
  /** Those in checkpoints: without what follows from latent weights, with the coordinator's own state. */
  readonly saved: Manifest;
  /** Each latent weight with its companions. */
  readonly latent: readonly LatentEntries[];
}

/** A graph that a method was built into, with its parameters. */
export function networkOf(graph: Graph, method: Method): Network {
  const all = networkManifest(graph);
  return { graph, method, manifest: sentEntries(all), saved: savedEntries(all), latent: latentEntries(all) };
}

export interface Networks {
  readonly teacher: Network;
  readonly student: Network;
  /** Empty without the GAN. */
  readonly discriminators: Manifest;
}

/** Which network a round trains or evaluates. */
export type NetworkName = "teacher" | "student";

/** What of a run's description decides its networks. */
export type NetworkConfig = Pick<RunConfig, "model" | "task" | "rbcn" | "ablation" | "data">;

function buildGraph(config: NetworkConfig, dataset: Pick<Dataset, "shape" | "classes">, method: Method): Graph {
  const { model, data } = config;
  const task = tasks.get(config.task.kind);
  const run = { dataset, data };
  const io = { inputs: task.inputs(config.task, run), head: task.head(config.task, run) };
  return models.get(model.kind).build(model, io, method);
}

export function usesGan(config: Pick<RunConfig, "ablation">): boolean {
  return config.ablation !== "R";
}

export function buildNetworks(config: NetworkConfig, dataset: Pick<Dataset, "shape" | "classes">): Networks {
  const network = (method: Method) => networkOf(buildGraph(config, dataset, method), method);
  const student = network(rbcn(config.rbcn));
  const discriminators = usesGan(config) ? discriminatorManifest(student.graph) : { entries: [] };
  return { teacher: network(fullPrecision), student, discriminators };
}

/** The parameters that travel for a network: the student's bring the discriminators along. */
export function wireManifest(networks: Networks, name: NetworkName): Manifest {
  return name === "teacher"
    ? networks.teacher.manifest
    : joinManifests(networks.student.manifest, networks.discriminators);
}

/** What a round of this kind sends back. The discriminators take part in `student` rounds only, by their role. */
export function roundManifest(networks: Networks, kind: RoundKind, name: NetworkName): Manifest {
  switch (kind) {
    case "teacher":
    case "student":
      return wireManifest(networks, name);
    case "bn":
    case "evaluate":
      return networks[name].manifest;
    default:
      return kind satisfies never;
  }
}
