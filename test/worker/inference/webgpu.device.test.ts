// What the GPU's kernels make of an exported network are the logits of the CPU's.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { lowered } from "../../../worker/inference/program/lower.ts";
import { wasmBackend } from "../../../worker/inference/wasm/wasm-backend.ts";
import { webgpuBackend } from "../../../worker/inference/webgpu/webgpu-backend.ts";
import { testDevice } from "../../fixtures/device.ts";
import { drawnFile, methodGraph } from "../../fixtures/drawn-export.ts";
import { drawnGroups } from "../../fixtures/drawn-groups.ts";
import { everyMethod } from "../../fixtures/every-method.ts";
import { inRotation } from "../../fixtures/in-rotation.ts";

/** One of each way to compute; the others take their turn with `npm run test:long`. */
const always = [
  "rbcn",
  "xnor inputScale=true",
  "ttq activations=2",
  "abc",
  "polino",
  "xnorpp",
  "zhuang",
  "bireal",
] as const;
const networks = [
  { model: { kind: "lenet", widths: [5, 33, 12] }, shape: { h: 28, w: 28, c: 1 } },
  { model: { kind: "resnet", widths: [9, 40], blocks: [1, 1] }, shape: { h: 10, w: 12, c: 3 } },
] as const;

const due = everyMethod.filter(
  ([title], at) => (always as readonly string[]).includes(title) || inRotation([title], at, 8).length === 1,
);

test.each([
  ...due.map(([title, method]) => {
    const files = networks.map(
      ({ model, shape }) =>
        () =>
          drawnFile(methodGraph(method, model, shape)),
    );
    return [title, files] as const;
  }),
  ["layers in groups", [drawnGroups]] as const,
])("%s", async (title, files) => {
  const device = await testDevice();
  for (const file of files) {
    const exported = readExported(file());
    const program = lowered(exported);
    const [cpu, gpu] = [await wasmBackend(program), await webgpuBackend(program, device, false)];
    const draws = rng("pictures", title);
    for (let picture = 0; picture < 2; picture++) {
      const { h, w, c } = exported.input;
      const x = Float32Array.from({ length: h * w * c }, () => draws.normal());
      const [wanted, logits] = [await cpu.run(x), await gpu.run(x)];
      const size = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
      expect(worst / size, `${exported.nodes.length} nodes, ${logits.length} logits of up to ${size}`).toBeLessThan(
        1e-4,
      );
    }
    gpu.dispose();
    cpu.dispose();
  }
});
