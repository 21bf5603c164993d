// Whether a run's rounds fit the memory in which their parts wait for the seal. Asked once, before anything is made.

import { BitswarmError } from "../../shared/base/errors.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import { sealMode } from "../round/deadline.ts";
import type { TrainingState } from "../state/training-state.ts";
import { isRobust } from "../sum/robust-round.ts";

/** Bytes that the parts of a round may take, with `trust.clip` centered-clip or trimmed-mean. */
export const ROBUST_BYTES = 2 ** 30;
/** Beside the parts: the mean, and the one before. */
const OTHER_VECTORS = 2;

/** Bytes of the parts of the run's largest round: one float64 an element, for each account that can have one. */
export function robustBytes({ config, networks, program }: Pick<TrainingState, "config" | "networks" | "program">) {
  const sizes = program.phases.map((phase) => phaseLayout(networks, phase, config.sync.kind).size);
  // A step carries at most as much as it has.
  const samples = config.batch * (sealMode(config) === "deadline" ? 2 : 1);
  const parts = Math.min(samples / config.microbatch, config.maxWorkers);
  return { elements: Math.max(...sizes), parts, bytes: 8 * Math.max(...sizes) * (parts + OTHER_VECTORS) };
}

/**
 * @throws CONFIG_INVALID for a run that is to combine its rounds robustly and would need more memory than ROBUST_BYTES
 */
export function requireRobustMemory(state: Pick<TrainingState, "config" | "networks" | "program">): void {
  const { trust, batch, microbatch } = state.config;
  if (!isRobust(trust.clip)) return;
  const { elements, parts, bytes } = robustBytes(state);
  if (bytes <= ROBUST_BYTES) return;
  const mebibytes = (count: number) => Math.ceil(count / 2 ** 20);
  throw new BitswarmError(
    "CONFIG_INVALID",
    `The run's configuration is not valid:\n  trust.clip: ${trust.clip} keeps up to ${parts} parts of ${elements} numbers until a step is sealed, ${mebibytes(bytes)} MiB; the limit is ${mebibytes(ROBUST_BYTES)} MiB. Take a smaller batch (now ${batch}), a larger microbatch (now ${microbatch}), a smaller model, or trust.clip=norm`,
  );
}
