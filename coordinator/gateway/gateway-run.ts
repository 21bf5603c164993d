// A run as its gateways know it: what it computes, and nothing of its numbers.

import type { RunConfig } from "../../shared/run/config.ts";
import type { Networks } from "../../shared/run/networks.ts";
import type { Program } from "../../shared/run/program.ts";

export interface GatewayRun {
  readonly run: string;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  readonly config: RunConfig;
  readonly networks: Networks;
  readonly program: Program;
}
