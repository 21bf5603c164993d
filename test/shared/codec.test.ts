// Rules of gradients on the wire and of their sum.
import fc from "fast-check";
import { expect, test } from "vitest";
import { addContribution, blockSize, clip, encodedBytes, encodeInt8, type GradientCodec } from "../../shared/codec.ts";

const codecs = ["exact", "f32", "int8"] as const;
/** Three tensors of one, two and one blocks. */
const segments = Uint32Array.of(0, 1, 1, 2);
const exponents = Int8Array.of(-20, -12, 3);
const size = segments.length * blockSize;

const anyFinite = fc.float({ noNaN: true, noDefaultInfinity: true });
const anyGradient = fc.oneof(fc.float({ noNaN: true, min: -4, max: 4 }), anyFinite, fc.constantFrom(0, -0));
const anyArena = fc.array(anyGradient, { minLength: size, maxLength: size }).map((values) => Float32Array.from(values));
const anyCodec = fc.constantFrom(...codecs);

function bytesOf(array: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function encode(codec: GradientCodec, values: Float32Array): Uint8Array {
  if (codec === "int8") return encodeInt8(values);
  if (codec === "f32") return bytesOf(values);
  return bytesOf(Int32Array.from(values, (value) => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value * 1e6))));
}

function sumOf(contributions: readonly (readonly [GradientCodec, Uint8Array])[]): Float64Array {
  const sum = new Float64Array(size);
  for (const [codec, payload] of contributions) addContribution(codec, payload, segments, exponents, sum);
  return sum;
}

function bits(sum: Float64Array): BigUint64Array {
  return new BigUint64Array(sum.buffer);
}

const anyContributions = fc.array(
  fc.tuple(anyCodec, anyArena).map(([codec, values]) => [codec, encode(codec, values)] as const),
  { minLength: 1, maxLength: 6 },
);

test("the sum has the same bits in every order, codecs mixed", () => {
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
          total[i] = total[i]! + value;
        });
      }
      expect(bits(total)).toEqual(bits(sumOf(contributions)));
    }),
    { numRuns: 60 },
  );
});

test("every element of a sum is an integer within ±2^30 a contribution", () => {
  fc.assert(
    fc.property(anyCodec, anyArena, (codec, values) => {
      for (const value of sumOf([[codec, encode(codec, values)]])) {
        if (!Number.isInteger(value) || Math.abs(value) > clip || Object.is(value, -0)) expect.fail(`${value}`);
      }
    }),
  );
});

test("exact adds its integers as they are, clipped", () => {
  const integers = new Int32Array(size);
  integers.set([5, -7, 2 ** 30, 2 ** 31 - 1, -(2 ** 31), 0]);
  expect([...sumOf([["exact", bytesOf(integers)]]).subarray(0, 6)]).toEqual([5, -7, clip, clip, -clip, 0]);
});

test("f32 is divided by its tensor's unit and rounded, ties to even", () => {
  const values = new Float32Array(size);
  const inUnits = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, -0.51, 3, 1e30, -1e30, 2 ** 30 + 512];
  values.set(inUnits.map((x) => x * 2 ** -20));
  values.set([1, -1], blockSize);
  values.set([12, -20, 4], 3 * blockSize);
  const sum = sumOf([["f32", bytesOf(values)]]);
  expect([...sum.subarray(0, 12)]).toEqual([0, 2, 2, 0, -2, -2, 0, -1, 3, clip, -clip, clip]);
  expect([...sum.subarray(blockSize, blockSize + 2)]).toEqual([4096, -4096]);
  expect([...sum.subarray(3 * blockSize, 3 * blockSize + 3)]).toEqual([2, -2, 0]);
});

test("f32 on the unit's grid round trips exactly", () => {
  const anyInteger = fc.integer({ min: -(2 ** 24), max: 2 ** 24 });
  fc.assert(
    fc.property(fc.array(anyInteger, { minLength: size, maxLength: size }), (integers) => {
      const values = Float32Array.from(integers, (n, i) => n * 2 ** exponents[segments[Math.floor(i / blockSize)]!]!);
      expect([...sumOf([["f32", bytesOf(values)]])]).toEqual(integers.map((n) => n + 0));
    }),
    { numRuns: 30 },
  );
});

test("int8 on a grid of 127 steps round trips exactly", () => {
  const anyInteger = fc.integer({ min: -127, max: 127 });
  const anyBlock = fc.tuple(fc.array(anyInteger, { minLength: 64, maxLength: 64 }), fc.integer({ min: -20, max: 20 }));
  fc.assert(
    fc.property(anyBlock, ([integers, exponent]) => {
      const payload = encodeInt8(Float32Array.from(integers, (n) => n * 2 ** exponent));
      const sum = new Float64Array(64);
      addContribution("int8", payload, Uint32Array.of(0), Int32Array.of(exponent), sum);
      expect([...sum]).toEqual(integers.map((n) => n + 0));
    }),
  );
});

