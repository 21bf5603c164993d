// How large a contribution is, in the groups in which one may lie without the others: gradients (or differences), the discriminators', statistics, metrics.

import type { ContributionTensor } from "../../shared/contribution.ts";

export type NormGroup = "gradient" | "discriminator" | "statistic" | "metric";

/** One tensor of a contribution's integers. */
export interface TensorSpan {
  readonly group: NormGroup;
  /** Elements from the start of the contribution. */
  readonly offset: number;
  readonly size: number;
  /** Value of one unit. */
  readonly unit: number;
}

/** Euclidean norm of the mean over the samples; no entry for a group without tensors. */
export type GroupNorms = Readonly<Partial<Record<NormGroup, number>>>;

export function groupOf({ kind, name }: Pick<ContributionTensor, "kind" | "name">): NormGroup {
  if (kind === "statistic" || kind === "metric") return kind;
  return name.startsWith("discriminator.") ? "discriminator" : "gradient";
}

/**
 * Norms of a contribution. The same bits wherever it is computed: elements are added in their order.
 * @param units integer multiples of each tensor's unit: the sum over `samples` samples
 */
export function groupNorms(units: Float64Array, spans: readonly TensorSpan[], samples: number): GroupNorms {
  const squares = new Map<NormGroup, number>();
  for (const { group, offset, size, unit } of spans) {
    let sum = 0;
    for (let i = offset; i < offset + size; i++) sum += units[i] * units[i];
    squares.set(group, (squares.get(group) ?? 0) + sum * unit * unit);
  }
  const norms: Partial<Record<NormGroup, number>> = {};
  for (const [group, square] of squares) norms[group] = Math.sqrt(square) / samples;
  return norms;
}
