// Rules of the Rice code: whatever is written is read again, in about as few bits as there is information, and any
// bytes are read or refused.
import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { rng } from "../../../shared/base/rng.ts";
import { RICE_BLOCK, RiceReader, RiceWriter } from "../../../shared/wire/rice.ts";

function written(values: Uint32Array): Uint8Array {
  const writer = new RiceWriter();
  for (let at = 0; at < values.length; at += RICE_BLOCK) {
    const block = values.slice(at, at + RICE_BLOCK);
    writer.block(block, block.length);
  }
  return writer.finish();
}

function read(bytes: Uint8Array, length: number): Uint32Array {
  const reader = new RiceReader(bytes);
  const values = new Uint32Array(length);
  const block = new Uint32Array(RICE_BLOCK);
  for (let at = 0; at < length; at += RICE_BLOCK) {
    const count = Math.min(RICE_BLOCK, length - at);
    reader.block(block, count);
    values.set(block.subarray(0, count), at);
  }
  reader.finish();
  return values;
}

const geometric = (draws: ReturnType<typeof rng>, p: number) =>
  Math.floor(Math.log(1 - draws.uniform()) / Math.log(1 - p));

test.each([
  ["zeros", () => 0],
  ["the largest", () => 0xffff_ffff],
  ["any 32 bits", (draws: ReturnType<typeof rng>) => draws.uint32()],
  [
    "small, with one large now and then",
    (draws: ReturnType<typeof rng>) => (draws.below(50) ? draws.below(3) : draws.uint32()),
  ],
  ["gaps of one in a hundred", (draws: ReturnType<typeof rng>) => geometric(draws, 0.01)],
  ["gaps of one in two", (draws: ReturnType<typeof rng>) => geometric(draws, 0.5)],
] as const)("%s are read as they were written, in blocks and parts of blocks", (name, draw) => {
  for (const length of [0, 1, RICE_BLOCK, RICE_BLOCK + 1, 3000]) {
    const draws = rng(length, name);
    const values = Uint32Array.from({ length }, () => draw(draws));
    expect(read(written(values), length)).toEqual(values);
  }
});

test("numbers of 0 to 32 bits stand between blocks", () => {
  const writer = new RiceWriter();
  const values = Uint32Array.of(5, 0, 7);
  for (let bits = 0; bits <= 32; bits++) {
    writer.put(bits === 0 ? 0 : (0xdead_beef & (2 ** bits - 1)) >>> 0, bits);
    writer.block(values, 3);
  }
  const reader = new RiceReader(writer.finish());
  const block = new Uint32Array(RICE_BLOCK);
  for (let bits = 0; bits <= 32; bits++) {
    expect(reader.take(bits)).toBe(bits === 0 ? 0 : (0xdead_beef & (2 ** bits - 1)) >>> 0);
    reader.block(block, 3);
    expect([...block.subarray(0, 3)]).toEqual([5, 0, 7]);
  }
  reader.finish();
});

test.each([0.001, 0.01, 0.1, 0.3])(
  "gaps between events of probability %d take at most 6 % above their entropy",
  (p) => {
    const draws = rng(2, p);
    const values = Uint32Array.from({ length: 20_000 }, () => geometric(draws, p));
    const entropy = (-(p * Math.log2(p) + (1 - p) * Math.log2(1 - p)) / p) * values.length;
    expect(8 * written(values).length).toBeLessThan(1.06 * entropy);
  },
);

test("a block of zeros takes five bits, and no value more than 52", () => {
  expect(written(new Uint32Array(RICE_BLOCK)).length).toBe(4);
  const worst = Uint32Array.from({ length: RICE_BLOCK }, (_, i) => (i ? 0 : 0xffff_ffff));
  expect(written(worst).length).toBeLessThan((52 * RICE_BLOCK) / 8);
});

test("any bytes are read, or refused with FRAME_CORRUPT", () => {
  const draws = rng(3, "noise");
  let refused = 0;
  for (let i = 0; i < 2000; i++) {
    const bytes = Uint8Array.from({ length: draws.below(64) }, () => draws.uint32() & (i & 1 ? 0xff : 0x11));
    try {
      read(bytes, draws.below(400));
    } catch (error) {
      if (!(error instanceof BitswarmError) || error.code !== "FRAME_CORRUPT") throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(500);
});

test("an end that comes too early or too late is refused with FRAME_CORRUPT", () => {
  const bytes = written(Uint32Array.from({ length: 300 }, (_, i) => i));
  const corrupt = expect.objectContaining({ code: "FRAME_CORRUPT" });
  expect(() => read(bytes.slice(0, -4), 300)).toThrow(corrupt);
  expect(() => read(bytes.slice(0, -1), 300)).toThrow(corrupt);
  expect(() => read(Uint8Array.of(...bytes, 0, 0, 0, 0), 300)).toThrow(corrupt);
});
