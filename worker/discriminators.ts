// Records L_Adv of one mini-batch: discriminators on teacher and student maps, their own gradients, and the gradient that reaches the student's maps.

import { adversarialLoss } from "../kernels/adversarial-loss.ts";
import { copy } from "../kernels/copy.ts";
import { groupedLinearForward, memberStride } from "../kernels/grouped-linear.ts";
import { groupedLinearInputGradient, groupedLinearParameterGradient } from "../kernels/grouped-linear-gradient.ts";
import { range } from "../kernels/range.ts";
import type { Graph } from "../shared/graph.ts";
import { discriminatorName, discriminatorWidths } from "../shared/manifest.ts";
import {
  type DiscriminatorGroup,
  type DiscriminatorTensors,
  discriminatorGroups,
  groupRange,
} from "./discriminator-groups.ts";
import { type LaunchList, type Ref, slice } from "./launch-list.ts";

export interface AdversarialOptions extends DiscriminatorTensors {
  readonly n: number;
  /** Weight of L_Adv in the student's loss; with 0 only the discriminators learn. */
  readonly lambda: number;
  readonly reduce: "mean" | "sum";
}

/** The compared maps averaged over positions, f32 [n][c] each, in the graph's order. */
export interface PooledMaps {
  readonly real: readonly Ref[];
  readonly fake: readonly Ref[];
}

export interface Adversarial {
  /** f32 [maps][2]: discriminator's and generator's loss, not scaled. */
  readonly metrics: Ref;
  /** ∂(lambda·generator's loss)/∂(the student's pooled map), f32 [n][c] of each map; undefined where lambda is 0. */
  readonly dPooled: readonly (Ref | undefined)[];
}

/** Factor of each layer's term. */
export function adversarialScale(layers: number, reduce: "mean" | "sum"): number {
  return reduce === "mean" ? 1 / layers : 1;
}

/** Tensors for the pooled maps, laid out as the discriminators read them: what is written there need not be copied. */
export function pooledMaps(list: LaunchList, graph: Graph, n: number, tensors: DiscriminatorTensors): PooledMaps {
  const maps = discriminatorGroups(graph, tensors).flatMap(({ count, channels }) => {
    const stride = memberStride(n, channels);
    const both = list.tensor(2 * count * stride);
    return range(count).map((i) => ({
      real: slice(both, 2 * i * stride, n * channels),
      fake: slice(both, (2 * i + 1) * stride, n * channels),
    }));
  });
  return { real: maps.map((map) => map.real), fake: maps.map((map) => map.fake) };
}

/**
 * @param real the teacher's pooled maps; `fake` the student's. Those of `pooledMaps` are read in place, others are copied
 */
export function recordAdversarial(
  list: LaunchList,
  graph: Graph,
  real: readonly Ref[],
  fake: readonly Ref[],
  options: AdversarialOptions,
): Adversarial {
  const { n, lambda, reduce } = options;
  const layers = graph.maps.length;
  const scale = adversarialScale(layers, reduce);
  const column = memberStride(n, 1);
  const logits = list.tensor(layers * 2 * column);
  const groups = discriminatorGroups(graph, options).map((group) => {
    const of = <T>(values: readonly T[]) => values.slice(group.first, group.first + group.count);
    const pooled = bringTogether(list, n, group, of(real), of(fake));
    const out = slice(logits, group.first * 2 * column, group.count * 2 * column);
    return { group, layers: recordLayers(list, graph, group, pooled, out, options) };
  });
  const dlogits = list.tensor(layers * 2 * column);
  const turn = lambda > 0 ? list.tensor(layers * column) : undefined;
  const metrics = list.tensor(2 * layers);
  list.run(adversarialLoss({ layers, n, weight: scale, lambda }), {
    logits,
    dlogits,
    ...(turn && { turn }),
    metrics,
  });
  const dPooled = groups.flatMap(({ group, layers: inputs }) => {
    const { first, count } = group;
    const seed = slice(dlogits, first * 2 * column, count * 2 * column);
    const turns = turn && slice(turn, first * column, count * column);
    return recordGradients(list, graph, group, inputs, seed, turns, options);
  });
  return { metrics, dPooled };
}

