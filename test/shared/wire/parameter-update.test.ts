// Rules D of SPEC.md on the bytes: what travels is expanded to what was meant, or refused.
import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { rng } from "../../../shared/base/rng.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../../shared/wire/parameter-blob.ts";
import { type FloatEncoding, type WireForm, wireForm } from "../../../shared/wire/parameter-set.ts";
import {
  decodeChange,
  decodeWhole,
  encodeChange,
  encodeWhole,
  roundFloats,
  wholeBytes,
} from "../../../shared/wire/parameter-update.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";

const { student } = buildNetworks(tinyConfig(), tinyDataset(tinyConfig()));
const layout = blobLayout(student.manifest);

function parameters(seed: number): Map<string, Float32Array> {
  const draws = rng(seed, "parameters");
  return new Map(
    student.manifest.entries.map(({ name, shape }) => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => draws.normal()),
    ]),
  );
}

/** Each value moves by at most `share` of itself, and one in twenty changes its sign. */
function moved(from: Parameters, seed: number, share: number): Map<string, Float32Array> {
  const draws = rng(seed, "moves");
  const move = (value: number) => value * (1 + share * (draws.uniform() - 0.5)) * (draws.below(20) ? 1 : -1);
  return new Map([...from].map(([name, values]) => [name, values.map(move)]));
}

function blobOf(form: WireForm, values: Parameters): Uint8Array<ArrayBuffer> {
  const blob = encodeBlob(student.manifest, layout, values);
  roundFloats(form, blob);
  return blob;
}

const encodings: readonly FloatEncoding[] = ["f32", "f16"];

test.each(encodings)(
  "D1 whole parameters with a tail of %s are expanded to the blob that they were packed from",
  (floats) => {
    const form = { layout, floats };
    const blob = blobOf(form, parameters(1));
    const packed = encodeWhole(form, blob);
    expect(packed.length).toBe(wholeBytes(form));
    expect(decodeWhole(form, packed)).toEqual(blob);
  },
);

test.each(encodings)(
  "D1 a change with a tail of %s makes the next blob of the last, for small steps and large",
  (floats) => {
    const form = { layout, floats };
    const before = parameters(1);
    for (const share of [0, 1e-6, 1e-3, 1, 1e6]) {
      const [base, next] = [blobOf(form, before), blobOf(form, moved(before, 2, share))];
      const kept = base.slice();
      expect(decodeChange(form, base, encodeChange(form, base, next))).toEqual(next);
      expect(base).toEqual(kept);
    }
  },
);

test.each(encodings)(
  "D1 zeros of both signs, infinities and the smallest numbers survive a change with a tail of %s",
  (floats) => {
    const form = { layout, floats };
    const edges = [0, -0, Infinity, -Infinity, 2 ** -149, -(2 ** -126), 3.4e38, -65504, Number.NaN];
    const at = (offset: number) =>
      new Map(
        [...parameters(1)].map(([name, values]) => [name, values.map((_, i) => edges[(i + offset) % edges.length])]),
      );
    for (let offset = 0; offset < edges.length; offset++) {
      const [base, next] = [blobOf(form, at(0)), blobOf(form, at(offset))];
      expect(decodeChange(form, base, encodeChange(form, base, next))).toEqual(next);
    }
  },
);

test.each(encodings)(
  "nothing changed takes a few bits a tensor with a tail of %s, and a step less than the whole",
  (floats) => {
    const form = { layout, floats };
    const blob = blobOf(form, parameters(1));
    expect(encodeChange(form, blob, blob).length).toBeLessThan(40);
    const step = encodeChange(form, blob, blobOf(form, moved(parameters(1), 3, 1e-3)));
    expect(step.length).toBeLessThan(wholeBytes(form));
  },
);

test("an f16 tail takes half the bytes of an f32 one, signs take one bit either way", () => {
  const signs = [...layout.tensors.values()].filter(({ encoding }) => encoding === "signs");
  const signBytes = signs.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(wholeBytes({ layout, floats: "f16" }) - signBytes).toBe(
    (wholeBytes({ layout, floats: "f32" }) - signBytes) / 2,
  );
  expect(wholeBytes({ layout, floats: "int8" })).toBe(wholeBytes({ layout, floats: "f32" }));
});

test("whole parameters of another length are refused with FRAME_CORRUPT", () => {
  const form: WireForm = { layout, floats: "f32" };
  for (const bytes of [0, wholeBytes(form) - 1, wholeBytes(form) + 1]) {
    expect(() => decodeWhole(form, new Uint8Array(bytes))).toThrow(expect.objectContaining({ code: "FRAME_CORRUPT" }));
  }
});

test.each(["f32", "f16", "int8"] as const)(
  "D2 any bytes taken for a change with a tail of %s make a blob of the same size, or FRAME_CORRUPT",
  (floats) => {
    const form = { layout, floats };
    const base = blobOf({ layout, floats: floats === "int8" ? "f32" : floats }, parameters(1));
    const honest = encodeChange(
      { layout, floats: "f32" },
      base,
      blobOf({ layout, floats: "f32" }, moved(parameters(1), 4, 0.01)),
    );
    const draws = rng(5, "noise", floats);
    for (let i = 0; i < 1000; i++) {
      const bytes =
        i & 1 ? Uint8Array.from({ length: draws.below(4000) }, () => draws.uint32() & 0xff) : honest.slice();
      for (let flips = 0; flips < 4 && bytes.length > 0; flips++)
        bytes[draws.below(bytes.length)] ^= 1 << draws.below(8);
      try {
        expect(decodeChange(form, base, bytes).length).toBe(base.length);
      } catch (error) {
        if (!(error instanceof BitswarmError) || error.code !== "FRAME_CORRUPT") throw error;
      }
    }
  },
);

test("D4 a newcomer to ResNet-18 at ImageNet's widths gets at most 2.8 MiB with an f16 tail", () => {
  const config = tinyConfig({
    model: { kind: "resnet", widths: [64, 128, 256, 512], blocks: [2, 2, 2, 2], stem: "imagenet" },
    downlink: { tail: "f16" },
  });
  const networks = buildNetworks(config, { shape: { h: 224, w: 224, c: 3 }, classes: 1000 });
  const bytes = wholeBytes(wireForm(networks, config, "student"));
  expect(bytes).toBeLessThanOrEqual(2.8 * 2 ** 20);
  // 11 M weights of 16 binary convolutions alone are 1.31 MiB.
  expect(bytes).toBeGreaterThan(1_372_000);
});
