// The tuner's decisions without a device: what is chosen from a table, what a table forgets, how long things take, what
// is wrong.

import { expect, test } from "vitest";
import { tilings } from "../../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../../kernels/convolution/pass/pass.ts";
import type { PlaneOperands } from "../../../kernels/convolution/pass/planes.ts";
import { NAIVE, type Tiling, tilingName } from "../../../kernels/convolution/pass/tiling.ts";
import { GUARANTEED_TRAITS } from "../../../kernels/text/adapter-traits.ts";
import { outputHeight } from "../../../shared/model/window.ts";
import { interleavedTiming, roundMs } from "../../../worker/tuning/interleaved-timing.ts";
import {
  multiplyAdds,
  operandElements,
  passOperands,
  smallInstance,
  sumTerms,
} from "../../../worker/tuning/pass-operands.ts";
import { judge, operandData } from "../../../worker/tuning/tiling-check.ts";
import { TuningMemory, type TuningStore } from "../../../worker/tuning/tuning-store.ts";
import {
  adapterKey,
  chosenTiling,
  emptyTable,
  isMeasured,
  kernelsHash,
  MOST_PASSES,
  refuse,
  runtimeOf,
  type TuningEntry,
  type TuningTable,
  tuningTableSchema,
  withEntries,
} from "../../../worker/tuning/tuning-table.ts";

const shape = { n: 32, h: 12, w: 12, in: 40, out: 24, kernel: 3, stride: 2, padding: 1 };
const pass: ConvolutionPass = { verb: "binaryConvForward", shape, rectify: "kernel" };
const tile = (rows: number, columns: number): Tiling => ({ kind: "registers", rows, columns });
const candidates = [tile(4, 4), tile(8, 8), tile(4, 16)];
const entry = (fields: Partial<TuningEntry>): TuningEntry => ({
  pass: "p",
  kernels: "k",
  ms: {},
  refused: {},
  ...fields,
});
const names = candidates.map(tilingName);

test("chosenTiling is the fastest that is not refused, the first where none was measured, the naive one where all are refused", () => {
  const ms = Object.fromEntries(names.map((name, i) => [name, 3 - i]));
  expect(chosenTiling(undefined, candidates)).toBe(candidates[0]);
  expect(chosenTiling(entry({ ms }), candidates)).toBe(candidates[2]);
  expect(chosenTiling(entry({ ms, refused: { [names[2]]: "wrong" } }), candidates)).toBe(candidates[1]);
  expect(chosenTiling(entry({ refused: { [names[0]]: "compile" } }), candidates)).toBe(candidates[1]);
  expect(chosenTiling(entry({ refused: Object.fromEntries(names.map((n) => [n, "lost"])) }), candidates)).toBe(NAIVE);
});

test("a pass is measured when every tiling has its time or its refusal", () => {
  expect(isMeasured(undefined, candidates)).toBe(false);
  expect(isMeasured(entry({ ms: { [names[0]]: 1 } }), candidates)).toBe(false);
  const rest = entry({ ms: { [names[0]]: 1, [names[1]]: 2 }, refused: { [names[2]]: "differ" } });
  expect(isMeasured(rest, candidates)).toBe(true);
});

test("a tiling that turns out wrong takes the times and the comparisons with it, not the other faults", () => {
  const before = entry({ ms: { [names[0]]: 1 }, refused: { [names[1]]: "differ", [names[2]]: "lost" } });
  expect(refuse(before, candidates[0], "wrong")).toEqual(
    entry({ refused: { [names[2]]: "lost", [names[0]]: "wrong" } }),
  );
});

test("a full table lets go of what was measured longest ago", () => {
  const old = Array.from({ length: MOST_PASSES }, (_, i) => entry({ pass: `p${i}` }));
  const table = withEntries(withEntries(emptyTable, old), [
    entry({ pass: "p3", kernels: "new" }),
    entry({ pass: "x" }),
  ]);
  expect(table.passes).toHaveLength(MOST_PASSES);
  expect(table.passes[0].pass).toBe("p1");
  expect(table.passes.slice(-2)).toEqual([entry({ pass: "p3", kernels: "new" }), entry({ pass: "x" })]);
  expect(tuningTableSchema.parse(table)).toEqual(table);
});

test("the kernels' hash changes with any candidate's text", () => {
  expect(kernelsHash(pass, candidates)).toBe(kernelsHash(pass, candidates));
  expect(kernelsHash(pass, candidates.slice(1))).not.toBe(kernelsHash(pass, candidates));
});