/** f32 [count][2][n][channels], the teacher's member first. */
function bringTogether(
  list: LaunchList,
  n: number,
  { count, channels }: DiscriminatorGroup,
  real: readonly Ref[],
  fake: readonly Ref[],
): Ref {
  const stride = memberStride(n, channels);
  const refs = range(count).flatMap((i) => [real[i], fake[i]]);
  const elements = 2 * count * stride;
  const [first] = refs;
  const inPlace = refs.every(
    (ref, i) =>
      sameTensor(ref, first) && ref.offset === first.offset + 4 * i * stride && ref.bytes === 4 * n * channels,
  );
  if (inPlace) return slice(first, 0, elements);
  const both = list.tensor(elements);
  refs.forEach((x, i) => {
    list.run(copy({ size: n * channels, toOffset: i * stride }), { x, y: both });
  });
  return both;
}

function sameTensor(a: Ref, b: Ref): boolean {
  return a.kind === "transient" && b.kind === "transient" && a.id === b.id;
}

/** The group's tensors of one kind, one for each discriminator. */
function tensorsOf(
  graph: Graph,
  { first, count }: DiscriminatorGroup,
  ref: (name: string) => Ref,
  layer: number,
  tensor: "weight" | "bias",
): readonly Ref[] {
  return graph.maps.slice(first, first + count).map((map) => ref(discriminatorName(map.name, layer, tensor)));
}

/** Forward through the layers into `logits`; returns each layer's input, f32 [count][2][n][width]. */
function recordLayers(
  list: LaunchList,
  graph: Graph,
  group: DiscriminatorGroup,
  pooled: Ref,
  logits: Ref,
  { n, parameter }: AdversarialOptions,
): readonly Ref[] {
  const { count: groups, channels, parameterStride } = group;
  const inputs: Ref[] = [pooled];
  const last = discriminatorWidths.length - 1;
  discriminatorWidths.forEach((out, layer) => {
    const y = layer === last ? logits : list.tensor(groups * 2 * memberStride(n, out));
    const stride = parameterStride / 4;
    list.run(
      groupedLinearForward({
        groups,
        members: 2,
        n,
        in: layer === 0 ? channels : discriminatorWidths[layer - 1],
        out,
        weightStride: stride,
        biasStride: stride,
        leaky: layer < last,
      }),
      {
        x: inputs[layer],
        w: groupRange(tensorsOf(graph, group, parameter, layer, "weight")),
        bias: groupRange(tensorsOf(graph, group, parameter, layer, "bias")),
        y,
      },
    );
    if (layer < last) inputs.push(y);
  });
  return inputs;
}

/**
 * Back through the layers: the discriminators' gradients, from which `turn` makes the generator's of the pooled maps.
 * Without it nothing goes beyond the first layer's parameters.
 */
function recordGradients(
  list: LaunchList,
  graph: Graph,
  group: DiscriminatorGroup,
  inputs: readonly Ref[],
  seed: Ref,
  turn: Ref | undefined,
  { n, parameter, gradient }: AdversarialOptions,
): readonly (Ref | undefined)[] {
  const { count: groups, channels, parameterStride, gradientStride } = group;
  let dy = seed;
  for (let layer = discriminatorWidths.length - 1; layer >= 0; layer--) {
    const shape = {
      groups,
      n,
      in: layer === 0 ? channels : discriminatorWidths[layer - 1],
      out: discriminatorWidths[layer],
    };
    const dWeight = tensorsOf(graph, group, gradient, layer, "weight");
    const dBias = tensorsOf(graph, group, gradient, layer, "bias");
    const arena = groupRange([...dWeight, ...dBias]);
    list.run(
      groupedLinearParameterGradient({
        ...shape,
        stride: gradientStride / 4,
        weight: (dWeight[0].offset - arena.offset) / 4,
        bias: (dBias[0].offset - arena.offset) / 4,
      }),
      { dy, x: inputs[layer], gradient: arena },
    );
    const weightStride = parameterStride / 4;
    const w = groupRange(tensorsOf(graph, group, parameter, layer, "weight"));
    if (layer > 0) {
      const dx = list.tensor(groups * 2 * memberStride(n, shape.in));
      const activated = inputs[layer];
      list.run(groupedLinearInputGradient({ ...shape, weightStride, to: "hidden" }), { dy, w, activated, dx });
      dy = dx;
    } else if (turn) {
      const dx = list.tensor(groups * memberStride(n, channels));
      list.run(groupedLinearInputGradient({ ...shape, weightStride, to: "maps" }), { dy, w, turn, dx });
      return range(groups).map((i) => slice(dx, i * memberStride(n, channels), n * channels));
    }
  }
  return range(groups).map(() => undefined);
}
