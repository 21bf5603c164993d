// Pairs that networks and programs take, against arithmetic that a person can do again.

import { expect, test } from "vitest";
import { GraphBuilder, type QuantiseRule, type WeightForm } from "../../../shared/model/graph.ts";
import { forwardPairs, forwardWork, passesOf, programWork, trainingWork } from "../../../shared/run/compute.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phaseProgram } from "../../../shared/run/program.ts";

const geometry = { kernel: 3, stride: 1, padding: 1 };

/** 4×4×3 → conv to 8 → 1-bit conv to 8 → pool → linear to 10. */
function smallNet() {
  const g = new GraphBuilder({ h: 4, w: 4, c: 3 });
  const stem = g.add({ op: "conv", name: "stem", input: g.input, out: 8, ...geometry });
  const companions = [{ name: "c", role: "learned", shape: [8] }] as const;
  const fields = { rectify: "out", surrogate: "ste", companions } as const;
  const body = g.add({ op: "rbconv", name: "body", input: stem, out: 8, ...geometry, ...fields });
  const pooled = g.add({ op: "globalpool", input: body });
  return g.build(g.add({ op: "linear", name: "fc", input: pooled, out: 10 }));
}

const stemPairs = 16 * 8 * 9 * 3;
const bodyPairs = 16 * 8 * 9 * 8;
const headPairs = 8 * 10;

test("a forward pass counts floats and bits apart, and its full-precision twin counts all as floats", () => {
  expect(forwardWork(smallNet())).toEqual({ float: stemPairs + headPairs, binary: bodyPairs });
  expect(forwardPairs(smallNet())).toBe(stemPairs + bodyPairs + headPairs);
});

test("an output of a layer in groups sees the channels of its own", () => {
  const g = new GraphBuilder({ h: 4, w: 4, c: 6 });
  const layer = g.add({ op: "conv", name: "conv", input: g.input, out: 8, groups: 2, ...geometry });
  expect(forwardWork(g.build(layer))).toEqual({ float: 16 * 8 * 9 * 3, binary: 0 });
});

test("training is three times forward, its backward passes in floats", () => {
  const all = stemPairs + bodyPairs + headPairs;
  expect(trainingWork(smallNet(), { trains: [{}] })).toEqual({
    float: stemPairs + headPairs + 2 * all,
    binary: bodyPairs,
  });
});

test("where convolutions do not train, only gradients of their inputs are counted", () => {
  const phase = { trains: [{ layers: ["batchnorm", "linear"] }] };
  expect(trainingWork(smallNet(), phase)).toEqual({
    float: stemPairs + headPairs + stemPairs + bodyPairs + 2 * headPairs,
    binary: bodyPairs,
  });
});

test.each([
  ["1 × 1 bases", { kind: "linear", planes: 1, scale: "layer" }, { kind: "bases", bases: 1 }, 1],
  ["3 × 3 bases", { kind: "linear", planes: 3, scale: "layer" }, { kind: "bases", bases: 3 }, 9],
  ["1 bit by 2", { kind: "linear", planes: 1, scale: "layer" }, { kind: "bits", bits: 2 }, 2],
  ["ternary by signs", { kind: "ternary" }, { kind: "sign", surrogate: "ste" }, 2],
  ["ternary by floats", { kind: "ternary" }, undefined, 0],
  ["a table by bits", { kind: "table", planes: 2, scale: "layer" }, { kind: "bits", bits: 2 }, 0],
  ["real weights by signs", { kind: "float" }, { kind: "sign", surrogate: "ste" }, 0],
] as readonly (readonly [string, WeightForm, QuantiseRule | undefined, number])[])(
  "%s: passes are pairs of planes, and floats where either is none",
  (_, weight, rule, passes) => {
    const g = new GraphBuilder({ h: 4, w: 4, c: 3 });
    const input = rule ? g.add({ op: "quantise", name: "q", input: g.input, rule }) : g.input;
    const node = g.add({ op: "qconv", name: "body", input, out: 8, ...geometry, weight, companions: [] });
    const graph = g.build(node);
    expect(passesOf(graph.nodes[node], graph)).toBe(passes);
    const pairs = 16 * 8 * 9 * 3;
    expect(forwardWork(graph)).toEqual(passes > 0 ? { float: 0, binary: passes * pairs } : { float: pairs, binary: 0 });
  },
);

const dataset = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };

function workOf(method: Record<string, unknown>) {
  const config = parseConfig({
    model: { kind: "lenet", widths: [4, 8, 16] },
    method: { kind: "rbcn", ...method },
    teacher: { epochs: 2, file: "t.safetensors" },
    epochs: 3,
    bnPhase: 0.5,
    batch: 50,
    microbatch: 50,
  });
  const program = phaseProgram(config, 100);
  const networks = buildNetworks(config, dataset, program);
  return { work: programWork(program, networks), networks };
}

test("a program is charged each pass, the teacher's forwards and the discriminators", () => {
  const { work, networks } = workOf({ ablation: "R+G+B" });
  const [student, bn, ...others] = work;
  expect(others).toEqual([]);
  expect(student).toMatchObject({ phase: "student", passes: 3, samples: 300, frozenForwards: 300 });
  expect(bn).toMatchObject({
    phase: "bn",
    passes: 3,
    samples: 150,
    frozenForwards: 0,
    frozen: { float: 0, binary: 0 },
  });
  expect(student.frozen).toEqual(forwardWork(networks.teacher.graph));
  expect(student.frozen.binary).toBe(0);
  const entries = networks.student.partners.discriminators.entries.filter(({ shape }) => shape.length === 2);
  const judged = entries.reduce((sum, { shape }) => sum + 2 * 3 * shape[0] * shape[1], 0);
  const alone = trainingWork(networks.student.graph, { trains: [{}] });
  expect(student.training).toEqual({ float: alone.float + judged, binary: alone.binary });
  expect(student.total.float).toBe(300 * (student.training.float + student.frozen.float));
});

test("without the GAN nothing looks at a teacher, and nobody is charged for one", () => {
  const { work } = workOf({ ablation: "R" });
  expect(work.map(({ phase, samples, frozenForwards }) => [phase, samples, frozenForwards])).toEqual([
    ["student", 300, 0],
  ]);
});