test.each([
  ["Deno/2.9.6", "Deno 2"],
  [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36",
    "Chrome 156",
  ],
  [
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36 Edg/156.0",
    "Edg 156",
  ],
  ["Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15", "Version 26"],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox 150"],
  ["something else", "something else"],
])("runtimeOf %s is %s", (userAgent, runtime) => {
  expect(runtimeOf(userAgent)).toBe(runtime);
});

test("an adapter's key has its own words and the runtime's major version", () => {
  const adapter = { vendor: "nvidia", architecture: "ada", description: "RTX", software: false };
  expect(adapterKey(adapter, "Deno/2.9.6")).toBe('["nvidia","ada","RTX","Deno 2"]');
  expect(adapterKey(adapter, "Deno/2.9.6")).not.toBe(adapterKey({ ...adapter, description: "GTX" }, "Deno/2.9.6"));
});

/** A clock that contenders move: contender i takes ms[i] a run, and every wait takes 10. */
function race(ms: readonly number[], until = Number.POSITIVE_INFINITY) {
  let clock = 0;
  const expired = () => clock >= until;
  const rounds = ms.map((): number[] => []);
  const contenders = ms.map((each, i) => async (times: number) => {
    rounds[i].push(times);
    clock += 10 + each * times;
  });
  return { rounds, result: interleavedTiming(contenders, { now: () => clock, overheadMs: 10, expired }) };
}

test("interleavedTiming takes the wait off, repeats what is short, and leaves out what is hopeless", async () => {
  const { rounds, result } = race([0.25, 0.5, 100]);
  const measured = (await result) ?? [];
  expect(measured[0]).toBeCloseTo(0.25);
  expect(measured[1]).toBeCloseTo(0.5);
  expect(measured[2]).toBeCloseTo(100);
  expect(roundMs(10)).toBe(40);
  // A first run, three to find out how many take that long, and three rounds.
  expect(rounds[0]).toEqual([1, 1, 16, 160, 160, 160, 160]);
  expect(rounds[2]).toEqual([1, 1, 1]);
});

test("interleavedTiming stops after its first round when time is up, and before it has nothing to say", async () => {
  // Each run takes 60: two to find out how many, then the rounds.
  const { rounds, result } = race([50, 50], 6 * 60);
  expect(await result).toEqual([50, 50]);
  expect(rounds).toEqual([
    [1, 1, 1],
    [1, 1, 1],
  ]);
  const brief = race([50, 50], 5 * 60);
  expect(await brief.result).toBeUndefined();
  expect(brief.rounds.flat()).toHaveLength(5);
  expect(await race([50, 50], 0).result).toBeUndefined();
});

test("interleavedTiming forgives a slow first run and one slow round", async () => {
  let clock = 0;
  let run = 0;
  const steady = async (times: number) => {
    clock += 20 * times;
  };
  // Translated in its first run, disturbed in the first round.
  const unlucky = async (times: number) => {
    clock += [500, 10, 50, 10, 10][run++] * times;
  };
  const timing = { now: () => clock, overheadMs: 0, expired: () => false };
  expect(await interleavedTiming([unlucky, steady], timing)).toEqual([10, 20]);
});

test("passOperands gives each binding of the pass its size", () => {
  const sizes = Object.fromEntries(passOperands(pass).map((o) => [o.name, operandElements(o)]));
  expect(sizes).toEqual({ a: 32 * 144 * 2, w: 24 * 9 * 2, c: 9, y: 32 * 36 * 24 });
  expect(sumTerms(pass)).toBe(360);
  expect(multiplyAdds(pass)).toBe(32 * 36 * 360 * 24);
});

test("passOperands gives the planes of a pass over planes their sizes", () => {
  const planes = (options: PlaneOperands): ConvolutionPass => ({ verb: "planesConvForward", shape, ...options });
  const sizes = (options: PlaneOperands) =>
    Object.fromEntries(passOperands(planes(options)).map((o) => [o.name, operandElements(o)]));
  const abc = { kind: "linear", planes: 3, scale: "out" } as const;
  expect(sizes({ activations: { kind: "bases", bases: 2 }, weights: abc })).toEqual({
    a: 2 * 32 * 144 * 2,
    w: 3 * 24 * 9 * 2,
    c: 3 * 24,
    b: 2,
    y: 32 * 36 * 24,
  });
  const ttq = sizes({ activations: { kind: "sign" }, weights: { kind: "ternary" } });
  expect(ttq).toMatchObject({ a: 32 * 144 * 2, w: 2 * 24 * 9 * 2, c: 2 });
  expect(ttq.b).toBeUndefined();
});

