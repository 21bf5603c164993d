// Rules of the fast sum: the naive one's bits, whatever the codec, the order, the sizes and the values.
import fc from "fast-check";
import { expect, test } from "vitest";
import { groupNormsOf } from "../../../../coordinator/sum/gradient-norms.ts";
import { Reduction } from "../../../../coordinator/sum/reduction/reduction.ts";
import { crc32c } from "../../../../shared/base/crc32c.ts";
import { payloadHeadBytes } from "../../../../shared/wire/contribution-payload.ts";
import { frameHeaderBytes } from "../../../../shared/wire/frame.ts";
import { addContribution } from "../../../../shared/wire/naive-sum.ts";
import { wireLayout } from "../../../../shared/wire/wire-layout.ts";
import {
  anyArena,
  anyCodec,
  anySamples,
  type CodedCase,
  coded,
  exponents,
  layout,
  layoutOf,
} from "../../../fixtures/codec-cases.ts";

const reduction = new Reduction();
const tensors = layout.tensors.length;

function frame({ body, wire }: CodedCase, peaks = new Uint32Array(wire.tensors.length)): Uint8Array {
  const head = frameHeaderBytes + payloadHeadBytes(peaks.length);
  const bytes = new Uint8Array(head + body.length);
  bytes.set(new Uint8Array(peaks.buffer), frameHeaderBytes);
  bytes.set(body, head);
  return bytes;
}

function inspect(contribution: CodedCase, slot = 0) {
  const bytes = frame(contribution);
  reduction.load(slot, bytes);
  return reduction.inspect(slot, contribution.samples, bytes.length - frameHeaderBytes);
}

function fast(contributions: readonly CodedCase[], units = exponents): Float64Array {
  reduction.begin({ layout, exponents: units, codec: contributions[0]!.wire.codec.kind });
  contributions.forEach((contribution, i) => {
    inspect(contribution, i % 2);
    reduction.commit(i % 2);
  });
  return reduction.finish().sum.slice();
}

function naive(contributions: readonly CodedCase[], units = exponents): Float64Array {
  const sum = new Float64Array(layout.size);
  for (const { wire, body, samples } of contributions) addContribution(wire, body, samples, units, sum);
  return sum;
}

/** What counts of a sum: padding may hold anything. */
function values(sum: Float64Array, { wire }: CodedCase): number[][] {
  return wire.tensors.map(({ at, size }) => [...sum.subarray(at, at + size)]);
}

const anyUnits = fc.array(fc.integer({ min: -126, max: 126 }), { minLength: tensors, maxLength: tensors });
const anyRound = anyCodec.chain((codec) =>
  fc.record({
    units: fc.oneof(fc.constant(exponents), anyUnits),
    drawn: fc.array(fc.tuple(anyArena, anySamples), { minLength: 1, maxLength: 8 }),
    codec: fc.constant(codec),
  }),
);

test("the fast sum has the bits of the naive one", () => {
  fc.assert(
    fc.property(anyRound, ({ units, drawn, codec }) => {
      const contributions = drawn.map(([arena, samples]) => coded(codec, arena, samples, layout, units));
      const [first] = contributions;
      expect(values(fast(contributions, units), first!)).toEqual(values(naive(contributions, units), first!));
    }),
    { numRuns: 300 },
  );
});

test("any bytes are summed as the naive sum has them, or refused by both", () => {
  const anyBytes = anyCodec.chain((codec) => {
    const wire = wireLayout(layout, codec);
    return fc.record({
      wire: fc.constant(wire),
      samples: anySamples,
      body: fc.uint8Array({ minLength: wire.bytes, maxLength: wire.bytes }).map((bytes) => Uint8Array.from(bytes)),
    });
  });
  fc.assert(
    fc.property(anyBytes, fc.boolean(), (contribution, finite) => {
      // Most bytes are no finite float; half of the time those in front are made so.
      if (finite) for (let i = 3; i < 4 * contribution.wire.plain; i += 4) contribution.body[i]! &= 0x9f;
      const outcome = (sum: (of: readonly CodedCase[]) => Float64Array) => {
        try {
          return values(sum([contribution]), contribution);
        } catch (error) {
          const { code, message } = error as { code: string; message: string };
          // The half's own value is not named.
          return [code, message.replace(/ is .*/, "")];
        }
      };
      expect(outcome(fast)).toEqual(outcome(naive));
    }),
    { numRuns: 300 },
  );
});

test("sums beyond the i32 of their fast part, and counts beyond the sign counters' planes, stay exact", () => {
  const loud = Float32Array.from({ length: layout.size }, (_, i) => (i % 3 === 0 ? -1 : 1) * 2 ** 20);
  for (const codec of ["exact", "f32", "f16", "int8", "sign"] as const) {
    const contributions = [40_000, 40_000, 70_000, 200_000].map((samples) => coded(codec, loud, samples));
    const total = fast([...contributions, ...contributions]);
    expect(values(total, contributions[0]!)).toEqual(
      values(naive([...contributions, ...contributions]), contributions[0]!),
    );
    expect(total.reduce((max, x) => Math.max(max, Math.abs(x)), 0)).toBeGreaterThan(2 ** 18);
  }
});

