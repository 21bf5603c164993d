// Rules of the replica: both sides move alike, half a step is the most that is missing, and nothing adds up.
import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import type { Manifest } from "../../../shared/model/manifest.ts";
import { blobLayout, encodeBlob } from "../../../shared/wire/parameter-blob.ts";
import { advanceReplica, followReplica } from "../../../shared/wire/replica.ts";
import { RiceReader, RiceWriter } from "../../../shared/wire/rice.ts";

const sizes = { weight: 1000, bias: 3 } as const;
const manifest: Manifest = {
  entries: Object.entries(sizes).map(([name, size]) => ({
    name,
    role: "critic",
    shape: [size],
    initial: { kind: "constant", value: 0 },
    layer: "discriminator",
  })),
};
const layout = blobLayout(manifest);

function drawn(seed: number, scale: number): Map<string, Float32Array> {
  const draws = rng(seed, "replica");
  return new Map(
    Object.entries(sizes).map(([name, size]) => [
      name,
      Float32Array.from({ length: size }, () => scale * draws.normal()),
    ]),
  );
}

function advance(replica: Map<string, Float32Array>, target: Map<string, Float32Array>): Uint8Array {
  const writer = new RiceWriter();
  for (const [name, values] of replica) advanceReplica(writer, name, values, target.get(name)!);
  return writer.finish();
}

test("a worker that follows holds the coordinator's replica to the bit, step after step", () => {
  const replica = drawn(0, 0.1);
  const blob = encodeBlob(manifest, layout, replica);
  const target = drawn(0, 0.1);
  for (let step = 1; step < 50; step++) {
    const moves = drawn(step, 10 ** -(step % 9));
    for (const [name, values] of target)
      values.forEach((_, i) => {
        values[i] += moves.get(name)![i];
      });
    const reader = new RiceReader(advance(replica, target));
    followReplica(reader, layout, blob);
    reader.finish();
    expect(blob).toEqual(encodeBlob(manifest, layout, replica));
  }
});

test("what is missing is at most half a step of the block's scale, however many steps there were", () => {
  const replica = drawn(0, 0.1);
  const target = drawn(0, 0.1);
  for (let step = 1; step <= 200; step++) {
    const moves = drawn(step, 2e-4);
    for (const [name, values] of target)
      values.forEach((_, i) => {
        values[i] += moves.get(name)![i];
      });
    advance(replica, target);
  }
  let worst = 0;
  for (const [name, values] of target) {
    values.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - replica.get(name)![i]));
    });
  }
  // Moves of five deviations in 127 steps would be 8e-6 each; the float32 of 0.5 adds 3e-8.
  expect(worst).toBeGreaterThan(0);
  expect(worst).toBeLessThan(1e-5);
});

test.each([0, 1e-45, 1e-38, 127, 127.0001, 3e38])(
  "a distance of %d takes at most 127 steps of its scale",
  (distance) => {
    const replica = new Map([
      ["weight", new Float32Array(sizes.weight)],
      ["bias", new Float32Array(3)],
    ]);
    const target = new Map([
      ["weight", new Float32Array(sizes.weight).fill(distance)],
      ["bias", Float32Array.of(-distance, 0, distance)],
    ]);
    const blob = encodeBlob(manifest, layout, replica);
    followReplica(new RiceReader(advance(replica, target)), layout, blob);
    expect(blob).toEqual(encodeBlob(manifest, layout, replica));
    const value = Math.fround(distance);
    expect(Math.abs(replica.get("weight")![0] - value)).toBeLessThanOrEqual(Math.max(value / 127, 2 ** -128));
    expect(replica.get("bias")![0]).toBe(-replica.get("bias")![2] + 0);
  },
);

test("a value that is not finite is refused with GRADIENT_NOT_FINITE", () => {
  const target = drawn(1, 1);
  target.get("bias")![1] = Number.NaN;
  expect(() => advance(drawn(0, 1), target)).toThrow(expect.objectContaining({ code: "GRADIENT_NOT_FINITE" }));
});
