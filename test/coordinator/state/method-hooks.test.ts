// Rules of what a method does around a step, with one that is written here: bit planes in place of W, a companion with
// a step of its own, state that phases and updates change, and Adam's second moment.

import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { decodeTensors, encodeTensors } from "../../../coordinator/checkpoint/checkpoint-tensors.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { parametersHash, wireBlob } from "../../../coordinator/state/training-state.ts";
import { activationPlanes, planesOf, type WeightForm } from "../../../shared/model/graph.ts";
import { commonBlock, companionOf, defineMethod } from "../../../shared/model/methods/method.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { plainProgram } from "../../../shared/model/methods/programs.ts";
import { packSignPlanes } from "../../../shared/model/sign-planes.ts";
import { blobLayout, parameter } from "../../../shared/wire/parameter-blob.ts";
import { advance, nextLayout, tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const form: WeightForm = { kind: "linear", planes: 2, scale: "layer" };
const rates: number[] = [];
const phases: string[] = [];

const planed = defineMethod({
  kind: "planed",
  schema: z.strictObject({ kind: z.literal("planed") }),
  create: () => ({
    binarizesInput: true,
    block: commonBlock,
    body: (g, layer) => {
      const input = g.add({
        op: "quantise",
        name: `${layer.name}.input`,
        input: layer.input,
        rule: { kind: "bases", bases: 2 },
      });
      const shape = [2, layer.out, layer.kernel, layer.kernel, g.shape(layer.input).c];
      return g.add({
        op: "qconv",
        ...layer,
        input,
        weight: form,
        companions: [
          { name: "planes", role: "derived", shape, signs: true },
          { name: "c", role: "learned", shape: [2], rate: 0.5 },
          { name: "spread", role: "derived", shape: [1] },
          { name: "moved", role: "state", shape: [1] },
        ],
      });
    },
    rule: {
      companion: (name, { weight, secondMoment }) => {
        if (name === "c") return Float32Array.of(0.5, 0.25);
        if (name === "moved") return Float32Array.of(0);
        if (name === "spread") return Float32Array.of(secondMoment ? secondMoment.reduce((a, b) => a + b, 0) : -1);
        return Float32Array.from([...weight, ...weight], (w, i) => ((i < weight.length ? w : w - 0.1) < 0 ? -1 : 1));
      },
      gradients: (layer, gradient) => ({
        weight: gradient.map((g) => g * companionOf(layer, "c")[0]),
        learned: { c: Float64Array.of(1, -1) },
        losses: {},
      }),
      readsPrevious: true,
      settle: ({ weight, companions: { moved } }, previous) => {
        if (moved) moved[0] += weight.reduce((sum, w, i) => sum + Math.abs(w - previous[i]), 0);
      },
      learn: {
        c: (layer, gradient, learningRate) => {
          rates.push(learningRate);
          const c = companionOf(layer, "c");
          gradient.forEach((g, i) => {
            c[i] -= learningRate * g;
          });
        },
      },
      begin: (layer, { name }) => {
        phases.push(name);
        companionOf(layer, "moved")[0] += 1000;
      },
    },
  }),
  phases: (_, run) => plainProgram(run),
});

let remove: () => void;
beforeAll(() => {
  remove = methods.add(planed);
});
afterAll(() => remove());

const config = () =>
  tinyConfig({
    method: { kind: "planed" },
    epochs: 2,
    optimizer: { learningRate: 0.2, schedule: { kind: "constant" }, latent: { kind: "adam" } },
  });

test("forms of weights and rules of activations say how many planes they have", () => {
  expect(planesOf(form)).toBe(2);
  expect(planesOf({ kind: "float" })).toBe(0);
  expect(planesOf({ kind: "ternary" })).toBe(2);
  expect(planesOf({ kind: "table", planes: 4, scale: "out" })).toBe(4);
  expect(activationPlanes({ kind: "sign", surrogate: "ste" })).toBe(1);
  expect(activationPlanes({ kind: "bits", bits: 3 })).toBe(3);
  expect(activationPlanes({ kind: "bases", bases: 5 })).toBe(5);
});

test("the planes travel in place of W, as sign planes", () => {
  const state = tinyState(config());
  const { manifest } = state.networks.student;
  const { tensors } = blobLayout(manifest);
  expect(tensors.has("conv2.weight")).toBe(false);
  const planes = tensors.get("conv2.planes")!;
  expect(planes.encoding).toBe("signs");
  expect(tensors.get("conv2.c")!.encoding).toBe("f32");
  expect(tensors.get("conv2.input.shift")!.encoding).toBe("f32");
  expect(tensors.has("conv2.moved")).toBe(false);
  const { bytes } = wireBlob(state, "student");
  const values = parameter(state.parameters.student, "conv2.planes");
  const sent = new Uint32Array(bytes.buffer, bytes.byteOffset + planes.offset, planes.bytes / 4);
  expect([...sent]).toEqual([...packSignPlanes(values, values.length / 2, 2)]);
});

test("what comes back is the gradient of what the convolution saw, under W's name", () => {
  const names = nextLayout(tinyState(config())).tensors.map(({ name }) => name);
  expect(names).toContain("conv2.weight");
  expect(names).toContain("conv2.input.scale");
  expect(names.filter((name) => /\.(planes|c|spread|moved)$/.test(name))).toEqual([]);
});

test("a companion with a step of its own has its own rate; updates know W before them, and phases begin once", () => {
  phases.length = 0;
  rates.length = 0;
  const state = tinyState(config());
  expect(phases).toEqual(["student", "student"]);
  const moved = () => parameter(state.parameters.student, "conv2.moved")[0];
  expect(moved()).toBe(1000);
  const before = parameter(state.parameters.student, "conv2.weight").slice();
  const ledger = new Ledger();
  advance(state, ledger);
  const after = parameter(state.parameters.student, "conv2.weight");
  expect(moved()).toBeCloseTo(1000 + after.reduce((sum, w, i) => sum + Math.abs(w - before[i]), 0), 3);
  expect(rates).toEqual([0.1, 0.1]);
  expect([...parameter(state.parameters.student, "conv2.c")]).toEqual([Math.fround(0.4), Math.fround(0.35)]);
  while (state.step < state.program.steps) advance(state, ledger);
  expect(phases).toHaveLength(2);
});

test("what follows from Adam's second moment is there at once, and again after a checkpoint", () => {
  const state = tinyState(config());
  const spread = (of: typeof state) => parameter(of.parameters.student, "conv2.spread")[0];
  expect(spread(state)).toBe(-1);
  advance(state);
  expect(spread(state)).toBeGreaterThan(0);
  const files = new Map([...encodeTensors(state, "run")].map(([name, { bytes }]) => [name, bytes]));
  const restored = { ...state, ...decodeTensors(files, state.networks, state.program), blobs: new Map() };
  expect(spread(restored)).toBe(spread(state));
  expect(parametersHash(restored, "student")).toBe(parametersHash(state, "student"));
  expect(wireBlob(restored, "student").hash).toBe(wireBlob(state, "student").hash);
});
