// A partial: adding partials is adding all contributions, to the bit, whatever the tree.

import fc from "fast-check";
import { expect, test } from "vitest";
import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { RoundSum } from "../../../coordinator/sum/aggregate.ts";
import {
  encodePartial,
  MOST_HEAD_BYTES,
  type PartialFacts,
  type PartialSums,
  partialLimit,
  readPartial,
} from "../../../coordinator/sum/partial.ts";
import { reportsMean } from "../../../shared/codecs/codec.ts";
import { codecs } from "../../../shared/codecs/codecs.ts";
import { wireLayout } from "../../../shared/wire/wire-layout.ts";
import { coded } from "../../fixtures/codec-cases.ts";
import { drawContribution, nextLayout, tinyState } from "../../fixtures/tiny-run.ts";

const state = tinyState();
const layout = nextLayout(state);
const exponents = exponentsFor(state, "teacher", layout);
const drawn = Array.from({ length: 6 }, (_, i) => drawContribution(layout, i + 1, i));
const samples = drawn.reduce((sum, one) => sum + one.samples, 0);
const key = "ab".repeat(32);
const termsOf = (codec: string) => ({ layout, codec, parametersHash: "cd".repeat(32), runTag: "ef".repeat(16) });

function factsOf(all: number): PartialFacts {
  const peaks = new Map([["a".repeat(64), drawn[0].peaks]]);
  const one = { account: "a".repeat(64), samples: all, norms: { gradient: 0.5, metric: 2 } };
  return { key, ranges: [{ from: 0, to: all }], contributions: [one], accountPeaks: peaks };
}

function snapshot(sum: RoundSum) {
  return { samples: sum.samples, peaks: sum.peaks, means: layout.tensors.map(({ name }) => sum.mean(name)) };
}

test.each(codecs.kinds)(
  "Q8 partials of %s merge to what all contributions sum to, in any order and any tree",
  (codec) => {
    const bodies = drawn.map((one) => {
      const arena = Float32Array.from(new Int32Array(one.body.slice().buffer), (x) => x / 3e5);
      return coded(codec, arena, one.samples, layout, exponents).body;
    });
    // What is clipped is an integer too, where a codec allows that.
    const scaleOf = (i: number) => (codecs.get(codec).exactSums || i % 3 > 0 ? 1 : 0.37);
    const summed = (of: readonly number[], partials: readonly Uint8Array[] = []) => {
      const sum = new RoundSum(layout, exponents, codec);
      for (const [at, bytes] of partials.entries()) if (at % 2 === 0) sum.merge(readPartial(bytes, termsOf(codec)));
      for (const i of of) sum.add(drawn[i].samples, drawn[i].peaks, bodies[i], scaleOf(i));
      for (const [at, bytes] of partials.entries()) if (at % 2 === 1) sum.merge(readPartial(bytes, termsOf(codec)));
      return sum;
    };
    const partialOf = (sum: RoundSum) =>
      encodePartial(termsOf(codec), { facts: factsOf(sum.samples), sums: sum.partial() });
    const expected = snapshot(summed([0, 1, 2, 3, 4, 5]));
    const trees = fc.tuple(
      fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 5 }),
    );
    fc.assert(
      fc.property(trees, ([order, first, second]) => {
        const cut = Math.max(first, second);
        const parts = [order.slice(0, first), order.slice(first, cut), order.slice(cut)].filter(
          (one) => one.length > 0,
        );
        const partials = parts.map((part) => partialOf(summed(part)));
        expect(snapshot(summed([], partials))).toEqual(expected);
        // A gateway of gateways, beside contributions of its own.
        const inner = partialOf(summed(parts.at(-1) ?? [], partials.slice(0, -1)));
        expect(snapshot(summed([], [inner]))).toEqual(expected);
      }),
      { numRuns: 10 },
    );
  },
);

test.each(codecs.kinds.filter((kind) => layout.tensors.some((tensor) => reportsMean(codecs.get(kind), tensor))))(
  "Q57 a sum of %s for whoever follows has the median of what was reported, and comes to the same scales",
  (codec) => {
    const of = (bytes: readonly Uint8Array[]) => {
      const sum = new RoundSum(layout, exponents, codec);
      for (const one of bytes) sum.merge(readPartial(one, termsOf(codec)));
      return sum;
    };
    const all = new RoundSum(layout, exponents, codec);
    for (const one of drawn) {
      const arena = Float32Array.from(new Int32Array(one.body.slice().buffer), (x) => x / 3e5);
      all.add(one.samples, one.peaks, coded(codec, arena, one.samples, layout, exponents).body);
    }
    const facts = { key, ranges: [{ from: 0, to: samples }], contributions: [], accountPeaks: new Map() };
    const told = all.partial(true);
    expect([...told.means.values()].every(({ length }) => length === 1)).toBe(true);
    expect(snapshot(of([encodePartial(termsOf(codec), { facts, sums: told })]))).toEqual(snapshot(all));
  },
);

