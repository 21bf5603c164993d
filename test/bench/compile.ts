// `bench compile`: what a kernel costs before it runs, one after another: its compilation, and what a software adapter
// still does in its first run.

import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { PassBench } from "../../worker/tuning/pass-bench.ts";
import type { BenchDevice } from "./bench-device.ts";
import type { Emit } from "./line.ts";
import { planOf } from "./prepared-step.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { rounded } from "./statistics.ts";
import { stepCases } from "./step-cases.ts";

/** Milliseconds until something is over. */
async function msOf(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await work();
  return performance.now() - since;
}

export async function benchCompile(bench: BenchDevice, request: BenchmarkRequest, emit: Emit): Promise<void> {
  const { cache, traits } = bench;
  for (const step of stepCases(request).filter(({ name }) => selects(request, name))) {
    const plan = planOf(bench, step);
    const convolutions = new Set<string>();
    for (const pass of plan.list.passes.values()) {
      for (const tiling of [NAIVE, ...tilings(pass, traits)]) {
        const ground = new PassBench(cache, pass);
        const { kernels } = convolutionPass(pass, tiling);
        for (const { wgsl } of kernels) convolutions.add(wgsl);
        const compileMs = await msOf(() => Promise.all(kernels.map((kernel) => cache.get(kernel))));
        const mounted = await ground.mount(tiling);
        const firstMs = await msOf(() => ground.run(mounted, 1));
        const ms = Math.min(await msOf(() => ground.run(mounted, 1)), await msOf(() => ground.run(mounted, 1)));
        ground.destroy();
        await emit({
          record: "compile",
          name: `${step.name}: ${passKey(pass)}`,
          tiling: tilingName(tiling),
          compileMs: rounded(compileMs),
          firstMs: rounded(firstMs - ms),
          ms: rounded(ms),
        });
      }
    }
    const others = plan.list.launches.filter(({ kernel }) => !convolutions.has(kernel.wgsl));
    for (const kernel of new Map(others.map(({ kernel }) => [kernel.wgsl, kernel])).values()) {
      const compileMs = await msOf(() => cache.get(kernel));
      await emit({
        record: "compile",
        name: `${step.name}: ${kernel.label}`,
        tiling: "",
        compileMs: rounded(compileMs),
      });
    }
  }
}
