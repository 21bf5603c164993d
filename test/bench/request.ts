// What a run of the benchmark is asked for, as data: the command line writes it, every runtime reads it.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";

export const benchmarks = ["kernels", "step", "peers", "passes", "compile", "track"] as const;
export const runtimes = ["browser", "deno", "node"] as const;
export type Runtime = (typeof runtimes)[number];

export const requestSchema = z.strictObject({
  benchmark: z.enum(benchmarks),
  /** Words that the name of a case must all contain. */
  filter: z.array(z.string()),
  /** Measurements of each case; candidates of one case take turns. */
  rounds: z.number().int().min(1).max(100),
  /** Shortest measurement: a case is repeated until it takes this long. */
  atLeastMs: z.number().min(1).max(10_000),
  /**
   * Measure every tiling of a step's convolutions first, and run it with the fastest; else with the first candidates.
   */
  tune: z.boolean(),
  /** Also the step of ResNet-18 64-128-256-512 at 224×224. */
  imagenet: z.boolean(),
  /** Steps of this method alone, against full precision and RBCN. */
  method: z.string().optional(),
  /** Also every launch of a step alone. */
  launches: z.boolean(),
});
export type BenchmarkRequest = z.output<typeof requestSchema>;

/** Whether a case is wanted. */
export function selects(request: Pick<BenchmarkRequest, "filter">, name: string): boolean {
  return request.filter.every((word) => name.includes(word));
}

/** @throws CONFIG_INVALID where no case is wanted, with the names of all */
export function requireSome(request: Pick<BenchmarkRequest, "benchmark" | "filter">, names: readonly string[]): void {
  if (names.some((name) => selects(request, name))) return;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `no case of ${request.benchmark} has ${request.filter.join(" and ")} in its name; there are ${names.join(", ")}`,
  );
}
