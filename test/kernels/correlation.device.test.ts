// Correlations of maps and both their gradients: the definition in float64, and the same bits from every tiling.
import { expect, test } from "vitest";
import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { type CorrelationPass, correlationPass, correlationShape } from "../../kernels/convolution/pass/correlation.ts";
import { passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import { multiplyAdds, passOperands, smallInstance, sumTerms } from "../../worker/tuning/pass-operands.ts";
import { runKernels, type Tensor, testDevice } from "../fixtures/device.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { uniform } from "./data.ts";
import { expectSums } from "./expect-close.ts";
import type { Sums } from "./reference.ts";

const VERBS = ["xcorrForward", "xcorrSearchGradient", "xcorrExemplarGradient"] as const;

/** [n, exemplars, channels, h, w, rows, columns]: an exemplar a search, and one for several; no square among them. */
const SHAPES = [
  [2, 2, 5, 7, 6, 3, 2],
  [3, 1, 16, 9, 11, 4, 6],
  [6, 2, 33, 5, 4, 5, 4],
] as const;

const PASSES = SHAPES.flatMap(([n, exemplars, channels, h, w, rows, columns], turn) =>
  VERBS.map((verb) =>
    correlationPass(
      verb,
      { n, exemplars, channels, h, w, rows, columns },
      { scale: 0.001 * (turn + 1), accumulate: turn % 2 === 1 },
    ),
  ),
);

/** Data of every binding; what is added to has something already. */
function dataOf(pass: CorrelationPass): Readonly<Record<string, Tensor>> {
  return Object.fromEntries(
    passOperands(pass).map(({ name, rows, channels }, i) => [name, uniform(rows * channels, i + 1)]),
  );
}

/** The name of the result, and what it must be. */
function expectedOf(pass: CorrelationPass, data: Readonly<Record<string, Tensor>>) {
  const { n, exemplars, channels, h, w, rows, columns, oh, ow } = correlationShape(pass);
  const result = { xcorrForward: "y", xcorrSearchGradient: "dx", xcorrExemplarGradient: "dz" }[pass.verb];
  const before = "accumulate" in pass && pass.accumulate ? data[result] : undefined;
  const values = Float64Array.from(data[result]!, (_, i) => before?.[i] ?? 0);
  const read = (name: string, at: number) => data[name]?.[at] ?? 0;
  for (let b = 0; b < n; b++) {
    for (let place = 0; place < oh * ow; place++) {
      const [oy, ox] = [Math.floor(place / ow), place % ow];
      for (let tap = 0; tap < rows * columns; tap++) {
        const [ky, kx] = [Math.floor(tap / columns), tap % columns];
        for (let c = 0; c < channels; c++) {
          const y = (b * oh + oy) * ow + ox;
          const x = ((b * h + oy + ky) * w + ox + kx) * channels + c;
          const z = ((b % exemplars) * rows * columns + tap) * channels + c;
          if (result === "y") values[y] += pass.scale * read("x", x) * read("z", z);
          else if (result === "dx") values[x] += pass.scale * read("dy", y) * read("z", z);
          else values[z] += pass.scale * read("dy", y) * read("x", x);
        }
      }
    }
  }
  const expected: Sums = { values, terms: sumTerms(pass), greatest: before ? 1 : pass.scale };
  return { result, expected };
}

/** Everything that a tuner may choose on a CPU and on a GPU, in rotation. */
function candidates(pass: CorrelationPass, turn: number): readonly Tiling[] {
  const all = [true, false].flatMap((software) => tilings(pass, { ...GUARANTEED_TRAITS, software }));
  return inRotation([...new Map(all.map((tiling) => [tilingName(tiling), tiling])).values()], turn, 3);
}

test.each(PASSES.map((pass, turn) => [passKey(pass), pass, turn] as const))(
  "%s: every tiling adds in the canonical order",
  { timeout: 300_000 },
  async (_, pass, turn) => {
    const device = await testDevice();
    const data = dataOf(pass);
    const { result, expected } = expectedOf(pass, data);
    const run = async (tiling: Tiling) => {
      const { [result]: values } = await runKernels(device, convolutionPass(pass, tiling), data);
      return values!;
    };
    const naive = await run(NAIVE);
    expectSums(naive, expected, result);
    const due = candidates(pass, turn);
    expect(due.length).toBeGreaterThan(1);
    for (const tiling of due) {
      expect([...new Uint32Array((await run(tiling)).buffer)], tilingName(tiling)).toEqual([
        ...new Uint32Array(naive.buffer),
      ]);
    }
  },
);

test("both kinds of memory are proposed for every pass, the first for software without workgroup memory", () => {
  for (const pass of PASSES) {
    const kinds = tilings(pass, GUARANTEED_TRAITS).map(({ kind }) => kind);
    expect(kinds[0]).toBe("registers");
    expect(kinds).toContain("workgroup");
  }
});

test("what a tuner checks is a small instance with as many searches an exemplar", () => {
  for (const exemplars of [8, 2]) {
    const large = { n: 8, exemplars, channels: 256, h: 22, w: 22, rows: 6, columns: 6 };
    const pass = correlationPass("xcorrForward", large, { scale: 1 });
    const small = correlationShape(smallInstance(pass, 100_000) as CorrelationPass);
    expect(small).toMatchObject({ channels: 256, rows: 6, columns: 6 });
    expect(small.n / small.exemplars).toBe(8 / exemplars);
    expect(multiplyAdds(smallInstance(pass, 100_000))).toBeLessThan(multiplyAdds(pass));
  }
});

test("searches that are no multiple of the exemplars are refused", () => {
  const of = { n: 3, exemplars: 2, channels: 1, h: 4, w: 4, rows: 2, columns: 2 };
  expect(() => correlationPass("xcorrForward", of, { scale: 1 })).toThrow(/3 searches are no multiple of 2/);
});
