// What several coordinators cannot drive, said before anything of a run is written.

import { BitswarmError } from "../../../shared/base/errors.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { isRobust } from "../../sum/robust-round.ts";

/** @throws CONFIG_INVALID */
export function requireSums({ trust: { clip } }: Pick<RunConfig, "trust">): void {
  if (!isRobust(clip)) return;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `trust.clip: ${clip} combines each account's part of a step, and over several machines only sums of them come together; take auto, norm or none, or a run in one process (engine.kind local, no --engine)`,
  );
}
