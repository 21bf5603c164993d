// What a run needs of volunteers and lines, by arithmetic that a person can do again.

import { expect, test } from "vitest";
import { needsLines } from "../../../coordinator/program/needs-text.ts";
import { readRunConfig } from "../../../coordinator/run/run-config.ts";
import { isWorthTelling, needOf, type RunWork, runWork } from "../../../coordinator/run/run-needs.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phaseProgram } from "../../../shared/run/program.ts";

const MIB = 2 ** 20;

/** 50 volunteers of 20 images/s, of 30 KB each. */
const plain: RunWork = {
  images: 86_400 * 1000,
  evaluated: 0,
  passes: 70,
  steps: 86_400,
  pairs: 1e15,
  passBytes: 38 * 2 ** 30,
  imageBytes: 30_000,
  upBytes: 1_000_000,
  downBytes: 500_000,
  onceBytes: 0,
  mostAtOnce: 64,
};

test("50 volunteers at 20 images/s of 30 KB are 240 Mbit/s out, 5 into each", () => {
  const { imagesPerSecond, sends, takes, crews } = needOf({ ...plain, downBytes: 0 }, 1);
  expect(imagesPerSecond).toBe(1000);
  expect(crews.map(({ volunteers }) => volunteers)).toEqual([200, 50, 10]);
  expect(sends).toBeCloseTo(240e6, -2);
  expect(crews[1].down).toBeCloseTo(4.8e6, -2);
  // A step a second, with an answer of a megabyte from each.
  expect(takes).toBeCloseTo(50 * 8e6, -2);
  expect(crews[1].up).toBeCloseTo(8e6, -2);
});

test("parameters go to whoever has a lease, and no step has leases for more than batch / microbatch", () => {
  const { crews } = needOf(plain, 1);
  expect(crews.map(({ tooMany }) => tooMany)).toEqual([true, false, false]);
  expect(crews[0].volunteers * crews[0].up).toBeCloseTo(64 * 8e6, -2);
  expect(crews[1].down).toBeCloseTo(4.8e6 + 4e6, -2);
});

test("ten times the days want a tenth of the volunteers and of the lines", () => {
  const [one, ten] = [needOf(plain, 1), needOf(plain, 10)];
  expect(ten.imagesPerSecond).toBeCloseTo(one.imagesPerSecond / 10);
  expect(ten.crews[1].volunteers).toBe(5);
  expect(ten.takes).toBeCloseTo(one.takes / 100, -2);
});

async function imageNet(set: readonly string[]) {
  const config = await readRunConfig({ file: "imagenet-resnet18", full: false, set: ["data.store=/s", ...set] });
  const dataset: Dataset = {
    name: "imagenet",
    format: { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 8 },
    shape: { h: 256, w: 256, c: 3 },
    classes: 1000,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    train: { samples: 1_281_167, shards: [{ sha256: "a".repeat(64), samples: 1_281_167, bytes: 1_281_167 * 32_000 }] },
    test: { samples: 50_000, shards: [{ sha256: "b".repeat(64), samples: 50_000, bytes: 50_000 * 50_000 }] },
  };
  const program = phaseProgram(config, dataset.train.samples);
  const networks = buildNetworks(config, { shape: { h: 224, w: 224, c: 3 }, classes: 1000 }, program);
  return runWork({ config, dataset, networks, program });
}

test("ImageNet's run counts its passes, evaluations, steps and bytes", async () => {
  const work = await imageNet(["teacher.file=t.safetensors"]);
  expect(work.images).toBe(140 * 1_281_167 + 70 * 50_000);
  expect(work.steps).toBe(140 * 5005);
  expect(work.passBytes).toBe(1_281_167 * 32_000);
  expect(work.mostAtOnce).toBe(8);
  // 11.7 million parameters in float32; the BN phase has a tenth of them.
  expect(work.upBytes / MIB).toBeGreaterThan(20);
  expect(work.upBytes / MIB).toBeLessThan(50);
  // Signs in bits.
  expect(work.downBytes / MIB).toBeLessThan(12);
  expect(work.onceBytes / MIB).toBeGreaterThan(44);
  const coded = await imageNet(["teacher.file=t.safetensors", "codec=sign"]);
  expect(coded.upBytes).toBeLessThan(work.upBytes / 5);
  // ResNet-18 has 1.8 billion pairs forward at 224: three times that for each image, and the teacher's.
  expect(work.pairs / (70 * 1_281_167)).toBeGreaterThan(2 * 3 * 1.7e9);
  expect(isWorthTelling(work)).toBe(true);
});

test("it is told in a line for each wish, and for the days that were asked", async () => {
  const lines = needsLines(await imageNet(["teacher.file=t.safetensors"]));
  expect(lines.filter((line) => /^ {2}in /.test(line))).toHaveLength(3);
  expect(lines[0]).toMatch(
    /^What it needs: 182,863,380 images through a network \(140 passes, 700,700 steps, 3,500,000 in/,
  );
  expect(lines[2]).toMatch(
    /in a day: 2,116 images\/s, so 424\* of 5, or 106\* of 20, or 22\* of 100; the coordinator sends/,
  );
  expect(lines.at(-1)).toMatch(/a step has 8 leases at most/);
  const [, , only, ...rest] = needsLines(plain, 10);
  expect(only).toMatch(/^ {2}in 10 days: 100 images\/s, so 20 of 5, or 5 of 20, or 1 of 100;/);
  expect(rest).toEqual([]);
});

test("the example needs no plan", async () => {
  const config = await readRunConfig({ full: false, set: [] });
  const shape = { h: 28, w: 28, c: 1 };
  const split = (samples: number) => ({ samples, shards: [{ sha256: "a".repeat(64), samples, bytes: samples * 786 }] });
  const dataset: Dataset = {
    name: "fashion-mnist",
    format: { kind: "raw" },
    shape,
    classes: 10,
    mean: [0.28],
    std: [0.35],
    train: split(20_000),
    test: split(10_000),
  };
  const program = phaseProgram(config, 20_000);
  const work = runWork({ config, dataset, networks: buildNetworks(config, dataset, program), program });
  expect(isWorthTelling(work)).toBe(false);
});
