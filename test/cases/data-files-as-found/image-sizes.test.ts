// Images of a size that a network cannot take: the message says which it takes, and what else there is.

import { expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";

const build = (h: number, w: number, model: Record<string, unknown> = {}, pad = 0) =>
  buildNetworks(parseConfig({ model, data: { pad } }), { shape: { h, w, c: 1 }, classes: 10 });

test("24×40 images with the default LeNet: it says what it takes, and what takes them", () => {
  expect(() => build(24, 40)).toThrow(
    "model.kind lenet takes square images of 16×16 or more, data.pad included; 24×40 is not square. Crop or pad the images, or set model.kind=resnet or model.kind=wrn, which take any shape",
  );
  expect(() => build(24, 40, { kind: "resnet" })).not.toThrow();
  expect(() => build(24, 40, { kind: "wrn" })).not.toThrow();
});

test("the least size that LeNet names is the least that it takes", () => {
  expect(() => build(15, 15)).toThrow(/16×16 or more, .*; 15×15 is too small/);
  expect(() => build(1, 1)).toThrow(/1×1 is too small/);
  expect(() => build(16, 16)).not.toThrow();
  expect(() => build(12, 12, {}, 2)).not.toThrow();
});

test("what a residual network cannot halve is named, with the padding that helps, and it does", () => {
  expect(() => build(28, 28, { kind: "resnet" })).toThrow(
    "each of 4 stages but the first halves its map, and 28×28 images come to 28, 14, 7 rows, which cannot be halved. Raise data.pad by 2, for 32×32",
  );
  expect(() => build(28, 28, { kind: "resnet" }, 2)).not.toThrow();
  expect(() => build(200, 200, { kind: "resnet", stem: "imagenet" })).toThrow(/Raise data\.pad by \d+/);
  expect(() => build(3, 3, { kind: "wrn" })).toThrow(/cannot be halved. Crop or pad the images/);
});

test("every size up to 40 is either taken, or refused by that message", () => {
  for (const kind of ["lenet", "resnet", "wrn"]) {
    for (let h = 1; h <= 40; h += 3) {
      for (let w = 1; w <= 40; w += 2) {
        try {
          build(h, w, { kind });
        } catch (error) {
          expect(error).toMatchObject({
            code: "GRAPH_INVALID",
            message: expect.stringMatching(/takes square images of|cannot be halved/),
          });
        }
      }
    }
  }
});
