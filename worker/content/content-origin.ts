// Where a run's content comes from, and where it stays.

import type { BackoffRange } from "../backoff.ts";
import type { ContentPorts } from "./content-ports.ts";
import type { KeptContent } from "./kept-content.ts";

export interface ContentOrigin {
  /** The coordinator's address, as a link has it (`JoinLink`). */
  readonly base: string;
  readonly token: string;
  /** What stays on this device; a missing one only costs a second download after a reload. */
  readonly kept: KeptContent | undefined;
  readonly backoff: BackoffRange;
  readonly ports: ContentPorts;
}
