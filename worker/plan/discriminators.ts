// Records L_Adv of one mini-batch: discriminators on teacher and student maps, their own gradients, and the gradient
// that reaches the student's maps.

import { groupedLinearForward, memberStride } from "../../kernels/layers/grouped-linear.ts";
import { groupedLinearInputGradient } from "../../kernels/layers/grouped-linear-input-gradient.ts";
import { groupedLinearParameterGradient } from "../../kernels/layers/grouped-linear-parameter-gradient.ts";
import { adversarialLoss } from "../../kernels/losses/adversarial-loss.ts";
import { copy } from "../../kernels/steps/copy.ts";
import { range } from "../../kernels/text/range.ts";
import type { Graph } from "../../shared/model/graph.ts";
import { discriminatorName, discriminatorWidths } from "../../shared/model/manifest.ts";
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
  /** As GroupedLinear.quads. */
  readonly quads?: boolean;
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
  const maps = discriminatorGroups(graph, tensors, 0).flatMap(({ count, in: channels }) => {
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
 * @param real the teacher's pooled maps; `fake` the student's. Those of `pooledMaps` are read in place, others are
 * copied
 */
export function recordAdversarial(
  list: LaunchList,
  graph: Graph,
  real: readonly Ref[],
  fake: readonly Ref[],
  options: AdversarialOptions,
): Adversarial {
  const { n, lambda, reduce } = options;
  const maps = graph.maps.length;
  const scale = adversarialScale(maps, reduce);
  const column = memberStride(n, 1);
  const layers = recordLayers(list, graph, real, fake, options);
  const dlogits = list.tensor(maps * 2 * column);
  const turn = lambda > 0 ? list.tensor(maps * column) : undefined;
  const metrics = list.tensor(2 * maps);
  list.run(adversarialLoss({ layers: maps, n, weight: scale, lambda }), {
    logits: layers[layers.length - 1].out,
    dlogits,
    ...(turn && { turn }),
    metrics,
  });
  return { metrics, dPooled: recordGradients(list, graph, layers, dlogits, turn, options) };
}

/** f32 [count][2][n][channels], the teacher's member first. */
function bringTogether(
  list: LaunchList,
  n: number,
  { count, in: channels }: DiscriminatorGroup,
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

/** One layer of all discriminators. */
interface Layer {
  readonly groups: readonly DiscriminatorGroup[];
  /** Each group's input, f32 [count][2][n][in]. */
  readonly inputs: readonly Ref[];
  /** f32 [maps][2][n][width]. */
  readonly out: Ref;
}

/** What of a tensor with `elements` a map belongs to a group. */
function part(tensor: Ref, { first, count }: DiscriminatorGroup, elements: number): Ref {
  return slice(tensor, first * elements, count * elements);
}

function recordLayers(
  list: LaunchList,
  graph: Graph,
  real: readonly Ref[],
  fake: readonly Ref[],
  options: AdversarialOptions,
): readonly Layer[] {
  const { n, parameter, quads = false } = options;
  const layers: Layer[] = [];
  discriminatorWidths.forEach((width, layer) => {
    const groups = discriminatorGroups(graph, options, layer);
    const out = list.tensor(graph.maps.length * 2 * memberStride(n, width));
    const inputs = groups.map((group) => {
      if (layer > 0) return part(layers[layer - 1].out, group, 2 * memberStride(n, group.in));
      const of = <T>(values: readonly T[]) => values.slice(group.first, group.first + group.count);
      return bringTogether(list, n, group, of(real), of(fake));
    });
    groups.forEach((group, i) => {
      const stride = group.parameterStride / 4;
      list.run(
        groupedLinearForward({
          groups: group.count,
          members: 2,
          n,
          in: group.in,
          out: width,
          quads,
          weightStride: stride,
          biasStride: stride,
          leaky: layer < discriminatorWidths.length - 1,
        }),
        {
          x: inputs[i],
          w: groupRange(tensorsOf(graph, group, parameter, layer, "weight")),
          bias: groupRange(tensorsOf(graph, group, parameter, layer, "bias")),
          y: part(out, group, 2 * memberStride(n, width)),
        },
      );
    });
    layers.push({ groups, inputs, out });
  });
  return layers;
}

/**
 * Back through the layers: the discriminators' gradients, from which `turn` makes the generator's of the pooled maps.
 * Without it nothing goes beyond the first layer's parameters.
 */
function recordGradients(
  list: LaunchList,
  graph: Graph,
  layers: readonly Layer[],
  dlogits: Ref,
  turn: Ref | undefined,
  options: AdversarialOptions,
): readonly (Ref | undefined)[] {
  const { n, parameter, gradient, quads = false } = options;
  const dPooled: (Ref | undefined)[] = graph.maps.map(() => undefined);
  let above = dlogits;
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    const { groups, inputs } = layers[layer];
    const out = discriminatorWidths[layer];
    const below = layer > 0 ? list.tensor(layers[layer - 1].out.bytes / 4) : undefined;
    groups.forEach((group, i) => {
      const shape = { groups: group.count, n, in: group.in, out, quads };
      const dy = part(above, group, 2 * memberStride(n, out));
      const dWeight = tensorsOf(graph, group, gradient, layer, "weight");
      const dBias = tensorsOf(graph, group, gradient, layer, "bias");
      const arena = groupRange([...dWeight, ...dBias]);
      list.run(
        groupedLinearParameterGradient({
          ...shape,
          stride: group.gradientStride / 4,
          weight: (dWeight[0].offset - arena.offset) / 4,
          bias: (dBias[0].offset - arena.offset) / 4,
        }),
        { dy, x: inputs[i], gradient: arena },
      );
      const weightStride = group.parameterStride / 4;
      const w = groupRange(tensorsOf(graph, group, parameter, layer, "weight"));
      const member = memberStride(n, group.in);
      if (below) {
        const dx = part(below, group, 2 * member);
        list.run(groupedLinearInputGradient({ ...shape, weightStride, to: "hidden" }), {
          dy,
          w,
          activated: inputs[i],
          dx,
        });
      } else if (turn) {
        const dx = list.tensor(group.count * member);
        const turns = part(turn, group, memberStride(n, 1));
        list.run(groupedLinearInputGradient({ ...shape, weightStride, to: "maps" }), { dy, w, turn: turns, dx });
        for (let k = 0; k < group.count; k++) dPooled[group.first + k] = slice(dx, k * member, n * group.in);
      }
    });
    if (below) above = below;
  }
  return dPooled;
}