test("int8 errs by at most half of its block's step, and the step is the smallest that holds the peak", () => {
  fc.assert(
    fc.property(fc.array(anyFinite, { minLength: 64, maxLength: 64 }), (numbers) => {
      const values = Float32Array.from(numbers);
      const peak = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      const payload = new Int8Array(encodeInt8(values).buffer);
      const scale = payload[0]!;
      if (peak === 0) {
        expect(payload).toEqual(new Int8Array(65).fill(-128, 0, 1));
        return;
      }
      expect(peak).toBeLessThanOrEqual(127 * 2 ** scale);
      if (scale > -127) expect(peak).toBeGreaterThan(127 * 2 ** (scale - 1));
      values.forEach((x, i) => {
        const q = payload[1 + i]!;
        if (q === -128 || Math.abs(q * 2 ** scale - x) > 2 ** (scale - 1)) expect.fail(`${x} as ${q}·2^${scale}`);
      });
    }),
    { numRuns: 300 },
  );
});

test("int8 rounds ties to even", () => {
  const values = new Float32Array(64);
  values.set([127, 0.5, 1.5, 2.5, -0.5, -1.5]);
  expect([...new Int8Array(encodeInt8(values).buffer, 0, 8)]).toEqual([0, 127, 0, 2, 2, 0, -2, 0]);
});

test("int8 holds the largest and the smallest float32", () => {
  const largest = 2 ** 128 - 2 ** 104;
  const values = new Float32Array(128);
  values[0] = -largest;
  values[64] = 2 ** -149;
  const payload = new Int8Array(encodeInt8(values).buffer);
  expect([...payload.subarray(0, 3)]).toEqual([122, -127, -64]);
  expect(payload[2 + 64]).toBe(0);
});

test("a block marked as zeros adds nothing, whatever its elements say", () => {
  const payload = new Uint8Array(encodedBytes("int8", size)).fill(0x7f);
  payload.fill(0x80, 0, segments.length);
  const sum = new Float64Array(size);
  addContribution("int8", payload, segments, Int32Array.of(-200, -200, -200), sum);
  expect(sum).toEqual(new Float64Array(size));
});

test("any bytes as int8 add integers within the clip", () => {
  const length = encodedBytes("int8", size);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: length, maxLength: length }), (payload) => {
      expect(sumOf([["int8", payload]]).every((x) => Number.isInteger(x) && Math.abs(x) <= clip)).toBe(true);
    }),
  );
});

test("a payload adds the same at every alignment, from a Buffer too, and is not changed", () => {
  fc.assert(
    fc.property(anyCodec, anyArena, fc.nat(7), (codec, values, shift) => {
      const payload = encode(codec, values);
      const buffer = Buffer.alloc(payload.length + shift);
      buffer.set(payload, shift);
      const before = Buffer.from(buffer);
      expect(sumOf([[codec, buffer.subarray(shift)]])).toEqual(sumOf([[codec, payload]]));
      expect(buffer.equals(before)).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test("an f32 that is not finite adds nothing, and the error names tensor, element and value", () => {
  const anyBad = fc.constantFrom(NaN, Infinity, -Infinity);
  fc.assert(
    fc.property(anyArena, fc.nat(size - 1), anyBad, (values, at, bad) => {
      values[at] = bad;
      const sum = new Float64Array(size).fill(7);
      const tensor = segments[Math.floor(at / blockSize)]!;
      const element = at - segments.indexOf(tensor) * blockSize;
      expect(() => addContribution("f32", bytesOf(values), segments, exponents, sum)).toThrow(
        expect.objectContaining({
          code: "GRADIENT_NOT_FINITE",
          message: expect.stringContaining(`element ${element} of tensor ${tensor} is ${bad}`),
        }),
      );
      expect(sum).toEqual(new Float64Array(size).fill(7));
    }),
    { numRuns: 50 },
  );
  expect(() => encodeInt8(new Float32Array(64).fill(NaN, 5))).toThrow(
    expect.objectContaining({ code: "GRADIENT_NOT_FINITE", message: expect.stringMatching(/element 5 .* NaN/) }),
  );
});

test("a payload of another length adds nothing, and the error says both lengths", () => {
  for (const codec of codecs) {
    const expected = encodedBytes(codec, size);
    for (const length of [0, expected - 1, expected + 1]) {
      const sum = new Float64Array(size);
      expect(() => addContribution(codec, new Uint8Array(length), segments, exponents, sum)).toThrow(
        expect.objectContaining({
          code: "CONTRIBUTION_MISMATCH",
          message: expect.stringMatching(new RegExp(`${expected} bytes, got ${length}`)),
        }),
      );
      expect(sum).toEqual(new Float64Array(size));
    }
  }
});

test("encodedBytes is the payload's length", () => {
  expect(codecs.map((codec) => encodedBytes(codec, 128))).toEqual([512, 512, 130]);
  expect(encodeInt8(new Float32Array(192)).length).toBe(encodedBytes("int8", 192));
  for (const broken of [63, -64, 0.5, NaN]) expect(() => encodedBytes("f32", broken)).toThrow(RangeError);
});

test("a layout that does not describe the sum is refused", () => {
  const payload = new Uint8Array(size * 4);
  const sum = new Float64Array(size);
  expect(() => addContribution("f32", payload, Uint32Array.of(0), exponents, sum)).toThrow(RangeError);
  expect(() => addContribution("f32", payload, Uint32Array.of(0, 1, 1, 3), exponents, sum)).toThrow(RangeError);
  expect(() => addContribution("f32", payload, segments, Int32Array.of(0, 600, 0), sum)).toThrow(RangeError);
});
