// Which discriminators' layers share a dispatch: neighbours' of one width whose tensors lie at one constant distance.

import type { Critic } from "../../shared/model/graph.ts";
import { discriminatorName, discriminatorWidths } from "../../shared/model/manifest.ts";
import type { Ref } from "./launch-list.ts";

/** Ref of each parameter in the blob, and of its gradient in the arena. */
export interface DiscriminatorTensors {
  readonly parameter: (name: string) => Ref;
  readonly gradient: (name: string) => Ref;
}

/** One layer of the discriminators `first` … `first + count − 1` of a graph. */
export interface DiscriminatorGroup {
  readonly first: number;
  readonly count: number;
  /** Inputs of the layer. */
  readonly in: number;
  /** Bytes from one discriminator's tensors to the next one's; 0 for a group of one. */
  readonly parameterStride: number;
  readonly gradientStride: number;
}

/** A tensor of every discriminator of a group, as one range of its buffer. */
export function groupRange(refs: readonly Ref[]): Ref {
  const start = Math.min(...refs.map((ref) => ref.offset));
  const end = Math.max(...refs.map((ref) => ref.offset + ref.bytes));
  return { ...refs[0], offset: start, bytes: end - start };
}

/** Bytes from the first list's tensors to the second's; undefined where they are not all at one positive distance. */
function distance(from: readonly Ref[], to: readonly Ref[]): number | undefined {
  const [stride, ...others] = from.map((ref, i) => to[i].offset - ref.offset);
  return stride > 0 && others.every((other) => other === stride) ? stride : undefined;
}

/** The discriminators in order, cut into the longest runs whose `layer` one dispatch can serve. */
export function discriminatorGroups(
  critics: readonly Critic[],
  tensors: DiscriminatorTensors,
  layer: number,
): readonly DiscriminatorGroup[] {
  const refsOf = (critic: number, ref: (name: string) => Ref) =>
    (["weight", "bias"] as const).map((tensor) => ref(discriminatorName(critics[critic].name, layer, tensor)));
  const strideTo = (critic: number, ref: (name: string) => Ref) =>
    distance(refsOf(critic - 1, ref), refsOf(critic, ref));
  const groups: DiscriminatorGroup[] = [];
  critics.forEach(({ channels }, critic) => {
    const width = layer === 0 ? channels : discriminatorWidths[layer - 1];
    const last = groups.at(-1);
    if (last?.in === width) {
      const parameterStride = strideTo(critic, tensors.parameter);
      const gradientStride = strideTo(critic, tensors.gradient);
      const fits =
        last.count === 1 || (parameterStride === last.parameterStride && gradientStride === last.gradientStride);
      if (parameterStride && gradientStride && fits) {
        groups[groups.length - 1] = { ...last, count: last.count + 1, parameterStride, gradientStride };
        return;
      }
    }
    groups.push({ first: critic, count: 1, in: width, parameterStride: 0, gradientStride: 0 });
  });
  return groups;
}
