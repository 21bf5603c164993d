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

/** Kernels are almost compiled where the rest will take so long by what was, and a part of them is. */
const ALMOST_MS = 2000;
const ALMOST_PART = 0.25;

/** Whether a lease may be asked for already: its data are fetched meanwhile, its clock runs for a moment in vain. */
export function almostDone({ done, total, elapsedMs }: Readonly<Record<"done" | "total" | "elapsedMs", number>>) {
  return done >= ALMOST_PART * total && (elapsedMs * (total - done)) / Math.max(done, 1) <= ALMOST_MS;
}

/** A call that keeps its caller for so long has compiled, not only begun to: Deno does that. */
const COMPILED_MS = 20;

/**
 * Where a call returns compiled, one follows another with a turn of the event loop between them: several in turn leave
 * none to the socket, and a coordinator that hears nothing for three pings takes the worker for lost.
 * @throws what the device says where it refuses a kernel
 */
export async function compileAhead(
  cache: Pick<PipelineCache, "has" | "get">,
  kernels: readonly Kernel[],
  { atOnce, onProgress, aborted }: CompileAhead,
): Promise<void> {
  const due = [...new Map(kernels.map((kernel) => [kernel.wgsl, kernel])).values()].filter((one) => !cache.has(one));
  const total = due.length;
  if (total === 0 || aborted()) return;
  onProgress(0, total);
  let done = 0;
  const queue = due.values();
  let inTurn = false;
  const compileNext = async (lane: number) => {
    while (!aborted() && (!inTurn || lane === 0)) {
      const { value: kernel } = queue.next();
      if (kernel === undefined) return;
      const since = systemClock.now();
      const compiled = cache.get(kernel);
      inTurn ||= systemClock.now() - since >= COMPILED_MS;
      await compiled;
      done++;
      if (done < total) onProgress(done, total);
      await sleep(systemClock, 0);
    }
  };
  try {
    const first = compileNext(0);
    // What the first call took is known before the others begin.
    await Promise.all([first, ...Array.from({ length: atOnce - 1 }, (_, i) => compileNext(i + 1))]);
  } finally {
    onProgress(total, total);
  }
}
