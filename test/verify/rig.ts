// What an oracle case runs on: the compiled kernels of a device, and how its products are to be cut.

import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { ChooseTiling } from "../../worker/plan/launch-list.ts";

export interface Rig {
  readonly cache: PipelineCache;
  readonly choose: ChooseTiling;
  /** As PlanOptions.quads. */
  readonly quads: boolean;
}
