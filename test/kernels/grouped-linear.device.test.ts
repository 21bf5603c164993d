// Grouped linear layers, forward and both gradients, against plain loops in float64.
import { describe, test } from "vitest";
import { type GroupedLinear, groupedLinearForward, memberStride } from "../../kernels/layers/grouped-linear.ts";
import { groupedLinearInputGradient } from "../../kernels/layers/grouped-linear-input-gradient.ts";
import { groupedLinearParameterGradient } from "../../kernels/layers/grouped-linear-parameter-gradient.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const LAYERS: readonly GroupedLinear[] = [
  { groups: 8, n: 4, in: 32, out: 128 },
  { groups: 3, n: 32, in: 128, out: 20 },
  { groups: 1, n: 5, in: 33, out: 12 },
  { groups: 2, n: 3, in: 12, out: 7 },
  { groups: 2, n: 1, in: 4, out: 128 },
  { groups: 4, n: 9, in: 128, out: 1 },
  { groups: 2, n: 11, in: 3, out: 1 },
  { groups: 2, n: 19, in: 64, out: 80, quads: true },
  { groups: 1, n: 5, in: 128, out: 12, quads: true },
  { groups: 2, n: 19, in: 64, out: 80, small: true },
];
const PADDING = 64;
const SLOPE = 0.2;
const leaky = (v: number) => (v > 0 ? v : SLOPE * v);

/** Rows of member m of group g in [groups][members][n][width]. */
function rowsOf(values: Float32Array, o: GroupedLinear, width: number, member: number): number[][] {
  const from = member * memberStride(o.n, width);
  return Array.from({ length: o.n }, (_, i) => [...values.subarray(from + i * width, from + (i + 1) * width)]);
}

function sum(length: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += term(i);
  return total;
}

/** Bound of a sum of `terms` products of numbers below 1, in order. */
function bound(terms: number): number {
  return 32 * Math.sqrt(terms) * 2 ** -24;
}

const empty = (length: number) => new Float32Array(length).fill(Number.NaN);
const name = ({ groups, n, in: input, out, quads, small }: GroupedLinear) =>
  `${groups} groups of ${n} rows, ${input} → ${out}${quads ? ", in quads" : ""}${small ? ", in small tiles" : ""}`;

describe.each(LAYERS.map((o) => [name(o), o] as const))("%s", (_, o) => {
  const size = o.in * o.out;
  const weightStride = Math.ceil(size / 64) * 64 + PADDING;
  const weights = uniform(o.groups * weightStride, 2);
  const w = (g: number, j: number, i: number) => weights[g * weightStride + j * o.in + i]!;

  test.each([true, false])("forward, leaky %s", async (isLeaky) => {
    const biasStride = memberStride(1, o.out) + PADDING;
    const x = uniform(o.groups * 2 * memberStride(o.n, o.in), 1);
    const bias = uniform(o.groups * biasStride, 3);
    const forward = groupedLinearForward({ ...o, members: 2, weightStride, biasStride, leaky: isLeaky });
    const y = empty(o.groups * 2 * memberStride(o.n, o.out));
    const result = await runKernels(await testDevice(), forward, { x, w: weights, bias, y });
    for (let member = 0; member < 2 * o.groups; member++) {
      const g = member >> 1;
      const expected = rowsOf(x, o, o.in, member).map((row) =>
        Array.from({ length: o.out }, (_, j) => {
          const v = sum(o.in, (i) => row[i]! * w(g, j, i)) + bias[g * biasStride + j]!;
          return isLeaky ? leaky(v) : v;
        }),
      );
      expectWithin(rowsOf(result.y, o, o.out, member).flat(), expected.flat(), bound(o.in), `member ${member}`);
    }
  });

  test("input gradient to a hidden layer", async () => {
    const dy = uniform(o.groups * 2 * memberStride(o.n, o.out), 4);
    const activated = uniform(o.groups * 2 * memberStride(o.n, o.in), 5).map((v, i) => (i % 7 === 3 ? 0 : v));
    const gradient = groupedLinearInputGradient({ ...o, weightStride, to: "hidden" });
    const dx = empty(o.groups * 2 * memberStride(o.n, o.in));
    const result = await runKernels(await testDevice(), gradient, { dy, w: weights, activated, dx });
    for (let member = 0; member < 2 * o.groups; member++) {
      const below = rowsOf(activated, o, o.in, member);
      const expected = rowsOf(dy, o, o.out, member).map((row, r) =>
        Array.from({ length: o.in }, (_, i) => {
          const v = sum(o.out, (j) => row[j]! * w(member >> 1, j, i));
          return below[r]![i]! > 0 ? v : SLOPE * v;
        }),
      );
      expectWithin(rowsOf(result.dx, o, o.in, member).flat(), expected.flat(), bound(o.out), `member ${member}`);
    }
  });

  test("input gradient to the student's maps, each row turned", async () => {
    const dy = uniform(o.groups * 2 * memberStride(o.n, o.out), 4);
    const turn = uniform(o.groups * memberStride(o.n, 1), 8);
    const gradient = groupedLinearInputGradient({ ...o, weightStride, to: "maps" });
    const dx = empty(o.groups * memberStride(o.n, o.in));
    const result = await runKernels(await testDevice(), gradient, { dy, w: weights, turn, dx });
    for (let g = 0; g < o.groups; g++) {
      const turns = rowsOf(turn, o, 1, g).flat();
      const expected = rowsOf(dy, o, o.out, 2 * g + 1).map((row, r) =>
        Array.from({ length: o.in }, (_, i) => turns[r]! * sum(o.out, (j) => row[j]! * w(g, j, i))),
      );
      expectWithin(rowsOf(result.dx, o, o.in, g).flat(), expected.flat(), bound(o.out), `group ${g}`);
    }
  });

  test("parameter gradient; nothing else of the arena is written", async () => {
    const dy = uniform(o.groups * 2 * memberStride(o.n, o.out), 6);
    const x = uniform(o.groups * 2 * memberStride(o.n, o.in), 7);
    const bias = Math.ceil(size / 64) * 64;
    const stride = bias + memberStride(1, o.out) + PADDING;
    const gradient = groupedLinearParameterGradient({ ...o, stride, weight: 0, bias });
    const before = new Float32Array(o.groups * stride).fill(7);
    const result = await runKernels(await testDevice(), gradient, { dy, x, gradient: before });
    const expected = Float64Array.from(before);
    for (let g = 0; g < o.groups; g++) {
      const pairs = [0, 1].flatMap((m) => {
        const inputs = rowsOf(x, o, o.in, 2 * g + m);
        return rowsOf(dy, o, o.out, 2 * g + m).map((row, r) => [row, inputs[r]!] as const);
      });
      for (let j = 0; j < o.out; j++) {
        for (let i = 0; i < o.in; i++) {
          expected[g * stride + j * o.in + i] = sum(pairs.length, (p) => pairs[p]![0][j]! * pairs[p]![1][i]!);
        }
        expected[g * stride + bias + j] = sum(pairs.length, (p) => pairs[p]![0][j]!);
      }
    }
    expectWithin(result.gradient, expected, bound(2 * o.n), "gradient");
  });
});
