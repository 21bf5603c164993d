// Every method in every model: what the CPU kernels make of an exported network are the logits of plain loops over its
// nodes in float64.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import type { PluginOptions } from "../../../shared/base/registry.ts";
import { rng } from "../../../shared/base/rng.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../../shared/base/safetensors.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { nhwcToNchw } from "../../../shared/model/axes.ts";
import { GraphBuilder } from "../../../shared/model/graph.ts";
import { rbcnMethod } from "../../../shared/model/methods/rbcn.ts";
import { load } from "../../../worker/inference/index.ts";
import { lowered } from "../../../worker/inference/program/lower.ts";
import { drawnFile, methodGraph } from "../../fixtures/drawn-export.ts";
import { drawnGroups } from "../../fixtures/drawn-groups.ts";
import { everyMethod } from "../../fixtures/every-method.ts";
import { referenceForward } from "../../fixtures/reference-forward.ts";

/** Channels that are no whole words and no whole groups, windows with and without borders. */
const networks = [
  { model: { kind: "lenet", widths: [5, 33, 12] }, shape: { h: 28, w: 28, c: 1 } },
  { model: { kind: "resnet", widths: [9, 40], blocks: [1, 1] }, shape: { h: 10, w: 12, c: 3 } },
  { model: { kind: "resnet", widths: [4, 8], blocks: [1, 1], stem: "imagenet" }, shape: { h: 32, w: 24, c: 3 } },
  { model: { kind: "wrn", depth: 10, widths: [4, 6, 8, 10] }, shape: { h: 8, w: 8, c: 3 } },
] as const;
const N = 2;

/** The greatest difference of logits from those of plain loops, over the greatest of those. */
async function worstOf(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<number> {
  const exported = readExported(bytes);
  const { h, w, c } = exported.input;
  const draws = rng("pictures", name);
  const x = Float32Array.from({ length: N * h * w * c }, () => draws.normal());
  const expected = referenceForward(exported, nhwcToNchw(x, [N, c, h, w]));
  const loaded = await load(bytes, { backend: "wasm" });
  const logits = await loaded.logits(x);
  loaded.dispose();
  expect(logits.length).toBe(expected.length);
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return logits.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0) / size;
}

test.each(everyMethod)("%s", async (title, method) => {
  for (const { model, shape } of networks) {
    expect(await worstOf(drawnFile(methodGraph(method, model, shape)), title), model.kind).toBeLessThan(1e-4);
  }
});

/** Half of the bits differ, and a byte of a count sees a quarter of them: more than it can hold. */
test.each([
  ["kernel", 3, 2100],
  ["out", 3, 300],
  ["out", 1, 2100],
] as const)("C of `%s`, a window of %i over %i channels: counts do not overflow", async (rectify, size, channels) => {
  const method = rbcnMethod.create(rbcnMethod.schema.parse({ kind: "rbcn", rectify }) as PluginOptions);
  const g = new GraphBuilder({ h: 4, w: 5, c: 3 });
  const spread = { name: "spread", input: g.input, out: channels, kernel: 1, stride: 1, padding: 0 };
  const window = { name: "layer", out: 9, kernel: size, stride: 1, padding: (size - 1) / 2 };
  const layer = method.body(g, { ...window, input: g.add({ op: "conv", ...spread }) });
  const graph = g.build(g.add({ op: "globalpool", input: layer }));
  expect(await worstOf(drawnFile(graph, { classes: 9 }), rectify)).toBeLessThan(1e-4);
});

test("layers in groups see the channels of their own", async () => {
  expect(await worstOf(drawnGroups(), "groups")).toBeLessThan(1e-4);
});

test("groups are steps of their own where their channels fill vectors, and zeros are between them where not", () => {
  const { steps, values } = lowered(readExported(drawnGroups()));
  const convolutions = steps.flatMap((step) => ("window" in step && "name" in step ? [step] : []));
  const made = convolutions.map(({ name, op, window: { groups = 1 } }) => [name, op, groups]);
  expect(made).toEqual([
    ["stem", "float", 2],
    ["five", "bits", 1],
    ["two", "taps", 2],
    ["six", "bits", 6],
    ["filter", "float", 4],
    ["floats", "float", 1],
    ["odd", "float", 1],
    ["oddFloats", "float", 1],
  ]);
  const planes = values.flatMap((value) => (value.kind === "planes" ? [value.groups ?? 1] : []));
  expect(planes.sort()).toEqual([1, 2, 6]);
});

const tiny = drawnFile(methodGraph({ kind: "rbcn" }, { kind: "lenet", widths: [2, 2, 4] }, { h: 28, w: 28, c: 1 }));
const refusal = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) });

/** What a program without types may give. */
const anyhow = load as (...given: readonly unknown[]) => ReturnType<typeof load>;