test("operandData leaves no bit beyond the last channel and no result unmarked", () => {
  const [a, , , y] = passOperands(pass);
  const words = operandData(a);
  expect(words.some((word, i) => i % 2 === 1 && word >>> 8 !== 0)).toBe(false);
  expect(operandData(y).every((value) => Number.isNaN(value))).toBe(true);
});

test("a small instance keeps channels, window and remainders, and is as large as the limit allows", () => {
  const small = smallInstance(pass, 2 ** 20);
  expect(multiplyAdds(small)).toBeLessThanOrEqual(2 ** 20);
  expect(small.shape).toMatchObject({ in: 40, out: 24, kernel: 3, stride: 2, padding: 1 });
  expect(small.shape.n % 4).toBe(0);
  expect((shape.h - small.shape.h) % 2).toBe(0);
  expect(smallInstance(pass, 1).shape).toMatchObject({ n: 4 });
  expect(outputHeight(smallInstance(pass, 1).shape)).toBe(1);
  const odd: ConvolutionPass = {
    verb: "convForward",
    bias: true,
    shape: { ...shape, n: 22, h: 1, w: 1, kernel: 1, padding: 0 },
  };
  expect(smallInstance(odd, 2 ** 26).shape.n).toBe(18);
});

test("judge tells equal bits, roundings, mistakes and what was never written apart", () => {
  const reference = Float32Array.of(1, -20, 0, 3);
  expect(judge(pass, Float32Array.of(1, -20, -0, 3), reference)).toBe("same");
  expect(judge(pass, Float32Array.of(1, -20.00001, 0, 3), reference)).toBe("close");
  expect(judge(pass, Float32Array.of(1, -20, 0, 3.01), reference)).toBe("wrong");
  expect(judge(pass, Float32Array.of(1, Number.NaN, 0, 3), reference)).toBe("wrong");
  expect(judge(pass, Float32Array.of(1, Number.POSITIVE_INFINITY, 0, 3), reference)).toBe("wrong");
});

function storeOf(tables: Map<string, unknown>): TuningStore {
  return {
    load: async (key) => tables.get(key),
    save: async (key, table) => void tables.set(key, table),
  };
}

test("TuningMemory adds to what other workers saved meanwhile", async () => {
  const tables = new Map<string, unknown>();
  const complaints: string[] = [];
  const [one, other] = [0, 1].map(() => new TuningMemory(storeOf(tables), (message) => complaints.push(message)));
  await one.load("gpu");
  await other.remember("gpu", [entry({ pass: "theirs" })]);
  await one.remember("gpu", [entry({ pass: "ours" })]);
  const saved = tables.get("gpu") as TuningTable;
  expect(saved.passes.map((e) => e.pass)).toEqual(["theirs", "ours"]);
  expect((await one.load("other gpu")).passes).toEqual([]);
  expect(complaints).toEqual([]);
});

test.each([
  ["is corrupt", storeOf(new Map([["gpu", { version: 1, passes: [{ pass: 7 }] }]])), /cannot be read/],
  [
    "fails",
    { load: async () => Promise.reject(new Error("no such disk")), save: async () => undefined },
    /no such disk/,
  ],
  ["is full", { load: async () => undefined, save: () => Promise.reject(new Error("quota")) }, /cannot be kept.*quota/],
])("a store that %s costs one line, and the session remembers by itself", async (_what, store, line) => {
  const complaints: string[] = [];
  const memory = new TuningMemory(store, (message) => complaints.push(message));
  for (const name of ["a", "b"]) await memory.remember("gpu", [entry({ pass: name })]);
  expect((await memory.load("gpu")).passes.map((e) => e.pass)).toEqual(["a", "b"]);
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toMatch(line);
});

test("every pass has candidates, and its key names it", () => {
  expect(tilings(pass, GUARANTEED_TRAITS).length).toBeGreaterThan(1);
  expect(passKey(pass)).toContain("binaryConvForward 32x12x12x40->24");
});

test("the key of a pass over planes names what its planes are", () => {
  const activations = [
    { kind: "sign" },
    { kind: "bits", bits: 1 },
    { kind: "bits", bits: 2 },
    { kind: "bases", bases: 2 },
  ] as const;
  const weights = [
    { kind: "linear", planes: 2, scale: "layer" },
    { kind: "linear", planes: 2, scale: "out" },
    { kind: "linear", planes: 1, scale: "out" },
    { kind: "ternary" },
  ] as const;
  const keys = activations.flatMap((a) =>
    weights.map((w) => passKey({ verb: "planesConvForward", shape, activations: a, weights: w })),
  );
  expect(new Set(keys).size).toBe(16);
  expect(keys[9]).toMatch(/ activations=bits2 weights=linear2\.out$/);
});
