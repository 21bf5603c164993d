// Maps of few bits against their definitions: values and planes, the gradients that go back, and sums that repeat.
import { expect, test } from "vitest";
import { quantiseForward } from "../../kernels/layers/quantise.ts";
import { basesBackward, quantiseBackward } from "../../kernels/layers/quantise-backward.ts";
import { activationPlanes, type QuantiseRule } from "../../shared/model/graph.ts";
import { runKernels, type Tensor, testDevice } from "../fixtures/device.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { expectWithin } from "./expect-close.ts";
import { signPlanes } from "./reference.ts";

const SHAPES = [
  [1, 1],
  [40, 9],
  [50, 33],
  [300, 64],
  [7, 100],
] as const;

/** To the nearest integer, ties to even, as IEEE 754 rounds. */
function roundEven(v: number): number {
  const floor = Math.floor(v);
  const rest = v - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

const clip = (v: number) => Math.min(1, Math.max(0, v));

/** The values of a map, and of each plane whether the bits are set. */
function defined(rule: QuantiseRule, x: Float32Array, shift: Float32Array, scale: Float32Array) {
  const planes = activationPlanes(rule);
  const bits = Array.from({ length: planes }, () => new Float32Array(x.length));
  const values = Float64Array.from(x, (v, at) => {
    const set = (plane: number, bit: boolean) => {
      bits[plane]![at] = bit ? -1 : 1;
    };
    if (rule.kind === "sign") {
      set(0, v < 0);
      return v < 0 ? -1 : 1;
    }
    if (rule.kind === "bits") {
      const levels = 2 ** rule.bits - 1;
      const level = roundEven(Math.fround(clip(v) * levels));
      for (let j = 0; j < planes; j++) set(j, Math.floor(level / 2 ** j) % 2 === 1);
      return level / levels;
    }
    return shift.reduce((sum, moved, j) => {
      const plus = clip(Math.fround(v + moved)) >= 0.5;
      set(j, !plus);
      return sum + (plus ? scale[j]! : -scale[j]!);
    }, 0);
  });
  return { values, bits };
}

/** Ties of every number of bits, both edges, and values beyond them among random ones. */
function valuesOf(length: number): Float32Array<ArrayBuffer> {
  const edges = [0, 1, 0.5, 1.25, -0, -1, 0.25, 0.75, 1.5 / 3, 2.5 / 15];
  return uniformWithZeros(length, 1).map((v, i) => (i % 3 === 0 && i < 3 * edges.length ? edges[i / 3]! : v));
}

/** As many as there are shapes, so that each rule has every one. */
const OUTPUTS = [
  { store: true, pack: "words" },
  { store: false, pack: "words" },
  { store: true, pack: "lanes" },
  { store: false, pack: "ballot" },
  { store: true, pack: false },
] as const;

const RULES: readonly QuantiseRule[] = [
  { kind: "sign", surrogate: "ste" },
  { kind: "bits", bits: 1 },
  { kind: "bits", bits: 2 },
  { kind: "bits", bits: 8 },
  { kind: "bases", bases: 1 },
  { kind: "bases", bases: 3 },
];

test.each(RULES.map((rule) => [JSON.stringify(rule), rule] as const))(
  "quantiseForward gives the values and planes of %s, whoever packs them",
  async (_, rule) => {
    const device = await testDevice();
    const planes = activationPlanes(rule);
    const [shift, scale] = [uniform(planes, 5).map((v) => v / 2), uniform(planes, 6)];
    const parameters: Record<string, Tensor> = rule.kind === "bases" ? { shift, scale } : {};
    for (const [i, [rows, channels]] of SHAPES.entries()) {
      const { store, pack } = OUTPUTS[(i + RULES.indexOf(rule)) % OUTPUTS.length]!;
      const x = valuesOf(rows * channels);
      const { values, bits } = defined(rule, x, shift, scale);
      const wanted = bits.flatMap((plane) => [...signPlanes(plane, rows, channels)]);
      const kernel = quantiseForward({ rows, channels, rule, store, pack });
      const result: Record<string, Tensor> = await runKernels(device, kernel, {
        x,
        ...parameters,
        ...(store && { y: new Float32Array(x.length).fill(Number.NaN) }),
        ...(pack && { bits: new Uint32Array(wanted.length).fill(0xdeadbeef) }),
      });
      const what = `${rows}x${channels} ${pack}`;
      if (store) expectWithin(result.y!, values, planes * 2 ** -23, what);
      if (pack) expect([...result.bits!], what).toEqual(wanted);
    }
  },
);

const SLOPES: readonly (readonly [Exclude<QuantiseRule, { kind: "bases" }>, (v: number) => number])[] = [
  [{ kind: "sign", surrogate: "ste" }, (v) => (Math.abs(v) <= 1 ? 1 : 0)],
  [{ kind: "sign", surrogate: "bireal" }, (v) => Math.max(0, 2 - 2 * Math.abs(v))],
  [{ kind: "bits", bits: 2 }, (v) => (v >= 0 && v <= 1 ? 1 : 0)],
];

test.each(SLOPES.map(([rule, slope]) => [JSON.stringify(rule), rule, slope] as const))(
  "quantiseBackward lets through where %s has a slope, its edges among them",
  async (_, rule, slope) => {
    const device = await testDevice();
    for (const [rows, channels] of SHAPES) {
      const x = valuesOf(rows * channels);
      const dy = uniform(x.length, 2);
      for (const accumulate of [false, true]) {
        const before = uniform(x.length, 3);
        const kernel = quantiseBackward({ rows, channels, rule, accumulate });
        const { dx } = await runKernels(device, kernel, { dy, x, dx: before });
        const wanted = Float64Array.from(dy, (g, i) => g * slope(x[i]!) + (accumulate ? before[i]! : 0));
        expectWithin(dx, wanted, 4 * 2 ** -24, `${rows}x${channels} accumulate ${accumulate}`);
      }
    }
  },
);

test("basesBackward sums what belongs to each shift and scale, the same bits each time", async () => {
  const device = await testDevice();
  for (const [rows, channels] of [...SHAPES, [5000, 16]] as const) {
    for (const bases of [1, 3]) {
      const x = valuesOf(rows * channels);
      const dy = uniform(x.length, 2);
      const [shift, scale] = [uniform(bases, 5).map((v) => v / 2), uniform(bases, 6)];
      const before = uniform(x.length, 3);
      const inputs = {
        dy,
        x,
        shift,
        scale,
        dx: before,
        dshift: new Float32Array(bases).fill(Number.NaN),
        dscale: new Float32Array(bases).fill(Number.NaN),
      };
      const kernels = basesBackward({ rows, channels, bases, accumulate: true });
      const result = await runKernels(device, kernels, inputs);
      const dx = Float64Array.from(before);
      const [dshift, dscale] = [new Float64Array(bases), new Float64Array(bases)];
      x.forEach((v, i) => {
        for (let j = 0; j < bases; j++) {
          const moved = Math.fround(v + shift[j]!);
          const passed = moved >= 0 && moved <= 1 ? dy[i]! * scale[j]! : 0;
          dx[i]! += passed;
          dshift[j]! += passed;
          dscale[j]! += moved >= 0.5 ? dy[i]! : -dy[i]!;
        }
      });
      const what = `${rows}x${channels} bases ${bases}`;
      expectWithin(result.dx, dx, 8 * bases * 2 ** -24, what);
      const limit = 16 * Math.sqrt(x.length) * 2 ** -24;
      expectWithin(result.dshift, dshift, limit, `${what} dshift`);
      expectWithin(result.dscale, dscale, limit, `${what} dscale`);
      const again = await runKernels(device, kernels, inputs);
      expect(again.dshift, what).toEqual(result.dshift);
      expect(again.dscale, what).toEqual(result.dscale);
    }
  }
});
