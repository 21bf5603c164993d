// What is exported is what was trained: of each method, the file alone gives the logits, to the bit, that workers
// compute from what they are sent, and as an ONNX file the same but for the order of sums.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { writeOnnx } from "../../../coordinator/export/onnx/onnx-model.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { wireBlob } from "../../../coordinator/state/training-state.ts";
import { rng } from "../../../shared/base/rng.ts";
import { planesOf } from "../../../shared/model/graph.ts";
import { fullPrecision } from "../../../shared/model/methods/full.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { type Network, networkOf } from "../../../shared/run/networks.ts";
import { blobLayout, encodeBlob } from "../../../shared/wire/parameter-blob.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";
import { testDevice } from "../../fixtures/device.ts";
import { everyMethod, tinyMethodConfig } from "../../fixtures/every-method.ts";
import { runOnnx } from "../../fixtures/onnx-runtime.ts";
import { readExport } from "../../fixtures/read-export.ts";
import { advance, tinyState, withFolder } from "../../fixtures/tiny-run.ts";
import { execute, roundData } from "../../verify/execute.ts";

const N = 3;
const SIDE = 28;
const draw = rng(11, "export");
const images = Float32Array.from({ length: N * SIDE * SIDE }, () => draw.normal());
const caches = new Map<GPUDevice, PipelineCache>();

async function logitsOf(network: Network, phase: ReturnType<typeof phaseNamed>, blob: Uint8Array) {
  const device = await testDevice();
  const cache = caches.get(device) ?? new PipelineCache(device);
  caches.set(device, cache);
  const networks = { [phase.network]: network };
  const plan = compilePlan({
    networks,
    phase,
    n: N,
    adversarialReduce: "mean",
    loss: classificationLoss(0),
    accumulate: "exact",
  });
  plan.list.keep(plan.logits);
  const executed = await execute(cache, plan.list, {
    ...roundData(network.manifest),
    parameters: blob,
    "sample.image": images,
    "sample.label": new Uint32Array(N),
  });
  const logits = await executed.read(plan.logits);
  executed.destroy();
  return logits;
}

test.each(everyMethod)(
  "an exported network of %s gives the logits of the one that was trained",
  {
    timeout: 300_000,
  },
  (_title, method) =>
    withFolder(async (runDir) => {
      const state = tinyState(tinyMethodConfig(method));
      const ledger = new Ledger();
      while (state.step < state.program.steps) advance(state, ledger);
      const extra = { run: "tiny-run", time: "2026-01-01T00:00:00.000Z" };
      await writeCheckpoint(runDir, encodeCheckpoint(state, extra.run), state, ledger, extra);
      const out = join(runDir, "model.safetensors");
      await exportModel(runDir, out);

      const { graph, parameters, model } = readExport(await readFile(out));
      const trained = state.networks.student;
      const read = networkOf(graph, fullPrecision, trained.metrics);
      const layout = blobLayout(read.manifest);
      const blob = encodeBlob(read.manifest, layout, parameters);
      const phase = phaseNamed(state.program, "evaluate-student");
      const [ours, theirs] = [
        await logitsOf(read, phase, blob),
        await logitsOf(trained, phase, wireBlob(state, "student").bytes),
      ];
      expect(theirs.every(Number.isFinite)).toBe(true);
      expect(new Set(theirs).size).toBeGreaterThan(N);
      expect(ours).toEqual(theirs);

      // Here of floats in another order, so to 1e-5 of the largest.
      const [onnx] = await runOnnx(writeOnnx(model, "packed"), { dims: [N, 1, SIDE, SIDE], images });
      const most = theirs.reduce((largest, one) => Math.max(largest, Math.abs(one)), 0);
      const differences = theirs.map((one, i) => Math.abs(one - onnx!.values[i]!) / most);
      expect(Math.max(...differences)).toBeLessThan(1e-5);

      // The file has no weight that is not needed, and of each layer as many planes as its form has.
      for (const node of model.nodes) {
        if (node.op !== "qconv") continue;
        const { name, weight } = node;
        expect(parameters.get(`${name}.planes`)?.length ?? 0).toBe(
          planesOf(weight) * (state.parameters.student.get(`${name}.weight`)?.length ?? 0),
        );
        expect(parameters.has(`${name}.weight`)).toBe(weight.kind === "float");
      }
    }),
);
