// Rules of the sum of contributions, by its naive definition.
import fc from "fast-check";
import { expect, test } from "vitest";
import { clipUnits as clip } from "../../../shared/codecs/codec.ts";
import { codecs } from "../../../shared/codecs/codecs.ts";
import { encodeInt8 } from "../../../shared/codecs/int8.ts";
import { addContribution } from "../../../shared/wire/naive-sum.ts";
import { wireLayout } from "../../../shared/wire/wire-layout.ts";
import {
  anyArena,
  anyCodec,
  anySamples,
  type CodedCase,
  coded,
  exponents,
  layout,
} from "../../fixtures/codec-cases.ts";

const { size } = layout;

function sumOf(contributions: readonly CodedCase[], units: readonly number[] = exponents): Float64Array {
  const sum = new Float64Array(size);
  for (const { wire, samples, body } of contributions) addContribution(wire, body, samples, units, sum);
  return sum;
}

const bits = (sum: Float64Array) => new BigUint64Array(sum.buffer);
const bytesOf = (array: Float32Array | Int32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Contributions of one round: all in its codec. */
const anyContributions = anyCodec.chain((codec) =>
  fc
    .array(fc.tuple(anyArena, anySamples), { minLength: 1, maxLength: 6 })
    .map((drawn) => drawn.map(([arena, samples]) => coded(codec, arena, samples))),
);

test("the sum has the same bits in every order, with any codec", () => {
  const cases = anyContributions.chain((contributions) =>
    fc.tuple(fc.constant(contributions), fc.shuffledSubarray(contributions, { minLength: contributions.length })),
  );
  fc.assert(
    fc.property(cases, ([contributions, shuffled]) => {
      expect(bits(sumOf(shuffled))).toEqual(bits(sumOf(contributions)));
    }),
    { numRuns: 60 },
  );
});

test("the sum has the same bits in every grouping into partial sums", () => {
  const cases = anyContributions.chain((contributions) =>
    fc.tuple(
      fc.constant(contributions),
      fc.array(fc.nat(3), { minLength: contributions.length, maxLength: contributions.length }),
    ),
  );
  fc.assert(
    fc.property(cases, ([contributions, groups]) => {
      const total = new Float64Array(size);
      for (let group = 3; group >= 0; group--) {
        const part = sumOf(contributions.filter((_, i) => groups[i] === group));
        part.forEach((value, i) => {
          total[i] += value;
        });
      }
      expect(bits(total)).toEqual(bits(sumOf(contributions)));
    }),
    { numRuns: 60 },
  );
});

test("every element of a sum is an integer within ±2^30 a contribution", () => {
  fc.assert(
    fc.property(anyCodec, anyArena, anySamples, (codec, arena, samples) => {
      for (const value of sumOf([coded(codec, arena, samples)])) {
        if (!Number.isInteger(value) || Math.abs(value) > clip || Object.is(value, -0)) expect.fail(`${value}`);
      }
    }),
  );
});

test("exact adds its integers as they are, clipped", () => {
  const integers = new Int32Array(size);
  integers.set([5, -7, 2 ** 30, 2 ** 31 - 1, -(2 ** 31), 0]);
  const sum = sumOf([{ wire: wireLayout(layout, "exact"), samples: 1, body: new Uint8Array(integers.buffer) }]);
  expect([...sum.subarray(0, 6)]).toEqual([5, -7, clip, clip, -clip, 0]);
});

test("f32 is divided by its tensor's unit and rounded, ties to even", () => {
  const values = new Float32Array(size);
  const inUnits = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, -0.51, 3, 1e30, -1e30, 2 ** 30 + 512];
  values.set(inUnits.map((x) => x * 2 ** -20));
  values.set([1, -1], 64);
  values.set([12, -20, 4], 192);
  const sum = sumOf([coded("f32", values, 1)]);
  expect([...sum.subarray(0, 12)]).toEqual([0, 2, 2, 0, -2, -2, 0, -1, 3, clip, -clip, clip]);
  expect([...sum.subarray(64, 66)]).toEqual([4096, -4096]);
  expect([...sum.subarray(192, 195)]).toEqual([2, -2, 0]);
});

test("what a codec codes stands behind the rest, which is float32 with each of them", () => {
  const arena = Float32Array.from({ length: size }, (_, i) => (i < 64 ? 2 ** -20 : i < 192 ? -(2 ** -3) : 8));
  for (const codec of ["f16", "int8", "sign"] as const) {
    const sum = [...sumOf([coded(codec, arena, 5)])];
    expect(sum.slice(0, 128)).toEqual(Array.from({ length: 128 }, () => 1));
    expect(sum.slice(128)).toEqual(Array.from({ length: 128 }, () => (codec === "sign" ? -5 : -512)));
  }
});

