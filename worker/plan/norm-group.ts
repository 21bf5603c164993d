// Records a normalisation with its shortcut and activation: its kernels forward, and their gradients back.

import { batchNorm, NORM_ROWS, pooledNorm, runningNorm } from "../../kernels/layers/norm-statistics.ts";
import { type Epilogue, normalise } from "../../kernels/layers/normalise.ts";
import { normaliseBackwardInput, normaliseBackwardSums } from "../../kernels/layers/normalise-backward.ts";
import { blockElements, blockStatistics, type MapShape } from "../../kernels/layers/sample-blocks.ts";
import { type Graph, NORM_EPSILON, type NodeId, parameterName, useOf } from "../../shared/model/graph.ts";
import { statisticName } from "../../shared/model/manifest.ts";
import type { NormGroup } from "./fusion.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import type { NetworkBuffers } from "./network-buffers.ts";

export function mapShape(graph: Graph, node: NodeId, n: number): MapShape {
  const { h, w, c } = graph.shapes[node];
  return { n, positions: h * w, channels: c };
}

function epilogueOf({ shortcut, activation }: NormGroup): Epilogue {
  return { activation: activation?.kind ?? "none", shortcut: shortcut !== undefined };
}

/** Bindings of an epilogue, by name. */
function epilogueRefs(
  { activation }: NormGroup,
  parameter: NetworkBuffers["parameter"],
  shortcut: Ref | undefined,
): Readonly<Record<string, Ref>> {
  return {
    ...(activation?.kind === "prelu" && { slope: parameter(parameterName(activation, "weight")) }),
    ...(shortcut && { shortcut }),
  };
}

/**
 * The norm of a map x by the batch's own statistics, which go to the arena, or by the running ones.
 * @param pooled receives the normalised map's mean of each sample, where somebody wants it
 * @returns f32 [4][channels], see norm-statistics.ts
 */
export function recordNorm(
  list: LaunchList,
  graph: Graph,
  shape: MapShape,
  { node, norm: id }: NormGroup,
  net: NetworkBuffers,
  x: Ref,
  pooled: Ref | undefined,
): Ref {
  const { channels } = shape;
  const norm = list.tensor(NORM_ROWS * channels);
  const of = (name: string) => net.parameter(parameterName(node, name));
  const affine = { weight: of("weight"), bias: of("bias") };
  const { statistic } = net;
  const eps = node.epsilon ?? NORM_EPSILON;
  if (!statistic) {
    const running = { runningMean: of("running_mean"), runningVar: of("running_var") };
    list.run(runningNorm({ channels, eps }), { ...affine, ...running, norm });
    if (!pooled) return norm;
  }
  const blocks = list.tensor(blockElements(shape));
  list.run(blockStatistics({ ...shape, squares: statistic !== undefined }), { x, blocks });
  if (statistic) {
    const use = useOf(graph, id);
    const batchMean = statistic(statisticName(parameterName(node, "running_mean"), use));
    const batchVariance = statistic(statisticName(parameterName(node, "running_var"), use));
    list.run(batchNorm({ ...shape, eps }), { blocks, ...affine, norm, batchMean, batchVariance });
  }
  if (pooled) list.run(pooledNorm(shape), { blocks, norm, pooled });
  return norm;
}

/** Outputs of a group; at least one is given. */
export interface GroupOutputs {
  /** f32 [n][h][w][c]. */
  readonly y?: Ref;
  /** Sign planes of y, u32 [n][h][w][group][words]. */
  readonly bits?: Ref;
  /** How many groups of channels the planes are packed by; 1 unless given. */
  readonly groups?: number | undefined;
}

/** y = activation(norm(x) (+ shortcut)), its sign planes, or both. */
export function recordNormalise(
  list: LaunchList,
  shape: MapShape,
  group: NormGroup,
  net: NetworkBuffers,
  inputs: { readonly x: Ref; readonly norm: Ref; readonly shortcut?: Ref },
  outputs: GroupOutputs,
): void {
  const { x, norm, shortcut } = inputs;
  const { y, bits, groups = 1 } = outputs;
  list.run(
    normalise({
      ...shape,
      ...epilogueOf(group),
      store: y !== undefined,
      pack: bits !== undefined && list.packing,
      ...(groups === 1 ? {} : { groups }),
    }),
    {
      x,
      norm,
      ...epilogueRefs(group, net.parameter, shortcut),
      ...(y && { y }),
      ...(bits && { bits }),
    },
  );
}

export interface GroupGradient {
  /** Gradient of the group's output; overwritten with the shortcut's where there is an activation. */
  readonly dy: Ref;
  readonly x: Ref;
  readonly norm: Ref;
  readonly shortcut?: Ref;
  /** ∂L/∂(each sample's mean of the normalised map), f32 [n][c]. */
  readonly dPooled?: Ref;
}

/**
 * First pass back: the gradients of the group's parameters, and in `dy` the shortcut's.
 * @param gradient where a parameter's gradient goes
 * @returns the second pass: ∂L/∂x over x itself without a target, else into it
 */
export function recordNormBackward(
  list: LaunchList,
  shape: MapShape,
  group: NormGroup,
  net: NetworkBuffers,
  inputs: GroupGradient,
  gradient: (name: string, elements: number) => Ref,
): (target?: { readonly dx: Ref; readonly accumulate: boolean }) => void {
  const { dy, x, norm, shortcut, dPooled } = inputs;
  const { node, activation } = group;
  const epilogue = epilogueOf(group);
  const pooled = dPooled !== undefined;
  const seen: Record<string, Ref> = dPooled ? { dPooled } : {};
  const dbias = gradient(parameterName(node, "bias"), shape.channels);
  const dweight = gradient(parameterName(node, "weight"), shape.channels);
  list.run(normaliseBackwardSums({ ...shape, ...epilogue, pooled }), {
    dy,
    x,
    norm,
    ...epilogueRefs(group, net.parameter, shortcut),
    ...seen,
    dbias,
    dweight,
    ...(activation?.kind === "prelu" && { dslope: gradient(parameterName(activation, "weight"), shape.channels) }),
  });
  return (target) => {
    const kind = target === undefined ? "in place" : target.accumulate ? "accumulate" : "fresh";
    list.run(normaliseBackwardInput({ ...shape, pooled, target: kind }), {
      g: dy,
      x,
      norm,
      dbias,
      dweight,
      ...seen,
      ...(target && { dx: target.dx }),
    });
  };
}