test("Q9 sums take the least bytes that hold them, of one to seven, and come back as they were", () => {
  const wire = wireLayout(layout, "exact");
  const sum = new Float64Array(wire.plain + wire.wide);
  const edges = [1, 127, 128, 32_767, 32_768, 2 ** 31 - 1, 2 ** 31, 2 ** 39, 2 ** 47, 2 ** 47 + 1];
  wire.tensors.forEach(({ at }, i) => {
    sum[at] = edges[i % edges.length];
    sum[at + 1] = -edges[(i * 3) % edges.length];
  });
  const sums: PartialSums = { samples, sum, peaks: drawn[0].peaks, means: new Map() };
  const contributions = Array.from({ length: 2 ** 17 }, () => factsOf(1).contributions[0]);
  const facts = { ...factsOf(samples), contributions };
  const bytes = encodePartial(termsOf("exact"), { facts, sums });
  const back = new Float64Array(sum.length);
  readPartial(bytes, termsOf("exact")).addTo(back);
  for (const { at, size } of wire.tensors) expect(back.slice(at, at + size)).toEqual(sum.slice(at, at + size));
  const small = new Float64Array(sum.length);
  const least = encodePartial(termsOf("exact"), { facts: factsOf(samples), sums: { ...sums, sum: small.fill(0) } });
  const ones = encodePartial(termsOf("exact"), { facts: factsOf(samples), sums: { ...sums, sum: small.fill(-128) } });
  const elements = wire.tensors.reduce((total, { size }) => total + size, 0);
  expect(ones.length - least.length).toBe(elements);
});

const sound = () => {
  const sum = new RoundSum(layout, exponents, "exact");
  for (const one of drawn) sum.add(one.samples, one.peaks, one.body);
  return { facts: factsOf(samples), sums: sum.partial() };
};

test("Q10 a partial says whose contributions it holds, of which ranges and of what size", () => {
  const { facts } = readPartial(encodePartial(termsOf("exact"), sound()), termsOf("exact"));
  expect(facts).toEqual(sound().facts);
});

test("Q11 a partial that is damaged, of another round, or larger than its contributions allow is refused", () => {
  const bytes = encodePartial(termsOf("exact"), sound());
  const refused = (change: (bytes: Uint8Array) => Uint8Array, terms = termsOf("exact")) => {
    try {
      readPartial(change(bytes.slice()), terms);
    } catch (error) {
      return (error as { code?: string }).code;
    }
    return undefined;
  };
  expect(refused((same) => same)).toBeUndefined();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
      const code = refused((copy) => {
        copy[at] ^= 1 << bit;
        return copy;
      });
      expect(["FRAME_CORRUPT", "FRAME_TRUNCATED", "FRAME_TOO_LARGE", "PROTOCOL_MISMATCH"]).toContain(code);
    }),
    { numRuns: 60 },
  );
  expect(refused((copy) => copy.subarray(0, copy.length - 1))).toBe("FRAME_TRUNCATED");
  expect(refused((copy) => copy, { ...termsOf("exact"), parametersHash: "00".repeat(32) })).toBe(
    "CONTRIBUTION_MISMATCH",
  );
  expect(refused((copy) => copy, termsOf("f32"))).toBe("CONTRIBUTION_MISMATCH");
  const encoded = (facts: Partial<PartialFacts>, sums: Partial<PartialSums> = {}) => {
    const whole = sound();
    return encodePartial(termsOf("exact"), {
      facts: { ...whole.facts, ...facts },
      sums: { ...whole.sums, ...sums },
    });
  };
  const huge = sound()
    .sums.sum.slice()
    .fill(2 ** 50);
  expect(refused(() => encoded({}, { sum: huge }))).toBe("FRAME_CORRUPT");
  expect(refused(() => encoded({ ranges: [{ from: 0, to: samples - 1 }] }))).toBe("FRAME_CORRUPT");
  const twice = [
    { from: 5, to: samples },
    { from: 0, to: 5 },
  ];
  expect(refused(() => encoded({ ranges: twice }))).toBe("FRAME_CORRUPT");
  const account = "b".repeat(129);
  expect(refused(() => encoded({ contributions: [{ account, samples: 1, norms: {} }] }))).toBe("FRAME_CORRUPT");
  expect(partialLimit(layout, "exact")).toBeGreaterThan(MOST_HEAD_BYTES);
  // A leader's sum, for those who follow, names no contributions: there are no more of them than samples.
  const many = sound()
    .sums.sum.slice()
    .fill(20 * 2 ** 30);
  expect(refused(() => encoded({}, { sum: many }))).toBe("FRAME_CORRUPT");
  expect(refused(() => encoded({ contributions: [], accountPeaks: new Map() }, { sum: many }))).toBeUndefined();
  expect(refused(() => encoded({ contributions: [], accountPeaks: new Map() }, { sum: huge }))).toBe("FRAME_CORRUPT");
});