test("a sign counts as its samples, either way", () => {
  const arena = new Float32Array(size);
  arena.set([-3, 0, 1e-30, -1e-30, -0], 64);
  const sum = sumOf([
    coded("sign", arena, 96),
    coded(
      "sign",
      arena.map((x) => -x),
      32,
    ),
  ]);
  expect([...sum.subarray(128, 133)]).toEqual([-96 + 32, 96 + 32, 96 - 32, -96 + 32, 96 + 32]);
});

test("a block of int8 that is marked as zeros adds nothing, whatever its elements say", () => {
  const wire = wireLayout(layout, "int8");
  const body = new Uint8Array(wire.bytes).fill(0x7f, 4 * wire.plain);
  body.fill(0x80, 4 * wire.plain, 4 * wire.plain + 2);
  expect(sumOf([{ wire, samples: 1, body }], [-126, -126, -126])).toEqual(new Float64Array(size));
});

test("int8 on a grid of 127 steps round trips exactly", () => {
  const anyInteger = fc.integer({ min: -127, max: 127 });
  const anyBlocks = fc.tuple(
    fc.array(anyInteger, { minLength: 128, maxLength: 128 }),
    fc.integer({ min: -20, max: 20 }),
  );
  fc.assert(
    fc.property(anyBlocks, ([integers, exponent]) => {
      const wire = wireLayout(layout, "int8");
      const body = new Uint8Array(wire.bytes);
      body.set(encodeInt8(Float32Array.from(integers, (n) => n * 2 ** exponent)), 4 * wire.plain);
      const sum = sumOf([{ wire, samples: 1, body }], [0, exponent, 0]);
      expect([...sum.subarray(128)]).toEqual(integers.map((n) => n + 0));
    }),
  );
});

test("any bytes in the coded part add integers within the clip, or are refused as not finite", () => {
  const anyBytes = fc.constantFrom("int8" as const, "sign" as const, "f16" as const).chain((codec) => {
    const wire = wireLayout(layout, codec);
    const length = wire.bytes - 4 * wire.plain;
    return fc.tuple(fc.constant(wire), fc.uint8Array({ minLength: length, maxLength: length }));
  });
  fc.assert(
    fc.property(anyBytes, ([wire, tail]) => {
      const body = new Uint8Array(wire.bytes);
      body.set(tail, 4 * wire.plain);
      try {
        const sum = sumOf([{ wire, samples: 7, body }]);
        expect(sum.every((x) => Number.isInteger(x) && Math.abs(x) <= clip)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "GRADIENT_NOT_FINITE" });
        expect(wire.codec.kind).toBe("f16");
      }
    }),
  );
});

test("a body adds the same at every alignment, from a Buffer too, and is not changed", () => {
  fc.assert(
    fc.property(anyCodec, anyArena, fc.nat(7), (codec, arena, shift) => {
      const { wire, samples, body } = coded(codec, arena, 3);
      const buffer = Buffer.alloc(body.length + shift);
      buffer.set(body, shift);
      const before = Buffer.from(buffer);
      expect(sumOf([{ wire, samples, body: buffer.subarray(shift) as never }])).toEqual(
        sumOf([{ wire, samples, body }]),
      );
      expect(buffer.equals(before)).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test("a float that is not finite adds nothing, and the error names tensor, element and value", () => {
  const anyBad = fc.constantFrom(NaN, Infinity, -Infinity);
  fc.assert(
    fc.property(anyArena, fc.nat(size - 1), anyBad, (values, at, bad) => {
      const wire = wireLayout(layout, "f32");
      values[at] = bad;
      const sum = new Float64Array(size).fill(7);
      const { name, offset } = layout.tensors[layout.segments[at >> 6]];
      expect(() => addContribution(wire, bytesOf(values), 1, exponents, sum)).toThrow(
        expect.objectContaining({
          code: "GRADIENT_NOT_FINITE",
          message: expect.stringContaining(`element ${at - offset} of ${name} is ${bad}`),
        }),
      );
      expect(sum).toEqual(new Float64Array(size).fill(7));
    }),
    { numRuns: 50 },
  );
});

test("a body of another length adds nothing, and the error says both lengths", () => {
  for (const codec of codecs.kinds) {
    const wire = wireLayout(layout, codec);
    for (const length of [0, wire.bytes - 1, wire.bytes + 1]) {
      const sum = new Float64Array(size);
      expect(() => addContribution(wire, new Uint8Array(length), 1, exponents, sum)).toThrow(
        expect.objectContaining({
          code: "CONTRIBUTION_MISMATCH",
          message: expect.stringMatching(new RegExp(`${wire.bytes} bytes, got ${length}`)),
        }),
      );
      expect(sum).toEqual(new Float64Array(size));
    }
  }
});

test("a sum or units that do not belong to the layout are refused", () => {
  const { wire, body } = coded("f32", new Float32Array(size), 1);
  expect(() => addContribution(wire, body, 1, exponents, new Float64Array(64))).toThrow(RangeError);
  expect(() => addContribution(wire, body, 1, [0, 0], new Float64Array(size))).toThrow(RangeError);
  expect(() => addContribution(wire, body, 1, [0, 127, 0], new Float64Array(size))).toThrow(RangeError);
});
