// Records L_Adv of one mini-batch: discriminators on teacher and student maps, their own gradients, and the gradient
// that reaches the student's maps.

import { groupedLinearForward, memberStride } from "../../kernels/layers/grouped-linear.ts";
import { groupedLinearInputGradient } from "../../kernels/layers/grouped-linear-input-gradient.ts";
import { groupedLinearParameterGradient } from "../../kernels/layers/grouped-linear-parameter-gradient.ts";
import { adversarialLoss } from "../../kernels/losses/adversarial-loss.ts";
import { copy } from "../../kernels/steps/copy.ts";
import { range } from "../../kernels/text/range.ts";
import { type Critic, criticsOf, type Graph } from "../../shared/model/graph.ts";
import { discriminatorName, discriminatorWidths } from "../../shared/model/manifest.ts";
import {
  type DiscriminatorGroup,
  type DiscriminatorTensors,
  discriminatorGroups,
  groupRange,
} from "./discriminator-groups.ts";
import { type LaunchList, type Ref, slice } from "./launch-list.ts";

export interface AdversarialOptions extends DiscriminatorTensors {
  /** Samples; a discriminator of branches sees each once a branch. */
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
  /** f32 [discriminators][2]: its loss and the generator's, not scaled. */
  readonly metrics: Ref;
  /** f32 [discriminators][2][rows]: the teacher's maps, then the student's. */
  readonly logits: Ref;
  /** Of each discriminator: samples times the maps that it judges. */
  readonly rows: number;
  /** ∂(lambda·generator's loss)/∂(the student's pooled map), f32 [n][c] of each map; undefined where lambda is 0. */
  readonly dPooled: readonly (Ref | undefined)[];
}

/** Factor of each layer's term. */
export function adversarialScale(layers: number, reduce: "mean" | "sum"): number {
  return reduce === "mean" ? 1 / layers : 1;
}

/** Maps that each discriminator judges. */
function mapsEach(critics: readonly Critic[]): number {
  return critics[0]?.maps.length ?? 1;
}

