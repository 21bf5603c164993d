// How large a contribution is, in the groups in which one may lie without the others: gradients (or differences),
// critics', statistics, metrics.

import type { ContributionTensor } from "../../shared/wire/contribution.ts";

export type NormGroup = "gradient" | "critic" | "statistic" | "metric";

/** One tensor of a contribution's integers. */
export interface TensorSpan {
  readonly group: NormGroup;
  /** Elements from the start of the contribution. */
  readonly offset: number;
  readonly size: number;
  /** Value of one unit. */
  readonly unit: number;
  /** A worker's own error feedback is in it: of two honest answers only most signs agree. */
  readonly signs: boolean;
}

/** Euclidean norm of the mean over the samples; no entry for a group without tensors. */
export type GroupNorms = Readonly<Partial<Record<NormGroup, number>>>;

export function groupOf({ kind, role }: Pick<ContributionTensor, "kind" | "role">): NormGroup {
  if (kind === "statistic" || kind === "metric") return kind;
  return role === "critic" ? "critic" : "gradient";
}

/**
 * Norms of a contribution. The same bits wherever it is computed: the reduction adds squares in a fixed order.
 * @param squares Σ value² of each tensor, of the sum over `samples` samples
 */
export function groupNormsOf(
  tensors: readonly Pick<ContributionTensor, "kind" | "role">[],
  squares: ArrayLike<number>,
  samples: number,
): GroupNorms {
  const totals = new Map<NormGroup, number>();
  tensors.forEach((tensor, i) => {
    const group = groupOf(tensor);
    totals.set(group, (totals.get(group) ?? 0) + squares[i]);
  });
  const norms: Partial<Record<NormGroup, number>> = {};
  for (const [group, total] of totals) norms[group] = Math.sqrt(total) / samples;
  return norms;
}
