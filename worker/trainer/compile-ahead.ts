// Compiles the kernels of a plan before anything runs them, some at a time, and tells how far it is.

import type { Kernel } from "../../kernels/text/kernel.ts";
import { sleep, systemClock } from "../clock.ts";
import type { PipelineCache } from "../pipeline-cache.ts";

export interface CompileAhead {
  /** Kernels that compile at a time: a driver may do so on several threads. */
  readonly atOnce: number;
  /** Called with none done, then for each, and with all at the end, however it comes. */
  readonly onProgress: (done: number, total: number) => void;
  /** Nothing more is begun once this is true. */
  readonly aborted: () => boolean;
}

/** @throws what the device says where it refuses a kernel */
export async function compileAhead(
  cache: PipelineCache,
  kernels: readonly Kernel[],
  { atOnce, onProgress, aborted }: CompileAhead,
): Promise<void> {
  const due = [...new Map(kernels.map((kernel) => [kernel.wgsl, kernel])).values()].filter((one) => !cache.has(one));
  const total = due.length;
  if (total === 0 || aborted()) return;
  onProgress(0, total);
  let done = 0;
  const queue = due.values();
  const compileNext = async () => {
    for (const kernel of queue) {
      if (aborted()) return;
      await cache.get(kernel);
      done++;
      if (done < total) onProgress(done, total);
      // Deno compiles before it goes on: the heartbeat has to have its turn.
      await sleep(systemClock, 0);
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, compileNext));
  } finally {
    onProgress(total, total);
  }
}
