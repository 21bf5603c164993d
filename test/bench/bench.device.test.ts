// The benchmark's own rules: what it computes from times, what it asks of peers, and that it runs on a real device.
import { expect, test } from "vitest";
import { GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { blobLayout, encodeBlob } from "../../shared/wire/parameter-blob.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { lowered } from "../../worker/inference/program/lower.ts";
import { layoutOf } from "../fixtures/codec-cases.ts";
import { drawnTracker } from "../fixtures/drawn-tracker.ts";
import { benchAllreduce, resNet18Layout } from "./allreduce.ts";
import type { Line } from "./line.ts";
import { benchInNode } from "./node.ts";
import { relativeError } from "./peers/agreement.ts";
import { permute, unpermute } from "./peers/permute.ts";
import { planOf } from "./prepared-step.ts";
import { segmentsOf } from "./program-segments.ts";
import { type BenchmarkRequest, requireSome, selects } from "./request.ts";
import { best, median, pairedRatio } from "./statistics.ts";
import { methodSteps, trackerSteps } from "./step-cases.ts";
import { freshNetwork } from "./synthetic.ts";
import { followFilm, trackNames } from "./track.ts";

test("permute moves axes, and unpermute brings them back", () => {
  const values = Float32Array.from({ length: 24 }, (_, i) => i);
  const moved = permute(values, [2, 3, 4], [2, 0, 1]);
  // Element [a][b][c] of the original lies at [c][a][b].
  expect(moved[3 * 6 + 1 * 3 + 2]).toBe(1 * 12 + 2 * 4 + 3);
  expect(unpermute(moved, [2, 3, 4], [2, 0, 1])).toEqual(values);
});

test("a ratio is the median of pairs, so that one disturbed round does not count", () => {
  expect(pairedRatio([20, 20, 900], [10, 10, 10])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(best([3, 2, 9])).toBe(2);
});

test("the error of a result is relative to its size", () => {
  expect(relativeError([3, 4], [3, 4])).toBe(0);
  expect(relativeError([0, 4], [3, 4])).toBeCloseTo(0.6);
  expect(() => relativeError([1], [1, 2])).toThrow(RangeError);
});

test("a case is wanted when its name has all of the words", () => {
  expect(selects({ filter: ["peer", "forward"] }, "peer 128-128 binary forward")).toBe(true);
  expect(selects({ filter: ["peer", "gradient"] }, "peer 128-128 binary forward")).toBe(false);
});

test("words that no case has in its name are refused with the names that there are", () => {
  const names = trackNames();
  const asked = (...filter: string[]) => requireSome({ benchmark: "track", filter }, names);
  expect(() => asked("1-bit", "webgpu")).not.toThrow();
  expect(() => asked("train", "discriminators")).not.toThrow();
  expect(() => asked("nothing")).toThrow(
    /no case of track has nothing in its name; there are follow 96-256-384-384-256 float wasm, .*train siamfc/,
  );
});

test("a tracker's steps are plans of layers in groups, float and of few bits, and their pairs fill its inputs", () => {
  const [full, ...binary] = trackerSteps({ large: false });
  for (const step of [full, binary.at(-1)!]) {
    const { list } = planOf({ traits: GUARANTEED_TRAITS }, step);
    const grouped = [...list.passes.keys()].filter((key) => / g2/.test(key));
    expect(grouped.some((key) => key.startsWith("conv"))).toBe(true);
    expect(grouped.some((key) => key.startsWith("binaryConv"))).toBe(step !== full);
    const sides = { exemplar: 127, search: 239 };
    for (const [name, side] of Object.entries(sides)) {
      expect(step.decoded?.[name].length).toBe(step.n * side * side * 3);
    }
  }
});

async function linesOf(request: Partial<BenchmarkRequest> & Pick<BenchmarkRequest, "benchmark">): Promise<Line[]> {
  const lines: Line[] = [];
  const whole = { filter: [], rounds: 1, atLeastMs: 1, tune: false, imagenet: false, launches: false, ...request };
  await benchInNode(whole, async (line) => {
    lines.push(line);
  });
  return lines;
}

test("a followed film says of each layer and part what it takes of a frame", async () => {
  const file = drawnTracker({ method: { kind: "rbcn" } });
  const line = await followFilm({ name: "narrow", file, rounds: 1 });
  expect(Object.keys(line.layers)).toEqual(["conv1", "conv2", "conv3", "conv4", "conv5"]);
  expect(Object.keys(line.share)).toEqual(["crops", "backbone", "xcorr", "upsampling and step", "rest"]);
  for (const parts of [line.layers, line.share]) {
    expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBeCloseTo(100, 0);
  }
  expect(line.framesPerSecond).toBeGreaterThan(0);
});

test("a program is cut where one map is all that is read later", () => {
  const program = lowered(readExported(drawnTracker({ method: { kind: "rbcn" } })));
  const segments = segmentsOf(program);
  expect(segments.flatMap((segment) => segment.program.steps)).toEqual(program.steps);
  segments.slice(1).forEach((segment, i) => void expect(segment.program.input).toBe(segments[i].program.output));
  expect(segments[0].program.input).toBe(program.input);
  expect(segments.at(-1)?.program.output).toBe(program.output);
  expect(new Set(segments.map(({ name }) => name)).size).toBe(5);
});

test("kernels prints the adapter, every roof and every candidate of a case", async () => {
  const lines = await linesOf({ benchmark: "kernels", filter: ["lenet fc float forward"] });
  expect(lines[0]).toMatchObject({
    record: "adapter",
    limits: { maxComputeInvocationsPerWorkgroup: expect.any(Number) },
  });
  const roofs = lines.flatMap((line) => (line.record === "roof" ? line.name : []));
  expect(roofs).toEqual(["multiplyAdd", "popcount", "copy", "dispatch", "wait"]);
  const kernels = lines.filter((line) => line.record === "kernel");
  expect(kernels.length).toBeGreaterThan(0);
  for (const kernel of kernels) {
    expect(kernel.error).toBeUndefined();
    expect(kernel.giga).toBeGreaterThan(0);
  }
});

test("passes sets every form of a layer beside the 1-bit and the float one", async () => {
  const found = await linesOf({ benchmark: "passes", filter: ["cifar"] });
  const lines = found.filter((line) => line.record === "passes");
  expect(lines.map((line) => line.passes)).toEqual([1, 0, 1, 2, 4, 1, 9, 2]);
  expect(lines[0].ofBinary).toBe(1);
  expect(lines[1].ofFloat).toBe(1);
  for (const { ms } of lines) expect(ms).toBeGreaterThan(0);
});

test("step accounts for all of a microbatch's GPU time", async () => {
  const [step] = (await linesOf({ benchmark: "step", filter: ["lenet", "evaluate"] })).filter(
    (line) => line.record === "step",
  );
  expect(step.ms).toBeGreaterThan(0);
  const whole = Object.values(step.share).reduce((a, b) => a + b, 0);
  expect(whole).toBeCloseTo(100, 0);
  expect(step.share["weight gradient"]).toBe(0);
});

/** Two networks' kernels to compile, on cores that others use too. */
const COMPILE_MS = 240_000;

test("step --method sets a method's microbatch beside full precision and RBCN, and tells the passes of its layers", {
  timeout: COMPILE_MS,
}, async () => {
  const found = await linesOf({ benchmark: "step", method: "bnn", filter: ["lenet"] });
  const lines = found.filter((line) => line.record === "method");
  expect(lines).toMatchObject([{ method: "bnn", passes: { conv1: 0, conv2: 1, conv3: 1 } }]);
  for (const { ms, ofFull, ofRbcn } of lines)
    for (const value of [ms, ofFull, ofRbcn]) expect(value).toBeGreaterThan(0);
});

test.each(methods.kinds)("a step of %s can be measured: its network begins as a run's does", (kind) => {
  for (const { own, full, rbcn } of methodSteps(kind)) {
    for (const { networks, phase } of [own, full, rbcn]) {
      const { manifest } = networks[phase.network];
      const parameters = freshNetwork(networks[phase.network]);
      expect(encodeBlob(manifest, blobLayout(manifest), parameters).length).toBe(blobLayout(manifest).bytes);
    }
  }
});

test("allreduce tells of every codec what it takes and how much it carries", async () => {
  const lines: Line[] = [];
  const emit = async (line: Line) => {
    lines.push(line);
  };
  await benchAllreduce({ rounds: 1 }, emit, layoutOf({ n0: 100, w0: 40_000 }));
  const found = lines.filter((line) => line.record === "allreduce");
  expect(found.map(({ codec }) => codec)).toEqual(["exact", "f32", "f16", "int8", "sign"]);
  for (const { perSecond, sumMs, checksumMs } of found)
    expect(Math.min(perSecond, sumMs, checksumMs)).toBeGreaterThan(0);
  expect(found.at(-1)!.ofFloat).toBeGreaterThan(16);
});

test("allreduce's layout is ResNet-18 with 11.7 million parameters, of which signs make a thirtieth", () => {
  const layout = resNet18Layout();
  const gradients = layout.tensors.filter(({ kind }) => kind === "gradient").reduce((sum, { size }) => sum + size, 0);
  expect(gradients / 1e6).toBeCloseTo(11.7, 1);
  expect((4 * gradients) / wireLayout(layout, "sign").bytes).toBeGreaterThan(29);
});
