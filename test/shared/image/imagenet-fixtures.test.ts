// The committed fixtures are whole, and small.
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { fixturePicture, fixtureTensor, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";

test("the archive is under 2 MB and holds every layout, odd file and tensor that it tells of", () => {
  expect(statSync(new URL("../../fixtures/imagenet/fixtures.tar.br", import.meta.url)).size).toBeLessThan(2_000_000);
  const { root, expected } = imagenetFixtures();
  expect(Object.keys(expected.layouts)).toEqual([
    "ilsvrc2012",
    "kaggle",
    "imagefolder",
    "huggingface",
    "huggingface-tar",
    "webdataset",
    "tiny-imagenet-200",
  ]);
  for (const [name, odd] of Object.entries(expected.bad)) expect(fixturePicture(name).length, name).toBe(odd.bytes);
  expect(Object.keys(expected.bad)).toHaveLength(22);
  expect(expected.tensors).toHaveLength(8);
  for (const { file } of expected.tensors) expect(fixtureTensor(file).length).toBe(224 * 224 * 3);
  const file = readFileSync(path.join(root, "cifar-100-binary/test.bin"));
  const pixels = Array.from({ length: 10 }, (_, i) => file.subarray(i * 3074 + 2, (i + 1) * 3074));
  expect(createHash("sha256").update(Buffer.concat(pixels)).digest("hex")).toBe(expected.cifar100.test!.sha256);
});
