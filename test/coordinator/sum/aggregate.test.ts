// Rules of a round's sum.
import fc from "fast-check";
import { expect, test } from "vitest";
import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { RoundSum } from "../../../coordinator/sum/aggregate.ts";
import { codecs } from "../../../shared/codecs/codecs.ts";
import { METRICS } from "../../../shared/wire/contribution.ts";
import { encodeContributionFrame, readPayload } from "../../../shared/wire/contribution-payload.ts";
import { decodeFrame } from "../../../shared/wire/frame.ts";
import { coded } from "../../fixtures/codec-cases.ts";
import { drawContribution, nextLayout, tinyState } from "../../fixtures/tiny-run.ts";

const state = tinyState();
const layout = nextLayout(state);
const exponents = exponentsFor(state, "teacher", layout);
const drawn = Array.from({ length: 5 }, (_, i) => drawContribution(layout, i + 1, i));

function snapshot(sum: RoundSum) {
  const means = sum.samples === 0 ? [] : layout.tensors.map(({ name }) => sum.mean(name));
  return { samples: sum.samples, peaks: sum.peaks, means };
}

test("the order of contributions changes no bit, for any codec", () => {
  for (const codec of codecs.kinds) {
    const bodies = drawn.map(({ body, samples }) => {
      const arena = Float32Array.from(new Int32Array(body.slice().buffer), (x) => x / 3e5);
      return coded(codec, arena, samples, layout, exponents).body;
    });
    const summed = (order: readonly number[]) => {
      const sum = new RoundSum(layout, exponents, codec);
      for (const i of order) sum.add(drawn[i].samples, drawn[i].peaks, bodies[i]);
      return snapshot(sum);
    };
    const expected = summed([0, 1, 2, 3, 4]);
    const orders = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 });
    fc.assert(
      fc.property(orders, (order) => {
        expect(summed(order)).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  }
});

test("means are the integers' sum times the unit over the samples, peaks the largest of all", () => {
  const sum = new RoundSum(layout, exponents, "exact");
  for (const { samples, peaks, body } of drawn) sum.add(samples, peaks, body);
  expect(sum.samples).toBe(15);
  layout.tensors.forEach(({ name, offset, size }, index) => {
    const mean = sum.mean(name);
    expect(mean.length).toBe(size);
    for (let i = 0; i < size; i += 97) {
      const units = drawn.reduce(
        (total, { body }) => total + new DataView(body.buffer).getInt32(4 * (offset + i), true),
        0,
      );
      expect(mean[i]).toBe((units * 2 ** exponents[index]) / 15);
    }
    const peaks = drawn.map((c) => new Float32Array(c.peaks.slice().buffer)[index]);
    expect(sum.peaks[index]).toBe(Math.max(...peaks));
  });
  expect(Object.keys(sum.metrics())).toEqual(["task", "top1", "top5", "discriminator", "adversarial"]);
  expect(Object.values(sum.metrics())).toEqual([...sum.mean(METRICS)]);
});

test("a contribution that is refused leaves the sum as it was", () => {
  const [first, second] = drawn;
  const sum = new RoundSum(layout, exponents, "f32");
  const values = new Float32Array(layout.size).fill(0.5);
  sum.add(first.samples, first.peaks, new Uint8Array(values.buffer));
  const before = snapshot(sum);
  const nan = values.slice();
  nan[layout.tensors[1].offset] = NaN;
  const infinitePeak = second.peaks.slice();
  infinitePeak[2] = 0x7f800000;
  const negativePeak = second.peaks.slice();
  negativePeak[2] = 0x80000001;
  const body = new Uint8Array(values.buffer);
  const refused = [
    { add: () => sum.add(2, second.peaks, new Uint8Array(nan.buffer)), code: "GRADIENT_NOT_FINITE" },
    { add: () => sum.add(2, infinitePeak, body), code: "GRADIENT_NOT_FINITE" },
    { add: () => sum.add(2, negativePeak, body), code: "GRADIENT_NOT_FINITE" },
    { add: () => sum.add(2, second.peaks.subarray(1), body), code: "CONTRIBUTION_MISMATCH" },
    { add: () => sum.add(2, second.peaks, body.subarray(4)), code: "CONTRIBUTION_MISMATCH" },
    { add: () => sum.add(0, second.peaks, body), code: "CONTRIBUTION_MISMATCH" },
  ];
  for (const { add, code } of refused) {
    expect(add).toThrow(expect.objectContaining({ code }));
    expect(snapshot(sum)).toEqual(before);
  }
  expect(refused[1].add).toThrow(layout.tensors[2].name);
});

test("there is no mean of no samples, nor of a tensor that the round does not have", () => {
  const sum = new RoundSum(layout, exponents, "exact");
  expect(() => sum.metrics()).toThrow(RangeError);
  sum.add(1, drawn[0].peaks, drawn[0].body);
  expect(() => sum.mean("no.such")).toThrow(RangeError);
  expect(() => new RoundSum(layout, [0], "exact")).toThrow(RangeError);
});

function frameOf(samples: number, peaks: Uint32Array, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = { kind: "contribution", codec: "exact", round: 1, lease: 1, samples, tensors: peaks.length } as const;
  const named = { ...header, run: "0".repeat(32), parametersHash: "0".repeat(64) };
  return encodeContributionFrame(named, { peaks, checksum: 7, body });
}

test("a frame is read where it is summed, and counts as its parts do", () => {
  const { samples, peaks, body } = drawn[0];
  const expected = new RoundSum(layout, exponents, "exact");
  expected.add(samples, peaks, body);
  const sum = new RoundSum(layout, exponents, "exact");
  const bytes = frameOf(samples, peaks, body);
  const { header, payload } = sum.decode(bytes, bytes.length);
  expect(header).toEqual(decodeFrame(bytes, bytes.length).header);
  expect(payload.buffer).toBeInstanceOf(SharedArrayBuffer);
  // What comes after the CRC works on the bytes that were checked, not on the caller's.
  bytes.fill(0xff);
  sum.add(samples, peaks, readPayload(payload, peaks.length).body);
  expect(snapshot(sum)).toEqual(snapshot(expected));
});

test("a frame that is damaged anywhere is refused as it is elsewhere, as is one too long for the round", () => {
  const { samples, peaks, body } = drawn[0];
  const sum = new RoundSum(layout, exponents, "exact");
  const bytes = frameOf(samples, peaks, body);
  const limit = 4 * bytes.length;
  const message = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      return String(error);
    }
    return "none";
  };
  for (const at of [0, 5, 21, 79, 80, 80 + peaks.byteLength, bytes.length >> 1, bytes.length - 1]) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] ^= 16;
    expect(message(() => sum.decode(damaged, limit))).not.toBe("none");
    expect(message(() => sum.decode(damaged, limit))).toBe(message(() => decodeFrame(damaged, limit)));
  }
  const long = frameOf(samples, peaks, new Uint8Array(2 * body.length));
  expect(sum.decode(long, limit).payload.length).toBe(peaks.byteLength + 4 + 2 * body.length);
  expect(() => sum.decode(long, 1000)).toThrow(expect.objectContaining({ code: "FRAME_TOO_LARGE" }));
  expect(sum.samples).toBe(0);
});

test("a checked contribution whose place another has taken cannot be added any more", () => {
  const sum = new RoundSum(layout, exponents, "exact");
  const [first, second] = drawn;
  const checked = sum.check(first.samples, first.peaks, first.body);
  sum.decode(frameOf(second.samples, second.peaks, second.body), 1 << 20);
  expect(() => checked.commit()).toThrow(RangeError);
  expect(sum.samples).toBe(0);
});