/** Tensors for the pooled maps, laid out as the discriminators read them: what is written there need not be copied. */
export function pooledMaps(list: LaunchList, graph: Graph, n: number, tensors: DiscriminatorTensors): PooledMaps {
  const critics = criticsOf(graph);
  if (mapsEach(critics) > 1) {
    // Maps of one discriminator lie behind one another there, wherever a binding may begin.
    const own = () => graph.maps.map(({ node }) => list.tensor(n * graph.shapes[node].c));
    return { real: own(), fake: own() };
  }
  const maps = discriminatorGroups(critics, tensors, 0).flatMap(({ count, in: channels }) => {
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
  const { lambda, reduce } = options;
  const critics = criticsOf(graph);
  const count = critics.length;
  const rows = mapsEach(critics) * options.n;
  const site: Site = { critics, options: { ...options, n: rows }, samples: options.n };
  const scale = adversarialScale(count, reduce);
  const column = memberStride(rows, 1);
  const layers = recordLayers(list, site, real, fake);
  const dlogits = list.tensor(count * 2 * column);
  const turn = lambda > 0 ? list.tensor(count * column) : undefined;
  const metrics = list.tensor(2 * count);
  const logits = layers[layers.length - 1].out;
  list.run(adversarialLoss({ layers: count, n: rows, weight: scale, lambda }), {
    logits,
    dlogits,
    ...(turn && { turn }),
    metrics,
  });
  return { metrics, logits, rows, dPooled: recordGradients(list, graph, site, layers, dlogits, turn) };
}

/** Discriminators with what they are recorded by; `options.n` is the rows of each, `samples` those of a map. */
interface Site {
  readonly critics: readonly Critic[];
  readonly options: AdversarialOptions;
  readonly samples: number;
}

/** f32 [count][2][rows][channels], the teacher's member first. */
function bringTogether(
  list: LaunchList,
  { critics, options: { n: rows }, samples }: Site,
  { first, count, in: channels }: DiscriminatorGroup,
  real: readonly Ref[],
  fake: readonly Ref[],
): Ref {
  const stride = memberStride(rows, channels);
  const elements = 2 * count * stride;
  /** The maps of each member, in its order. */
  const members = critics
    .slice(first, first + count)
    .flatMap(({ maps }) => [real, fake].map((side) => maps.map((map) => side[map])));
  const [[start]] = members;
  const inPlace = members.every(
    ([ref], i) =>
      samples === rows &&
      sameTensor(ref, start) &&
      ref.offset === start.offset + 4 * i * stride &&
      ref.bytes === 4 * rows * channels,
  );
  if (inPlace) return slice(start, 0, elements);
  const both = list.tensor(elements);
  const size = samples * channels;
  members.forEach((maps, i) => {
    maps.forEach((x, map) => {
      list.run(copy({ size, toOffset: i * stride + map * size }), { x, y: both });
    });
  });
  return both;
}

function sameTensor(a: Ref, b: Ref): boolean {
  return a.kind === "transient" && b.kind === "transient" && a.id === b.id;
}

/** The group's tensors of one kind, one for each discriminator. */
function tensorsOf(
  critics: readonly Critic[],
  { first, count }: DiscriminatorGroup,
  ref: (name: string) => Ref,
  layer: number,
  tensor: "weight" | "bias",
): readonly Ref[] {
  return critics.slice(first, first + count).map(({ name }) => ref(discriminatorName(name, layer, tensor)));
}

/** One layer of all discriminators. */
interface Layer {
  readonly groups: readonly DiscriminatorGroup[];
  /** Each group's input, f32 [count][2][rows][in]. */
  readonly inputs: readonly Ref[];
  /** f32 [discriminators][2][rows][width]. */
  readonly out: Ref;
}

/** What of a tensor with `elements` a discriminator belongs to a group. */
function part(tensor: Ref, { first, count }: DiscriminatorGroup, elements: number): Ref {
  return slice(tensor, first * elements, count * elements);
}

function recordLayers(list: LaunchList, site: Site, real: readonly Ref[], fake: readonly Ref[]): readonly Layer[] {
  const { critics, options } = site;
  const { n, parameter, quads = false } = options;
  const layers: Layer[] = [];
  discriminatorWidths.forEach((width, layer) => {
    const groups = discriminatorGroups(critics, options, layer);
    const out = list.tensor(critics.length * 2 * memberStride(n, width));
    const inputs = groups.map((group) => {
      if (layer > 0) return part(layers[layer - 1].out, group, 2 * memberStride(n, group.in));
      return bringTogether(list, site, group, real, fake);
    });
    groups.forEach((group, i) => {
      const stride = group.parameterStride / 4;
      list.multiply(
        (small) =>
          groupedLinearForward({
            groups: group.count,
            members: 2,
            n,
            in: group.in,
            out: width,
            quads,
            small,
            weightStride: stride,
            biasStride: stride,
            leaky: layer < discriminatorWidths.length - 1,
          }),
        {
          x: inputs[i],
          w: groupRange(tensorsOf(critics, group, parameter, layer, "weight")),
          bias: groupRange(tensorsOf(critics, group, parameter, layer, "bias")),
          y: part(out, group, 2 * memberStride(n, width)),
        },
      );
    });
    layers.push({ groups, inputs, out });
  });
  return layers;
}

/** A part of a tensor, wherever it begins. */
function copyOf(list: LaunchList, x: Ref, fromOffset: number, size: number): Ref {
  const y = list.tensor(size);
  list.run(copy({ size, fromOffset }), { x, y });
  return y;
}

/**
 * Back through the layers: the discriminators' gradients, from which `turn` makes the generator's of the pooled maps.
 * Without it nothing goes beyond the first layer's parameters.
 */
function recordGradients(
  list: LaunchList,
  graph: Graph,
  { critics, options, samples }: Site,
  layers: readonly Layer[],
  dlogits: Ref,
  turn: Ref | undefined,
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
      const dWeight = tensorsOf(critics, group, gradient, layer, "weight");
      const dBias = tensorsOf(critics, group, gradient, layer, "bias");
      const arena = groupRange([...dWeight, ...dBias]);
      list.multiply(
        (small) =>
          groupedLinearParameterGradient({
            ...shape,
            small,
            stride: group.gradientStride / 4,
            weight: (dWeight[0].offset - arena.offset) / 4,
            bias: (dBias[0].offset - arena.offset) / 4,
          }),
        { dy, x: inputs[i], gradient: arena },
      );
      const weightStride = group.parameterStride / 4;
      const w = groupRange(tensorsOf(critics, group, parameter, layer, "weight"));
      const member = memberStride(n, group.in);
      if (below) {
        const dx = part(below, group, 2 * member);
        list.multiply((small) => groupedLinearInputGradient({ ...shape, small, weightStride, to: "hidden" }), {
          dy,
          w,
          activated: inputs[i],
          dx,
        });
      } else if (turn) {
        const dx = list.tensor(group.count * member);
        const turns = part(turn, group, memberStride(n, 1));
        const toMaps = (small: boolean) => groupedLinearInputGradient({ ...shape, small, weightStride, to: "maps" });
        list.multiply(toMaps, { dy, w, turn: turns, dx });
        const size = samples * group.in;
        for (let k = 0; k < group.count; k++) {
          for (const [place, map] of critics[group.first + k].maps.entries()) {
            dPooled[map] =
              place === 0 ? slice(dx, k * member, size) : copyOf(list, dx, k * member + place * size, size);
          }
        }
      }
    });
    if (below) above = below;
  }
  return dPooled;
}
