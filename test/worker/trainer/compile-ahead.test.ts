// Kernels are compiled ahead without keeping the worker from its socket.

import { expect, test } from "vitest";
import type { Kernel } from "../../../kernels/text/kernel.ts";
import type { CompiledKernel } from "../../../worker/pipeline-cache.ts";
import { compileAhead } from "../../../worker/trainer/compile-ahead.ts";

const kernels = Array.from(
  { length: 24 },
  (_, i): Kernel => ({ wgsl: `kernel ${i}`, label: "", bindings: [], grid: [1, 1, 1] }),
);

function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** Turns of the event loop in which sockets are read, counted while `work` goes on. */
async function turnsBetween(compile: (turns: () => number) => CompiledKernel | Promise<CompiledKernel>) {
  let turns = 0;
  let going = true;
  const count = () => {
    turns++;
    if (going) setImmediate(count);
  };
  setImmediate(count);
  const begun: number[] = [];
  const cache = {
    has: () => false,
    get: (): Promise<CompiledKernel> => {
      begun.push(turns);
      return Promise.resolve(compile(() => turns));
    },
  };
  const progress: number[] = [];
  await compileAhead(cache, kernels, { atOnce: 8, onProgress: (done) => progress.push(done), aborted: () => false });
  going = false;
  expect(progress[0]).toBe(0);
  expect(progress.at(-1)).toBe(kernels.length);
  return begun;
}

const compiled = {} as CompiledKernel;

test("where a call comes back compiled, the socket has its turn between them", async () => {
  const begun = await turnsBetween(() => {
    block(25);
    return compiled;
  });
  expect(begun).toHaveLength(kernels.length);
  // A machine that is busy may fire two timers in one turn; lanes side by side would begin eight kernels in each.
  expect(new Set(begun).size).toBeGreaterThan(kernels.length / 2);
});

test("where a driver compiles on threads, several are under way at once", async () => {
  let under = 0;
  let most = 0;
  await turnsBetween(async () => {
    under++;
    most = Math.max(most, under);
    await new Promise((resolve) => setTimeout(resolve, 5));
    under--;
    return compiled;
  });
  expect(most).toBe(8);
});
