// Rules of ONNX files: any network gives in onnxruntime what the words of the export's format say. Each method has its
// turn in one of the networks; `npm run test:long` takes it in all.

import { describe, expect, test } from "vitest";
import { onnxModel, writeOnnx } from "../../../../coordinator/export/onnx/onnx-model.ts";
import { weightKinds } from "../../../../coordinator/export/onnx/weights.ts";
import { rng } from "../../../../shared/base/rng.ts";
import type { ExportedModel } from "../../../../shared/export/exported-model.ts";
import { GraphBuilder, planesOf } from "../../../../shared/model/graph.ts";
import { elementCount } from "../../../../shared/model/manifest.ts";
import { fullPrecision } from "../../../../shared/model/methods/full.ts";
import { models } from "../../../../shared/model/networks/models.ts";
import { classification } from "../../../../shared/tasks/classification.ts";
import { drawnExport, methodGraph } from "../../../fixtures/drawn-export.ts";
import { everyMethod } from "../../../fixtures/every-method.ts";
import { inRotation } from "../../../fixtures/in-rotation.ts";
import { runOnnx } from "../../../fixtures/onnx-runtime.ts";
import { referenceForward } from "../../../fixtures/reference-forward.ts";

const N = 3;

/** Between them every op, map and activation; more than 32 channels, and sides that differ. */
const networks = {
  resnet: {
    model: { kind: "resnet", widths: [4, 8], blocks: [1, 1], stem: "imagenet", activation: "hardtanh" },
    shape: { h: 32, w: 16, c: 3 },
  },
  lenet: { model: { kind: "lenet", widths: [3, 40, 5] }, shape: { h: 28, w: 28, c: 1 } },
  wrn: { model: { kind: "wrn", depth: 10, widths: [3, 4, 4, 8], activation: "relu" }, shape: { h: 16, w: 16, c: 1 } },
};

/** Greatest difference, in parts of the greatest number. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const most = (values: readonly number[]) => values.reduce((x, y) => Math.max(x, Math.abs(y)), 0);
  return most(Array.from(a, (one, i) => one - b[i]!)) / most(Array.from(b));
}

async function expectEqual(model: ExportedModel): Promise<void> {
  const { h, w, c } = model.input;
  const draw = rng(11, "images");
  const images = Float32Array.from({ length: N * c * h * w }, () => draw.normal());
  const wanted = referenceForward(model, images);
  const each = wanted.length / N;
  expect(new Set(wanted).size).toBeGreaterThan(N);
  const batch = (n: number) => ({ dims: [n, c, h, w], images: images.slice(0, n * c * h * w) });
  const [float, packed] = await Promise.all(
    weightKinds.map((weights) => runOnnx(writeOnnx(model, weights), batch(1), batch(N))),
  );
  expect(packed).toEqual(float);
  const [one, several] = float!;
  expect([one!.dims, several!.dims]).toEqual([
    [1, each],
    [N, each],
  ]);
  expect(distance(one!.values, wanted.subarray(0, each))).toBeLessThan(1e-5);
  expect(distance(several!.values, wanted)).toBeLessThan(1e-5);
}

describe.each(Object.entries(networks).map(([name, network], turn) => ({ name, turn, ...network })))(
  "a $name",
  ({ turn, model, shape }) => {
    test.each(inRotation(everyMethod, turn, 3))(
      "X20 of %s gives in onnxruntime, of 1 image and of 3, what the network does",
      (_title, method) => expectEqual(drawnExport(methodGraph(method, model, shape))),
    );
  },
);

test("X20 a teacher as torchvision has it gives in onnxruntime what the network does", () => {
  const io = {
    inputs: [{ name: "image", h: 32, w: 32, c: 3 }] as const,
    head: classification.head(
      { kind: "classification" },
      { dataset: { shape: { h: 32, w: 32, c: 3 }, classes: 10 }, data: { pad: 0 } },
    ),
  };
  const options = { kind: "resnet-torchvision", widths: [4, 8], blocks: [1, 1] };
  return expectEqual(drawnExport(models.get(options.kind).build(options, io, fullPrecision)));
});

test("X21 the sign of 0 is +1, beyond the border is 0, layers share weights, and what comes out may be a map", async () => {
  const graph = new GraphBuilder({ name: "image", h: 4, w: 4, c: 1 });
  const body = (name: string, input: number) =>
    graph.add({
      op: "rbconv",
      name,
      weights: "shared",
      input,
      out: 1,
      kernel: 3,
      stride: 1,
      padding: 1,
      rectify: "layer",
      surrogate: "ste",
      companions: [{ name: "c", role: "learned", shape: [1, 1, 1, 1] }],
    });
  const model = drawnExport(graph.build(body("second", body("first", graph.input))));
  const images = Float32Array.of(0, -0, 1e-30, -1e-30, 0, 0, -1, 1, 0, 2, 0, -2, -0, -0, 0, 0);
  const wanted = referenceForward(model, images);
  for (const weights of weightKinds) {
    const { graph: made } = onnxModel(model, weights);
    expect(made.nodes.filter(({ op }) => op === "Conv").map(({ inputs }) => inputs[1])).toEqual([
      "first.weight",
      "first.weight",
    ]);
    const [answer] = await runOnnx(writeOnnx(model, weights), { dims: [1, 1, 4, 4], images });
    expect(answer!.dims).toEqual([1, 1, 4, 4]);
    expect(distance(answer!.values, wanted)).toBeLessThan(1e-6);
  }
});

test.each(everyMethod)("X22 packed weights of %s have the bits of their method", (_, method) => {
  const { model, shape } = networks.lenet;
  const exported = drawnExport(methodGraph(method, model, shape));
  /** Bits of a quantised weight, by its name. */
  const quantised = new Map<string, number>(
    exported.nodes.flatMap((node) => {
      const bits = node.op === "rbconv" ? 1 : node.op === "qconv" ? planesOf(node.weight) : 0;
      return bits === 0 || !("kernel" in node && "out" in node) ? [] : [[`${node.name}.weight`, bits] as const];
    }),
  );
  const [float, packed] = weightKinds.map((weights) => {
    const { tensors } = onnxModel(exported, weights).graph;
    return new Map(tensors.map((one) => [one.name, one]));
  });
  for (const [name, tensor] of float!) {
    const bits = quantised.get(name);
    if (bits === undefined) {
      expect(packed!.get(name)).toEqual(tensor);
      continue;
    }
    const field = [1, 2, 4, 8].find((one) => one >= bits)!;
    expect(packed!.has(name)).toBe(false);
    expect(packed!.get(`${name}.codes`)!.data.length).toBe(Math.ceil((elementCount(tensor.dims) * field) / 8));
  }
  expect([...quantised.keys()].filter((name) => !float!.has(name))).toEqual([]);
});

