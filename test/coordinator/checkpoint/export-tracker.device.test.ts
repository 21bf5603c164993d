// What a tracker's file answers is what the network answers that was trained: on the CPU, on a GPU, and to the bit in
// its parameters.

import { expect, test } from "vitest";
import { wireBlob } from "../../../coordinator/state/training-state.ts";
import { rng } from "../../../shared/base/rng.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { inputTable } from "../../../shared/export/see-picture.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { networkNamed } from "../../../shared/run/networks.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { loadBackbone } from "../../../worker/inference/index.ts";
import { WebgpuBackbone } from "../../../worker/inference/webgpu/webgpu-backbone.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { responseLoss } from "../../../worker/tasks/response.ts";
import { testDevice } from "../../fixtures/device.ts";
import { readExport } from "../../fixtures/read-export.ts";
import { exportOf } from "../../fixtures/tiny-export.ts";
import { TINY_SIDES, trainedTracker } from "../../fixtures/tiny-tracker.ts";
import { execute, roundData } from "../../verify/execute.ts";

const N = 2;
const { instance: _, ...SIDES } = TINY_SIDES;

test("X55 a tracker's file, of the student and of its teacher, answers as the network that was trained", {
  timeout: 300_000,
}, async () => {
  const { state } = trainedTracker();
  const device = await testDevice();
  const cache = new PipelineCache(device);
  const draws = rng("crops", "tracker");
  const crops = Object.fromEntries(
    Object.entries(SIDES).map(([name, side]) => [
      name,
      Uint8Array.from({ length: N * side * side * 3 }, () => draws.below(256)),
    ]),
  );
  for (const name of ["student", "teacher"]) {
    const file = exportOf(state, name);
    const model = readExported(file);
    const network = networkNamed(state.networks, name);
    const table = inputTable(model.input);
    const plan = compilePlan({
      networks: state.networks,
      phase: phaseNamed(state.program, `evaluate-${name}`),
      n: N,
      adversarialReduce: "mean",
      loss: responseLoss({ radius: 16 }),
      accumulate: "exact",
    });
    plan.list.keep(plan.logits);
    const samples = Object.entries(crops).map(([input, bytes]) => [
      `sample.${input}`,
      Float32Array.from(bytes!, (value, at) => table[3 * value + (at % 3)]!),
    ]);
    const executed = await execute(cache, plan.list, {
      ...roundData(network.manifest),
      parameters: wireBlob(state, name).bytes,
      ...Object.fromEntries(samples),
    });
    const wanted = await executed.read(plan.logits);
    executed.destroy();
    const size = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(new Set(wanted).size).toBeGreaterThan(N);

    const backbones = [
      await loadBackbone(file, { backend: "wasm" }),
      new WebgpuBackbone(model, model.tracking!, device, false),
    ];
    for (const backbone of backbones) {
      for (let i = 0; i < N; i++) {
        const [z, x] = await Promise.all(
          Object.entries(SIDES).map(([input, side]) => {
            const each = 3 * side * side;
            return backbone.embed(crops[input]!.slice(i * each, (i + 1) * each), 1, side);
          }),
        );
        const { values } = await backbone.respond(z!, x!);
        const own = wanted.slice(i * values.length, (i + 1) * values.length);
        const worst = values.reduce((most, value, at) => Math.max(most, Math.abs(value - own[at]!)), 0);
        expect(worst / size, `${name}, pair ${i}, responses of up to ${size}`).toBeLessThan(1e-4);
      }
      backbone.dispose();
    }

    const read = readExport(file);
    expect([...read.parameters.keys()].sort()).toEqual(network.manifest.entries.map((entry) => entry.name).sort());
    for (const [key, values] of read.parameters) {
      const own = parameter(state.parameters[name]!, key);
      const latent = network.manifest.entries.some((entry) => entry.name === key && entry.role === "latent");
      expect(values, key).toEqual(latent ? own.map((value) => (value < 0 ? -1 : 1)) : own);
    }
  }
});
