// The run files that come with the program: each is whole, and its networks fit the data that it is for.

import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readRunConfig } from "../../../coordinator/run/run-config.ts";
import { shippedRun, shippedRuns } from "../../../coordinator/run/shipped-runs.ts";
import { criticsOf } from "../../../shared/model/graph.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phaseProgram } from "../../../shared/run/program.ts";

const imageNet = { shape: { h: 224, w: 224, c: 3 }, classes: 1000, train: 1_281_167 };
const cifar = { shape: { h: 32, w: 32, c: 3 }, classes: 100, train: 50_000 };
const folder = { shape: { h: 96, w: 96, c: 3 }, classes: 4, train: 400 };

/** What each is for, with what METHOD says of it. */
const expected = {
  "cifar100-resnet18-32-32-64-128.yaml": { data: cifar, widths: [32, 32, 64, 128], maps: 16, epochs: 200, batch: 128 },
  "cifar100-resnet18-32-64-128-256.yaml": {
    data: cifar,
    widths: [32, 64, 128, 256],
    maps: 16,
    epochs: 200,
    batch: 128,
  },
  "cifar100-resnet18-64-64-128-256.yaml": {
    data: cifar,
    widths: [64, 64, 128, 256],
    maps: 16,
    epochs: 200,
    batch: 128,
  },
  "cifar100-wrn22.yaml": { data: cifar, widths: "64-64-128-256", maps: 18, epochs: 200, batch: 128 },
  "cifar100-wrn40.yaml": { data: cifar, widths: "64-64-128-256", maps: 36, epochs: 200, batch: 128 },
  "imagefolder-small.yaml": { data: folder, widths: [16, 32, 64, 128], maps: 16, epochs: 20, batch: 32 },
  "imagenet-resnet18.yaml": { data: imageNet, widths: [64, 128, 256, 512], maps: 16, epochs: 70, batch: 256 },
  "imagenet-resnet34.yaml": { data: imageNet, widths: [64, 128, 256, 512], maps: 32, epochs: 70, batch: 256 },
} as const;

/** Those of trackers, whose data are pairs out of films. */
const trackers = {
  "got10k-siamfc.yaml": { widths: [96, 256, 384, 384, 256] },
  "tracking-small.yaml": { widths: [16, 32, 48, 48, 32] },
} as const;

test("every shipped run is known here, and says in a line what it is", () => {
  expect(shippedRuns().map(({ file }) => file)).toEqual(
    [...Object.keys(expected), ...Object.keys(trackers), "example.yaml"].sort(),
  );
  for (const { about } of shippedRuns()) expect(about).toMatch(/^[A-Z0-9].{10,80}$/);
});

test.each(Object.entries(expected))("%s is whole but for its store, and builds its networks", async (file, wanted) => {
  const config = await readRunConfig({ file, full: false, set: ["data.store=/data/store"] });
  expect(config).toMatchObject({
    name: file.replace(/\.yaml$/, ""),
    data: { kind: "store", store: "/data/store", trainSamples: 2 ** 31 - 1, testSamples: 2 ** 31 - 1 },
    model: { widths: wanted.widths },
    epochs: wanted.epochs,
    batch: wanted.batch,
    method: { kind: "rbcn", ablation: "R+G+B" },
  });
  const { shape, classes, train } = wanted.data;
  const program = phaseProgram(config, train);
  const { student, teacher } = buildNetworks(config, { shape, classes }, program);
  expect(student.graph.maps).toHaveLength(wanted.maps);
  expect(teacher.graph.maps.map(({ name }) => name)).toEqual(student.graph.maps.map(({ name }) => name));
  expect(teacher.graph.shapes[teacher.graph.output].c).toBe(classes);
});

test.each(Object.entries(trackers))(
  "%s is whole but for its store, and has the maps of a tracker",
  async (file, wanted) => {
    const config = await readRunConfig({ file, full: false, set: ["data.store=/data/store"] });
    expect(config).toMatchObject({ name: file.replace(/\.yaml$/, ""), model: { widths: wanted.widths } });
    const program = phaseProgram(config, 9335);
    const { student, teacher } = buildNetworks(config, { shape: { h: 255, w: 255, c: 3 }, classes: 0 }, program);
    for (const { graph } of [student, teacher]) {
      expect(graph.shapes[graph.output]).toEqual({ h: 15, w: 15, c: 1 });
      expect(criticsOf(graph).map(({ name, maps }) => [name, maps.length])).toEqual([
        ["conv2", 2],
        ["conv3", 2],
        ["conv4", 2],
      ]);
    }
  },
);

test("a teacher's file takes the place of its training", async () => {
  const set = ["data.store=/data/store", "teacher.file=/data/resnet34.safetensors"];
  const config = await readRunConfig({ file: "imagenet-resnet34.yaml", full: false, set });
  const { passes } = phaseProgram(config, imageNet.train);
  expect(passes.map(({ phase }) => phase)).not.toContain("teacher");
  expect(passes).toHaveLength(140);
});

test("a shipped run is found by its name, unless the folder has a file of it, and a slip is told", async () => {
  expect(shippedRun("imagenet-resnet18")).toEqual(shippedRun("imagenet-resnet18.yaml"));
  const own = await mkdtemp(join(tmpdir(), "bitswarm-shipped-"));
  await writeFile(join(own, "imagenet-resnet18.yaml"), "name: mine\n");
  const from = async (file: string) => (await readRunConfig({ file, full: false, set: [] })).name;
  expect(await from(join(own, "imagenet-resnet18.yaml"))).toBe("mine");
  expect(await from("imagenet-resnet18")).toBe("imagenet-resnet18");
  await expect(from("imagenet-resnet-18.yaml")).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(/cannot be read: .*; did you mean imagenet-resnet18\.yaml\?/),
  });
});