test("the order of slots and commits changes nothing, and a discarded contribution is not there", () => {
  fc.assert(
    fc.property(anyCodec, anyArena, anyArena, (codec, a, b) => {
      const [first, second] = [coded(codec, a, 7), coded(codec, b, 33)];
      const expected = values(naive([first, second]), first);
      reduction.begin({ layout, exponents, codec });
      inspect(first, 0);
      inspect(second, 1);
      reduction.commit(1);
      reduction.discard(0);
      expect(() => reduction.commit(0)).toThrow(RangeError);
      inspect(first, 0);
      reduction.commit(0);
      const { sum, samples } = reduction.finish();
      expect(samples).toBe(40);
      expect(values(sum, first)).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});

test("a round may be finished, added to and finished again", () => {
  const contributions = [1, 2, 3].map((n) => coded("sign", new Float32Array(layout.size).fill(n - 2), n));
  reduction.begin({ layout, exponents, codec: "sign" });
  for (const contribution of contributions) {
    inspect(contribution);
    reduction.commit(0);
    reduction.finish();
  }
  expect(values(reduction.finish().sum, contributions[0]!)).toEqual(values(naive(contributions), contributions[0]!));
});

test("the norms are the lengths of gradients and statistics a sample, padding not counted", () => {
  const mixed = layoutOf({ n0: 10, w0: 70, n1: 64 });
  const tensors = mixed.tensors.map((tensor) =>
    tensor.name === "n1" ? { ...tensor, kind: "statistic" as const } : tensor,
  );
  const arena = new Float32Array(mixed.size);
  for (const { offset, size } of tensors) arena.fill(12, offset, offset + size);
  for (const codec of ["f32", "f16", "int8", "sign"] as const) {
    const units = codec === "sign" ? [-20, 2, -20] : [-20, -20, -20];
    reduction.begin({ layout: { ...mixed, tensors }, exponents: units, codec });
    const contribution = coded(codec, arena, 4, { ...mixed, tensors }, units);
    // Signs stand for 4 a sample, everything else for 12 / 4.
    const wide = codec === "sign" ? 4 : 3;
    const expected = { gradient: Math.sqrt(10 * 3 ** 2 + 70 * wide ** 2), statistic: 3 * 8 };
    const norms = groupNormsOf(contribution.wire.tensors, inspect(contribution).squares, 4);
    expect(norms.gradient).toBeCloseTo(expected.gradient, 4);
    expect(norms.statistic).toBeCloseTo(expected.statistic, 4);
  }
});

test("a scale shrinks gradients and rounds to even; statistics, metrics and samples count in full", () => {
  const mixed = layoutOf({ n0: 64, w0: 64 });
  const tensors = mixed.tensors.map((tensor) =>
    tensor.name === "n0" ? { ...tensor, kind: "statistic" as const } : tensor,
  );
  const arena = new Float32Array(mixed.size).fill(10);
  for (const codec of ["f32", "f16", "int8", "sign"] as const) {
    reduction.begin({ layout: { ...mixed, tensors }, exponents: [0, 0], codec });
    inspect(coded(codec, arena, 10, mixed, [0, 0]));
    reduction.commit(0, 0.25);
    const { sum, samples } = reduction.finish();
    // 2.5 is rounded to even; signs weigh 2.5 samples, which Math.round takes to 3.
    expect([samples, sum[0], sum[64]]).toEqual([10, 10, codec === "sign" ? 3 : 2]);
  }
  reduction.begin({ layout, exponents, codec: "exact" });
  inspect(coded("exact", new Float32Array(layout.size), 1));
  for (const scale of [0.5, 0, -1, 2, NaN]) expect(() => reduction.commit(0, scale)).toThrow(RangeError);
});

test("the checksum of what lies in a slot is the frame's CRC-32C, at any length", () => {
  const large = layoutOf({ w0: 50_000 });
  reduction.begin({ layout: large, exponents: [0], codec: "f32" });
  const bytes = Uint8Array.from({ length: 200_083 }, (_, i) => (i * 2654435761) >>> 9);
  for (const length of [0, 1, 80, 8191, 8192, 8223, 65_537, 131_072, 200_083]) {
    const part = bytes.subarray(0, length);
    const loaded = reduction.load(1, part);
    expect(reduction.checksum(loaded)).toBe(crc32c(part));
    expect(reduction.checksum(loaded.subarray(Math.min(3, length)), 12345)).toBe(crc32c(part.subarray(3), 12345));
  }
});

test("frames of another size, samples that are no count and slots that are not there are refused", () => {
  reduction.begin({ layout, exponents, codec: "f32" });
  const contribution = coded("f32", new Float32Array(layout.size), 1);
  const bytes = frame(contribution);
  reduction.load(0, bytes);
  const mismatch = expect.objectContaining({ code: "CONTRIBUTION_MISMATCH" });
  for (const samples of [0, -1, 1.5, NaN])
    expect(() => reduction.inspect(0, samples, bytes.length - 80)).toThrow(mismatch);
  expect(() => reduction.inspect(0, 1, bytes.length - 81)).toThrow(mismatch);
  expect(() => reduction.load(0, new Uint8Array(1e6))).toThrow(mismatch);
  expect(() => reduction.load(2, bytes)).toThrow(RangeError);
  expect(() => new Reduction().finish()).toThrow(RangeError);
});
