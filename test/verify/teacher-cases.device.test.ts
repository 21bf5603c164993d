// A teacher's oracle cases on this process's device, and cases of odd sizes against a plain forward pass in float64.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { rng } from "../../shared/base/rng.ts";
import { nhwcToNchw } from "../../shared/model/axes.ts";
import { elementCount, networkManifest } from "../../shared/model/manifest.ts";
import { PipelineCache } from "../../worker/pipeline-cache.ts";
import { testDevice } from "../fixtures/device.ts";
import { forward } from "../vectors/reference/network.ts";
import { tensor } from "../vectors/reference/tensor.ts";
import { type OracleCase, type OracleTensor, readOracleCase } from "./oracle-case.ts";
import { teacherGraph, verifyTeacherForward } from "./teacher-cases.ts";

const folder = fileURLToPath(new URL("../oracle-teacher/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));

async function failures(test: OracleCase) {
  const rig = { cache: new PipelineCache(await testDevice()), choose: () => undefined, quads: false };
  const comparisons = await verifyTeacherForward(rig, test);
  expect(comparisons.length).toBeGreaterThan(4);
  return comparisons.filter((c) => !c.passed);
}

test.each(names)("%s: logits, maps and the maps' means of a teacher are PyTorch's", async (name) => {
  expect(await failures(readOracleCase(readFileSync(path.join(folder, name))))).toEqual([]);
});

/** A case with drawn images and parameters, and what a plain forward pass makes of them. */
function madeCase(attributes: Parameters<typeof teacherGraph>[0] & { readonly n: number }): OracleCase {
  const { n, h, w } = attributes;
  const graph = teacherGraph(attributes, 3);
  const draws = rng("teacher case", JSON.stringify(attributes));
  const around = (centre: number, spread: number) => centre + spread * (2 * draws.uniform() - 1);
  const drawn = ({ name, shape }: { readonly name: string; readonly shape: readonly number[] }) => {
    const fanIn = elementCount(shape) / shape[0];
    const [centre, spread] =
      name.includes("conv") || name.includes("downsample.0") || name.startsWith("fc")
        ? [0, Math.sqrt(6 / Math.max(1, fanIn))]
        : name.endsWith("running_var") || /(bn\d|downsample\.1)\.weight$/.test(name)
          ? [1, 0.5]
          : [0, 0.5];
    return Float32Array.from({ length: elementCount(shape) }, () => around(centre, spread));
  };
  const values = new Map(networkManifest(graph).entries.map((entry) => [entry.name, drawn(entry)]));
  const images = Float32Array.from({ length: n * h * w * 3 }, () => around(0, 2));
  const input = { ...tensor(n, { h, w, c: 3 }), values: Float64Array.from(images) };
  const { outputs } = forward(graph, input, values, false);
  const nchw = (id: number): OracleTensor => {
    const { h: rows, w: columns, c } = graph.shapes[id];
    return {
      shape: [n, c, rows, columns],
      data: nhwcToNchw(Float32Array.from(outputs[id].values), [n, c, rows, columns]),
    };
  };
  const logits = { shape: [n, attributes.classes], data: Float32Array.from(outputs[graph.output].values) };
  const out = new Map([
    ["in.images", { shape: [n, 3, h, w], data: images }],
    ["out.logits", logits],
    ...graph.maps.map(({ name, node }) => [`out.map.${name.replace("conv", "bn")}`, nchw(node)] as const),
  ]);
  const need = <T>(value: T | undefined, name: string): T => {
    if (value === undefined) throw new RangeError(name);
    return value;
  };
  return {
    op: "teacher_forward",
    attributes,
    names: (prefix) => [...out.keys()].filter((name) => name.startsWith(prefix)),
    tensor: (name) => need(out.get(name), name),
    has: (name) => out.has(name),
    labels: (name) => need<Uint32Array<ArrayBuffer>>(undefined, name),
    bytes: (name) => need<Uint8Array>(undefined, name),
    map: () => images,
    weight: (name) => need(values.get(name.slice("in.".length)), name),
  };
}

test.each([
  { n: 2, h: 33, w: 47, stem: "imagenet", widths: [6, 9, 10], blocks: [1, 2, 1], classes: 5 },
  { n: 1, h: 15, w: 9, stem: "cifar", widths: [5], blocks: [2], classes: 3 },
  { n: 3, h: 7, w: 10, stem: "cifar", widths: [4, 7, 3, 5], blocks: [1, 1, 1, 1], classes: 2 },
  { n: 1, h: 70, w: 35, stem: "imagenet", widths: [16, 33], blocks: [3, 4], classes: 1001 },
] as const)("odd sizes: %j", async (attributes) => {
  expect(await failures(madeCase(attributes))).toEqual([]);
});
