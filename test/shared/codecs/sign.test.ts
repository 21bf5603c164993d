// Rules of signs with error feedback: nothing is lost but what the clip takes, and what is owed stays bounded.
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeSigns, residualBound } from "../../../shared/codecs/sign.ts";

const elements = 24;
const anyGradient = fc
  .array(fc.float({ noNaN: true, min: -1, max: 1 }), { minLength: elements, maxLength: elements })
  .map((values) => Float32Array.from(values));
const anyLease = fc.record({ gradient: anyGradient, samples: fc.integer({ min: 1, max: 64 }) });
const anyExponent = fc.integer({ min: -8, max: 2 });

function signs(bits: Uint8Array): number[] {
  return Array.from({ length: elements }, (_, i) => (bits[i >> 3]! & (1 << (i & 7)) ? -1 : 1));
}

function squares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}

/** One lease of a mean gradient: what its signs say, in sums over its samples. */
function send(mean: Float32Array, residual: Float32Array, samples: number, exponent: number) {
  const bits = new Uint8Array(elements / 8);
  const gradient = mean.map((g) => g * samples);
  const reported = encodeSigns(gradient, residual, samples, exponent, bits);
  return { mean: reported, gradient, said: signs(bits).map((sign) => sign * samples * 2 ** exponent) };
}

test("what was said and what is owed add up to the gradients, save for the clip", () => {
  fc.assert(
    fc.property(anyLease, anyGradient, anyExponent, ({ gradient: g, samples }, before, exponent) => {
      const residual = before.slice();
      const { gradient, said, mean } = send(g, residual, samples, exponent);
      const bound = residualBound * samples * Math.max(2 ** exponent, mean);
      gradient.forEach((value, i) => {
        const c = value + before[i]!;
        const left = Math.min(bound, Math.max(-bound, c - said[i]!));
        expect(Math.abs(residual[i]! - left)).toBeLessThanOrEqual(1e-5 * (Math.abs(c) + Math.abs(said[i]!)));
      });
    }),
  );
});

test("the residual stays within its bound over any number of leases of any size", () => {
  fc.assert(
    fc.property(fc.array(anyLease, { minLength: 1, maxLength: 30 }), anyExponent, (leases, exponent) => {
      const residual = new Float32Array(elements);
      for (const { gradient, samples } of leases) {
        const { mean } = send(gradient, residual, samples, exponent);
        const bound = residualBound * samples * Math.max(2 ** exponent, mean);
        for (const e of residual) if (Math.abs(e) > bound * (1 + 1e-6)) expect.fail(`${e} above ${bound}`);
      }
    }),
  );
});

test("a gradient no larger than the scale is followed: after T leases the mean of what was said is within scale/T", () => {
  fc.assert(
    fc.property(anyGradient, fc.integer({ min: 1, max: 100 }), (gradient, leases) => {
      const residual = new Float32Array(elements);
      const total = new Float64Array(elements);
      for (let lease = 0; lease < leases; lease++) {
        send(gradient, residual, 1, 0).said.forEach((value, i) => {
          total[i] += value;
        });
      }
      // |e| ≤ 1 in units of the scale: it contracts whatever comes within ±1.
      for (const e of residual) if (Math.abs(e) > 1 + 1e-4) expect.fail(`residual ${e}`);
      total.forEach((sum, i) => {
        if (Math.abs(sum / leases - gradient[i]!) > 1.001 / leases) expect.fail(`${sum / leases} for ${gradient[i]}`);
      });
    }),
  );
});

test("a step of error feedback never leaves more than the plain signs do when the scale is the mean", () => {
  // ‖c − m·sign(c)‖² = ‖c‖² − n·m² for m = mean|c|: the contraction that the method's proof rests on.
  fc.assert(
    fc.property(anyGradient, (gradient) => {
      const residual = new Float32Array(elements);
      const mean = gradient.reduce((sum, g) => sum + Math.abs(g), 0) / elements;
      fc.pre(mean > 1e-3);
      const exponent = Math.round(Math.log2(mean));
      send(gradient, residual, 1, exponent);
      // The scale is a power of two within √2 of the mean: 2^s·(2·mean − 2^s) ≥ mean²·(2√2 − 2) of it goes.
      expect(squares(residual)).toBeLessThanOrEqual(
        squares(gradient) - elements * mean ** 2 * (2 * Math.SQRT2 - 2) + 1e-4,
      );
    }),
  );
});

test("what is reported is the mean magnitude a sample", () => {
  const gradient = new Float32Array(elements).fill(6).fill(-2, 12);
  const residual = new Float32Array(elements);
  expect(encodeSigns(gradient, residual, 4, -1, new Uint8Array(3))).toBe(1);
  expect(squares(residual)).toBe(12 * 16);
});

test("0 counts as positive, and a gradient that is not finite changes nothing", () => {
  const bits = new Uint8Array(3);
  encodeSigns(new Float32Array(elements).fill(-0, 3), new Float32Array(elements), 1, 0, bits);
  expect([...bits]).toEqual([0, 0, 0]);
  const residual = new Float32Array(elements).fill(2);
  for (const bad of [NaN, Infinity, -Infinity]) {
    expect(() => encodeSigns(new Float32Array(elements).fill(bad, 7, 8), residual, 1, 0, bits)).toThrow(
      expect.objectContaining({ code: "GRADIENT_NOT_FINITE", message: expect.stringMatching(/element 7 /) }),
    );
  }
  expect([...residual, ...bits]).toEqual([...new Float32Array(elements).fill(2), 0, 0, 0]);
});
