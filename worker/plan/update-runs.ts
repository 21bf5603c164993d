// Which parameters one launch can update: neighbours of one kind that lie at the same distances in the replica and in
// the arena.

import { type Manifest, type Role, statisticNames } from "../../shared/model/manifest.ts";
import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import { BINDING_ALIGNMENT, type BlobLayout } from "../../shared/wire/parameter-blob.ts";

/** Elements from the start of the replica's blob, and of the arena, which optimizer buffers are laid out as. */
export interface UpdateRun<G> {
  readonly group: G;
  readonly replica: number;
  readonly arena: number;
  /** Gaps between the tensors included: they hold zeros, and an update of zeros by zeros gives zeros. */
  readonly elements: number;
}

/** @param groupOf what a role's parameters are updated as; undefined for those that are left out */
export function updateRuns<G>(
  manifest: Manifest,
  blob: BlobLayout,
  arena: ContributionLayout,
  groupOf: (role: Role) => G | undefined,
): readonly UpdateRun<G>[] {
  const offsets = new Map(arena.tensors.map((tensor) => [tensor.name, tensor]));
  const runs: UpdateRun<G>[] = [];
  const tensors = manifest.entries.flatMap((entry) =>
    // A running statistic that batch norms share is updated by one after another.
    (entry.role === "statistic" ? statisticNames(entry) : [entry.name]).map((sent) => ({ ...entry, sent })),
  );
  for (const { name, role, sent } of tensors) {
    const group = groupOf(role);
    const tensor = offsets.get(sent);
    const place = blob.tensors.get(name);
    if (group === undefined || !tensor || !place) continue;
    const replica = place.offset / 4;
    const last = runs.at(-1);
    const block = BINDING_ALIGNMENT / 4;
    const follows = last && last.arena + Math.ceil(last.elements / block) * block === tensor.offset;
    if (follows && last.group === group && replica - last.replica === tensor.offset - last.arena) {
      runs[runs.length - 1] = { ...last, elements: tensor.offset + tensor.size - last.arena };
    } else runs.push({ group, replica, arena: tensor.offset, elements: tensor.size });
  }
  return runs;
}