test("X23 metadata say what goes in, what comes out, and where the network is from", () => {
  const { model, shape } = networks.lenet;
  const classNames = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"];
  const method = { kind: "rbcn" };
  const drawn = drawnExport(methodGraph(method, model, shape));
  const provenance = { ...drawn.provenance, score: { name: "accuracy", value: 0.75, step: 8, others: { top5: 0.9 } } };
  const input = { ...drawn.input, resize: { h: 26, w: 26 }, crop: { h: 24, w: 24 }, pad: 2 };
  const made = onnxModel({ ...drawn, method, classNames, provenance, input }, "packed");
  expect(made).toMatchObject({ producer: "bitswarm", producerVersion: "1.2.3", version: 9 });
  expect(made.text).toMatch(/1-bit student of the run tiny-run after 9 steps, method rbcn.* Output logits: .*softmax/);
  const { metadata, graph } = made;
  expect(metadata).toMatchObject({
    task: "classification",
    network: "1-bit student",
    weights: "packed",
    run: "tiny-run",
    step: "9",
    parameterHash: provenance.parameterHash,
    "test.accuracy": "0.75",
    "test.top5": "0.9",
    classes: "10",
    mean: "[0.5]",
    std: "[0.25]",
  });
  expect(JSON.parse(metadata.classNames!)).toEqual(classNames);
  expect(JSON.parse(metadata.method!)).toEqual(method);
  expect(JSON.parse(metadata.input!)).toEqual(input);
  expect(metadata.preprocessing).toMatch(
    /grey picture.* covers 26x26 .* centre 24x24, put 2 zero pixels.*\(v\/255 - mean\)\/std/,
  );
  expect(graph.inputs.map(({ name, text }) => [name, text.includes(metadata.preprocessing!)])).toEqual([
    ["image", true],
  ]);
  expect(graph.outputs).toMatchObject([{ name: "logits", text: metadata.output }]);
});