test.each<readonly [given: string, readonly unknown[], string, RegExp]>([
  ["nothing", [], "CONFIG_INVALID", /takes an exported file's address, or its bytes.*got undefined/],
  ["null", [null], "CONFIG_INVALID", /got null/],
  ["an empty text", [""], "CONFIG_INVALID", /got an empty text/],
  ["doubles", [new Float64Array(4)], "CONFIG_INVALID", /as Uint8Array, ArrayBuffer or Blob; got float64array/],
  [
    "another backend",
    [tiny, { backend: "foo" }],
    "CONFIG_INVALID",
    /backend must be "wasm", "webgpu" or left out; got "foo"/,
  ],
  ["no backend", [tiny, { backend: null }], "CONFIG_INVALID", /backend .* got null/],
  ["a path", ["/nowhere/model.safetensors"], "DATA_MISSING", /cannot be fetched.*load\(await readFile\(path\)\)/],
  [
    "an address of a file",
    [new URL("file:///nowhere/model.safetensors")],
    "DATA_MISSING",
    /cannot be fetched.*readFile\(path\)/,
  ],
  [
    "a host that does not answer",
    ["http://127.0.0.1:1/model.safetensors"],
    "DATA_MISSING",
    /127.0.0.1:1.* cannot be fetched .*server runs/,
  ],
])("what cannot be loaded is refused with what to give: %s", async (_name, given, code, message) => {
  await expect(anyhow(...given)).rejects.toMatchObject(refusal(code, message));
});

test("an address where there is no file says what its server answered", async () => {
  const server = createServer((_request, response) => void response.writeHead(404).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    await expect(load(`http://127.0.0.1:${port}/m`)).rejects.toMatchObject(refusal("DATA_MISSING", /answered 404/));
  } finally {
    server.close();
  }
});

test("a GPU is not to be had in Node, which says so", async () => {
  const refused = refusal("WEBGPU_MISSING", /Node has no WebGPU: leave backend out, or say "wasm"/);
  if (globalThis.navigator?.gpu) throw new Error("another test of this process has left a GPU in its navigator");
  await expect(load(tiny, { backend: "webgpu" })).rejects.toMatchObject(refused);
  expect((await load(tiny)).info.backend).toBe("wasm");
});

const grey = new Uint8Array(28 * 28).fill(90);
const picture = { data: grey, width: 28, height: 28 };

test.each<readonly [title: string, unknown, unknown, string, RegExp]>([
  ["nothing", undefined, {}, "DATA_INVALID", /takes a picture: .*got undefined/],
  ["a name", "cat.jpg", {}, "DATA_INVALID", /takes a picture: .*got string/],
  ["no fields", {}, {}, "DATA_INVALID", /no width and height/],
  ["no data", { width: 28, height: 28 }, {}, "DATA_INVALID", /no canvas here/],
  [
    "negative sides",
    { ...picture, width: -28, height: -28 },
    {},
    "DATA_INVALID",
    /whole numbers from 1 on; got -28 × -28/,
  ],
  ["half a pixel", { ...picture, width: 1.5 }, {}, "DATA_INVALID", /got 1.5 × 28/],
  ["another size", { ...picture, width: 27 }, {}, "DATA_INVALID", /must have 1, 3 or 4 bytes a pixel; got 784/],
  ["floats", { ...picture, data: new Float32Array(784) }, {}, "DATA_INVALID", /must be a Uint8Array or/],
  ["top 0", picture, { top: 0 }, "CONFIG_INVALID", /top must be a whole number from 1 on; got 0/],
  ["top -1", picture, { top: -1 }, "CONFIG_INVALID", /got -1/],
  ["top 1.5", picture, { top: 1.5 }, "CONFIG_INVALID", /got 1.5/],
])("what is no picture, and options that are none, are refused: %s", async (_title, given, options, code, message) => {
  const model = await load(tiny, { backend: "wasm" });
  await expect(model.predict(given as never, options as never)).rejects.toMatchObject(refusal(code, message));
  model.dispose();
});

test("inputs that are no floats of 32 bits and no bytes are refused, and all after a network is disposed of", async () => {
  const model = await load(tiny, { backend: "wasm" });
  const doubles = new Float64Array(784) as unknown as Float32Array;
  await expect(model.logits(doubles)).rejects.toMatchObject(refusal("DATA_INVALID", /got Float64Array/));
  expect(await model.predict(picture, { top: 3 })).toHaveLength(3);
  model.dispose();
  model.dispose();
  const over = refusal("COMPUTE_FAILED", /disposed of.*load it again/);
  await expect(model.predict(picture)).rejects.toMatchObject(over);
  await expect(model.logits(grey)).rejects.toMatchObject(over);
});

test("logits that are no numbers, of floats that are too large together, are refused", async () => {
  const {
    metadata: { checksum: _, ...metadata },
    tensors,
  } = readSafetensors(tiny);
  const last = readExported(tiny).nodes.findLast(({ op }) => op === "linear")!;
  const { weight } = last.tensors as { readonly weight: string };
  const huge = [...tensors].map(([name, own]): [string, SafeTensor] => [
    name,
    name === weight ? { ...own, bytes: new Uint8Array(new Float32Array(own.bytes.length / 4).fill(3e38).buffer) } : own,
  ]);
  const model = await load(writeSafetensors(huge, metadata), { backend: "wasm" });
  const refused = refusal("COMPUTE_FAILED", /is no number.*get the file anew/);
  await expect(model.predict(picture)).rejects.toMatchObject(refused);
  await expect(model.logits(grey)).rejects.toMatchObject(refused);
  model.dispose();
});

test("X12 what a picture says of transparency is left out: its colours stand as they are", async () => {
  const model = await load(tiny, { backend: "wasm" });
  const draws = rng("transparent");
  const colours = Uint8Array.from({ length: 3 * 784 }, () => draws.below(256));
  const data = new Uint8ClampedArray(4 * 784);
  for (let p = 0; p < 784; p++) data.set([...colours.subarray(3 * p, 3 * p + 3), draws.below(256)], 4 * p);
  const opaque = await model.predict({ ...picture, data: colours });
  expect(await model.predict({ ...picture, data })).toEqual(opaque);
  const nothing = await model.predict({ ...picture, data: new Uint8Array(4 * 784) });
  expect(nothing).toEqual(await model.predict({ ...picture, data: new Uint8Array(784) }));
  model.dispose();
});
