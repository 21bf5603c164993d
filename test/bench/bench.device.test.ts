// The benchmark's own rules: what it computes from times, what it asks of peers, and that it runs on a real device.
import { expect, test } from "vitest";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { layoutOf } from "../fixtures/codec-cases.ts";
import { benchAllreduce, resNet18Layout } from "./allreduce.ts";
import type { Line } from "./line.ts";
import { benchInNode } from "./node.ts";
import { relativeError } from "./peers/agreement.ts";
import { permute, unpermute } from "./peers/permute.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { best, median, pairedRatio } from "./statistics.ts";

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

async function linesOf(request: Partial<BenchmarkRequest> & Pick<BenchmarkRequest, "benchmark">): Promise<Line[]> {
  const lines: Line[] = [];
  const whole = { filter: [], rounds: 1, atLeastMs: 1, tune: false, imagenet: false, launches: false, ...request };
  await benchInNode(whole, async (line) => {
    lines.push(line);
  });
  return lines;
}

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

test("step accounts for all of a microbatch's GPU time", async () => {
  const [step] = (await linesOf({ benchmark: "step", filter: ["lenet", "evaluate"] })).filter(
    (line) => line.record === "step",
  );
  expect(step.ms).toBeGreaterThan(0);
  const whole = Object.values(step.share).reduce((a, b) => a + b, 0);
  expect(whole).toBeCloseTo(100, 0);
  expect(step.share["weight gradient"]).toBe(0);
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
