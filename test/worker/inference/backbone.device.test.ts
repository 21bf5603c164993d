// What the GPU answers for a tracker is what the CPU does: three searches at once, features that stay on the device.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { WasmBackbone } from "../../../worker/inference/wasm/wasm-backbone.ts";
import { WebgpuBackbone } from "../../../worker/inference/webgpu/webgpu-backbone.ts";
import { testDevice, withErrorScopes } from "../../fixtures/device.ts";
import { drawnTracker, EXEMPLAR } from "../../fixtures/drawn-tracker.ts";

const SEARCH = 159;
const N = 3;

function drawnCrops(n: number, side: number, seed: string): Uint8Array<ArrayBuffer> {
  const draws = rng("crops", seed);
  return Uint8Array.from({ length: n * side * side * 3 }, () => draws.below(256));
}

test.each([
  ["floats", {}],
  ["few bits", { method: { kind: "rbcn" } }],
] as const)("X52 a GPU answers with the CPU's responses for a backbone of %s", async (_title, options) => {
  const device = await testDevice();
  const model = readExported(drawnTracker(options));
  const cpu = new WasmBackbone(model, model.tracking!);
  const gpu = new WebgpuBackbone(model, model.tracking!, device, false);
  const exemplar = drawnCrops(1, EXEMPLAR, "exemplar");
  await withErrorScopes(device, async () => {
    const [wantedZ, z] = [await cpu.embed(exemplar, 1, EXEMPLAR), await gpu.embed(exemplar, 1, EXEMPLAR)];
    // Two frames that are embedded before either is asked: the first keeps what it was given.
    const frames = ["first", "second"].map((name) => drawnCrops(N, SEARCH, name));
    const embedded = [];
    for (const crops of frames) embedded.push(await gpu.embed(crops, N, SEARCH));
    for (const [i, crops] of frames.entries()) {
      const x = await cpu.embed(crops, N, SEARCH);
      const [wanted, got] = [await cpu.respond(wantedZ, x), await gpu.respond(z, embedded[i]!)];
      embedded[i]!.release();
      expect([got.n, got.side, got.values.length]).toEqual([wanted.n, wanted.side, wanted.values.length]);
      const size = Math.max(...wanted.values.map(Math.abs));
      const worst = Math.max(...wanted.values.map((value, at) => Math.abs(value - got.values[at]!)));
      expect(worst / size, `frame ${i}, responses of up to ${size}`).toBeLessThan(1e-4);
    }
  });
  gpu.dispose();
  cpu.dispose();
});
