// Where the bits are, as the demo shows it, is what stands in the file.

import { expect, test } from "vitest";
import { bytesText } from "../../../shared/base/bytes-text.ts";
import { denseWeight } from "../../../shared/export/dense-weight.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { countBits, layersOfBits, signPicture } from "../../../worker/demo/bits.ts";
import { bitsText, pictureText } from "../../../worker/demo/words.ts";
import { tinyExport } from "../../fixtures/tiny-export.ts";

test("a layer's picture has a light pixel for each weight above zero, and a dark one for each below", () => {
  const model = readExported(tinyExport({ kind: "bnn" }));
  const [layer] = layersOfBits(model);
  const picture = signPicture(model, layer);
  const node = model.nodes.find((one) => one.op === "rbconv" && one.name === layer.name);
  if (node?.op !== "rbconv") throw new Error("a BNN has layers of bits");
  const weight = denseWeight(model, node);
  const { out, channels, kernel } = layer;
  expect(picture).toMatchObject({
    filters: out,
    channels,
    width: out * (kernel + 1) - 1,
    height: channels * (kernel + 1) - 1,
  });
  const found = Array.from(weight, (_, i) => {
    const [x, y] = [i % kernel, Math.floor(i / kernel) % kernel];
    const [channel, filter] = [Math.floor(i / kernel ** 2) % channels, Math.floor(i / (kernel ** 2 * channels))];
    return picture.pixels[(channel * (kernel + 1) + y) * picture.width + filter * (kernel + 1) + x];
  });
  expect(new Set(found)).toEqual(new Set([0, 1]));
  expect(found).toEqual(Array.from(weight, (value) => (value > 0 ? 1 : 0)));
  const between = picture.pixels.filter((kind) => kind === 2).length;
  expect(between).toBe(picture.width * picture.height - weight.length);
});

test.each([
  [{ kind: "rbcn" }, 1],
  [{ kind: "abc", weightBases: 3 }, 3],
] as const)("bits are counted without what fills a word: %j has %i a weight", (method, planes) => {
  const model = readExported(tinyExport(method));
  const layers = layersOfBits(model);
  const { bits, floats, statistics } = countBits(model);
  expect(layers.every((layer) => layer.planes === planes)).toBe(true);
  expect(bits).toBe(layers.reduce((sum, { out, channels, kernel }) => sum + out * channels * kernel ** 2 * planes, 0));
  const bytes = [...model.tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  expect(4 * (floats + statistics)).toBeLessThan(bytes);
  // The account is that of the size which the page shows above it.
  expect(Math.ceil(bits / 8) + 4 * floats).toBe(model.sizes.bytes);
  const text = bitsText({ bits, floats, statistics });
  expect(text).toContain(`${bits} weights`);
  expect(text).toContain(`Together that is ${bytesText(model.sizes.bytes)}.`);
  expect(text).toContain(`Not counted are the ${statistics} running means and variances`);
});

test("a network without bits has no picture, and says so", () => {
  const model = readExported(tinyExport({ kind: "rbcn" }, {}, "teacher"));
  expect(layersOfBits(model)).toEqual([]);
  const count = countBits(model);
  expect(4 * count.floats).toBe(model.sizes.bytes);
  expect(bitsText({ ...count, statistics: 0 })).toMatch(
    /^All [\d,]+ numbers of this network have 32 bits each: [\d.]+ KiB\.$/,
  );
});

test("a picture of a part says of what", () => {
  const layer = { name: "conv2", out: 64, channels: 128, kernel: 3, planes: 1, tensor: "t" };
  const shown = { width: 1, height: 1, pixels: new Uint8Array(1), filters: 32, channels: 16 };
  expect(pictureText(layer, shown)).toContain(
    "64 filters, a row for each of 128 channels that it looks at, of which 32 and 16 are shown",
  );
});
