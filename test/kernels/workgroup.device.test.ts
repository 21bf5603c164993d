// Tilings in workgroup memory: the bits of the register kernels, on shapes that fill no tile.
import { expect, test } from "vitest";
import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { passKey } from "../../kernels/convolution/pass/pass.ts";
import { tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { workgroupPass, workgroupTilings } from "../../kernels/convolution/workgroup/pass.ts";
import { workgroupPlan } from "../../kernels/convolution/workgroup/plan.ts";
import { workgroupBytes } from "../../kernels/convolution/workgroup/product.ts";
import { GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import type { KernelSequence } from "../../kernels/text/kernel.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { AWKWARD_PASSES, passData } from "./workgroup-cases.ts";

/**
 * Compiling for a CPU takes long: the candidates take turns over the passes, and a share of the passes, with every verb
 * and every shape among them, is due; with `npm run test:long` all. Every candidate on fewer is tilings.test.ts.
 */
const CASES = inRotation([...AWKWARD_PASSES.entries()], 0, 3).map(([turn, pass]) => {
  const tilings = workgroupTilings(pass, GUARANTEED_TRAITS);
  const tiling = tilings[turn % tilings.length]!;
  return [`${passKey(pass)} ${tilingName(tiling)}`, pass, tiling] as const;
});

test.each(CASES)("%s", async (_, pass, tiling) => {
  const device = await testDevice();
  const { bindings, result } = passData(pass);
  const run = async (kernels: KernelSequence) => {
    const { [result]: values } = await runKernels(device, kernels, bindings);
    return [...new Uint32Array(values!.buffer)];
  };
  expect(await run(workgroupPass(pass, tiling))).toEqual(await run(convolutionPass(pass)));
});

test("every verb is offered two tilings or more, all within the adapter's memory and invocations", () => {
  const small = { ...GUARANTEED_TRAITS, workgroupMemory: 8192, invocations: 128 };
  for (const pass of AWKWARD_PASSES) {
    for (const traits of [GUARANTEED_TRAITS, small]) {
      const tilings = workgroupTilings(pass, traits);
      expect(tilings.length).toBeGreaterThan(1);
      for (const tiling of tilings) {
        expect(tiling.down * tiling.across).toBeLessThanOrEqual(traits.invocations);
        expect(workgroupBytes(workgroupPlan(pass, tiling).product)).toBeLessThanOrEqual(traits.workgroupMemory);
      }
    }
  }
});
