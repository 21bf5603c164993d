// What an oracle case runs on: the compiled kernels of a device, and the tiling that each convolution pass is to have.

import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { ChooseTiling } from "../../worker/plan/launch-list.ts";

export interface Rig {
  readonly cache: PipelineCache;
  readonly choose: ChooseTiling;
}
