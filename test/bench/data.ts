// `bench data`: what of a training step the data take, part by part.

import { benchDecode } from "./data/decode.ts";
import { benchGpuWait } from "./data/gpu-wait.ts";
import { benchImport } from "./data/import.ts";
import { benchRanges } from "./data/ranges.ts";
import { benchTraffic } from "./data/traffic.ts";
import type { Emit } from "./line.ts";

interface DataOptions {
  /** Turns of each that is compared. */
  readonly rounds: number;
}

/** Part → measures it. Each alone: `npm run bench -- data decode`. */
const parts: Readonly<Record<string, (options: DataOptions, emit: Emit) => Promise<void>>> = {
  decode: ({ rounds }, emit) => benchDecode(rounds, emit),
  "gpu-wait": ({ rounds }, emit) => benchGpuWait(rounds, emit),
  import: (_, emit) => benchImport(emit),
  ranges: (_, emit) => benchRanges(emit),
  traffic: (_, emit) => benchTraffic(emit),
};

export const dataParts = Object.keys(parts);

export async function benchData(named: readonly string[], options: DataOptions, emit: Emit): Promise<void> {
  for (const [name, measure] of Object.entries(parts)) if (named.includes(name)) await measure(options, emit);
}
