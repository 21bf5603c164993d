// Rules of the exported 1-bit network.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageVersion } from "../../../coordinator/base/package-root.ts";
import { readNewestCheckpoint, writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { datasetHash } from "../../../coordinator/checkpoint/checkpoint-manifest.ts";
import { exportFile, exportModel, modelSizes } from "../../../coordinator/checkpoint/export.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { createTrainingState, recordEvaluation } from "../../../coordinator/state/training-state.ts";
import { float32Of, readSafetensors } from "../../../shared/base/safetensors.ts";
import type { ExportedNodeOf } from "../../../shared/export/exported-model.ts";
import { floatsOf, planesOf, readExported } from "../../../shared/export/read-exported.ts";
import { nhwcToNchw } from "../../../shared/model/axes.ts";
import { unpackSignPlanes } from "../../../shared/model/sign-planes.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { everyMethod, tinyMethodConfig } from "../../fixtures/every-method.ts";
import { stateAt, write } from "../../fixtures/tiny-checkpoint.ts";
import { advance, tinyConfig, tinyDataset, tinyState, withFolder } from "../../fixtures/tiny-run.ts";

const extra = { run: "tiny-run", time: "2026-01-01T00:00:00.000Z" };

/** A tiny run, trained for so many steps, with its export. */
async function exported(runDir: string, state = tinyState(), steps = 5, network?: string) {
  const ledger = new Ledger();
  while (state.step < steps) advance(state, ledger);
  recordEvaluation(state, "student", 0.75);
  await writeCheckpoint(runDir, encodeCheckpoint(state, extra.run), state, ledger, extra);
  const out = join(runDir, "model.safetensors");
  const result = await exportModel(runDir, out, { network });
  return { state, out, result, bytes: await readFile(out) };
}

test("it holds signs, C and the full-precision rest, and nothing else", () =>
  withFolder(async (runDir) => {
    const { state, out, result, bytes } = await exported(runDir);
    const { binaryBytes, teacherBytes } = modelSizes(state.config, state.dataset);
    expect(result).toEqual({
      path: out,
      beside: [],
      step: 5,
      title: "1-bit network",
      fileBytes: bytes.length,
      sizes: { bytes: binaryBytes, fullPrecisionBytes: teacherBytes },
      skipped: [],
      notices: [],
    });

    const { tensors } = readSafetensors(bytes);
    const student = [...state.parameters.student].filter(([name]) => !name.startsWith("discriminator"));
    const binary = ["conv2.weight", "conv3.weight"];
    expect([...tensors.keys()]).toEqual(student.map(([name]) => (binary.includes(name) ? `${name}.signs` : name)));
    for (const [name, values] of student) {
      const tensor = tensors.get(binary.includes(name) ? `${name}.signs` : name)!;
      if (binary.includes(name)) {
        expect([tensor.dtype, tensor.shape.at(-1)]).toEqual(["U8", 4]);
        const planes = planesOf(readExported(bytes), `${name}.signs`);
        const signs = unpackSignPlanes(planes, values.length / 2, 2);
        expect(signs).toEqual(values.map((w) => (w < 0 ? -1 : 1)));
      } else if (name === "conv1.weight") {
        expect(tensor.shape).toEqual([2, 1, 5, 5]);
        expect(float32Of(tensor)).toEqual(nhwcToNchw(values, [2, 1, 5, 5]));
      } else {
        expect(float32Of(tensor), name).toEqual(values);
      }
    }
  }));

test("X2 it says where it is from, what it takes and what its classes are", () =>
  withFolder(async (runDir) => {
    const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    const data = { kind: "idx", trainSamples: 7, testSamples: 5, pad: 2, classes: names };
    const { state, bytes } = await exported(runDir, tinyState(tinyConfig({ data })));
    const { network, task, input, classes, classNames, method, model, provenance } = readExported(bytes);
    expect(network).toEqual({ name: "student", title: "1-bit network", precision: "method" });
    expect(task).toEqual({ kind: "classification", labelSmoothing: 0 });
    const side = { h: 28, w: 28 };
    const picture = { resize: side, crop: side, pad: 2, mean: [0.5], std: [0.25] };
    expect(input).toEqual({ name: "image", h: 32, w: 32, c: 1, ...picture });
    expect([classes, classNames]).toEqual([10, names]);
    expect(method).toEqual(state.config.method);
    expect(model).toEqual(state.config.model);
    expect(provenance).toEqual({
      run: "tiny-run",
      title: "tiny",
      step: 5,
      parameterHash: (await readNewestCheckpoint(runDir)).manifest.paramsHash.student,
      bitswarm: packageVersion(),
      dataset: { name: "tiny", sha256: datasetHash(state.dataset), trainSamples: 7, testSamples: 5 },
      score: { name: "accuracy", value: 0.75, step: 5 },
    });
  }));

test("X3 nothing of the operator's machine is in it", () =>
  withFolder(async (runDir) => {
    const secret = "/home/somebody/secret";
    const data = { kind: "idx", trainSamples: 7, testSamples: 5, root: secret };
    const teacher = { file: `${secret}/teacher.safetensors` };
    const config = tinyConfig({ data, teacher, contact: "somebody@example.org" });
    const given = { teacher: tinyState().parameters.teacher! };
    const { bytes } = await exported(runDir, createTrainingState(config, tinyDataset(config), given));
    const text = Buffer.from(bytes).toString("latin1");
    expect(text).toContain("tiny-run");
    expect(text).not.toMatch(/somebody|secret/);
    expect(text).not.toContain(runDir);
  }));

test.each(["teacher", "TEACHER"])("X4 its teacher is exported by the name %s, in full precision", (network) =>
  withFolder(async (runDir) => {
    const { state, bytes, result } = await exported(runDir, tinyState(), 5, network);
    const model = readExported(bytes);
    expect(model.network).toMatchObject({ name: "teacher", precision: "full" });
    expect(result.title).toBe(model.network.title);
    expect(model.method).toEqual({ kind: "full" });
    expect(new Set(model.nodes.map(({ op }) => op))).not.toContain("rbconv");
    expect(model.provenance.score).toBeUndefined();
    const conv = model.nodes.find((node) => node.op === "conv" && node.name === "conv2") as ExportedNodeOf<"conv">;
    const own = state.parameters.teacher.get("conv2.weight")!;
    expect(floatsOf(model, conv.tensors.weight)).toEqual(nhwcToNchw(own, [2, 2, 5, 5]));
  }),
);

test("a network that the run has not is refused, with those that it has", () =>
  withFolder(async (runDir) => {
    await expect(exported(runDir, tinyState(), 5, "tutor")).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(/no network "tutor"; it has .*teacher.*student/),
    });
  }));

const models = [
  { kind: "lenet", widths: [2, 2, 4] },
  { kind: "resnet", widths: [4, 8], blocks: [1, 1] },
  { kind: "resnet", widths: [4, 8], blocks: [1, 1], stem: "imagenet" },
  { kind: "wrn", depth: 22, widths: [4, 4, 4, 8] },
];
const everyModel = everyMethod.flatMap(([title, method]) =>
  models.map((model) => [`${title} in a ${model.kind} ${"stem" in model ? model.stem : ""}`, method, model] as const),
);

test.each(everyModel)(
  "X1 %s is exported and read back, each node with its tensors and no tensor without a node",
  (_, method, model) => {
    // Of 32×32: an ImageNet stem leaves a quarter, which halves.
    const data = { kind: "idx", trainSamples: 7, testSamples: 5, pad: 2 };
    const { config, dataset, networks, parameters, program } = tinyState(tinyMethodConfig(method, { model, data }));
    const of = { ...dataset, trainSamples: 7, testSamples: 5, sha256: datasetHash(dataset) };
    for (const plan of program.networks) {
      const run = { run: extra.run, config, dataset: of, networks, step: 0 };
      const bytes = exportFile(run, { plan, parameters: parameters[plan.name]!, parameterHash: "" });
      const read = readExported(bytes);
      const named = read.nodes.flatMap((node) => Object.values(node.tensors as Readonly<Record<string, string>>));
      expect([...new Set(named)].sort()).toEqual([...read.tensors.keys()].sort());
      const { graph } = networks[plan.name]!;
      expect(read.shapes[read.output]).toEqual(graph.shapes[graph.output]);
      const left = graph.nodes.filter(({ op }) => op === "gradientbits").length;
      expect(read.nodes).toHaveLength(graph.nodes.length - left);
      // Words for all that it has, and for nothing else.
      const words = JSON.parse(readSafetensors(bytes).metadata.howToRead!);
      expect(Object.keys(words.ops).sort()).toEqual([...new Set(read.nodes.map(({ op }) => op))].sort());
    }
  },
);

test("before the 1-bit network's first step there is nothing to export", () =>
  withFolder(async (runDir) => {
    const state = tinyState();
    const ledger = new Ledger();
    for (let i = 0; i < 2; i++) advance(state, ledger);
    await writeCheckpoint(runDir, encodeCheckpoint(state, extra.run), state, ledger, extra);
    await expect(exportModel(runDir, join(runDir, "out"))).rejects.toMatchObject({
      code: "CHECKPOINT_MISSING",
      message: expect.stringContaining("coordinator resume"),
    });
  }));

test("ResNet-18 for ImageNet has the published sizes: 33.5 Mbit against 374.1, 11.16 times", () => {
  const config = parseConfig({
    model: { kind: "resnet", stem: "imagenet", activation: "identity" },
    method: { rectify: "layer" },
  });
  const sizes = modelSizes(config, { shape: { h: 224, w: 224, c: 3 }, classes: 1000 });
  expect((sizes.teacherBytes * 8) / 1e6).toBeCloseTo(374.1, 1);
  expect((sizes.binaryBytes * 8) / 1e6).toBeCloseTo(33.5, 1);
  expect(sizes.teacherBytes / sizes.binaryBytes).toBeCloseTo(11.16, 2);
});

test("X29 a network whose training diverged is not exported, and the message says where and when", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(5);
    const weight = state.parameters.student!.get("conv1.weight")!;
    weight[3] = Number.NaN;
    await write(runDir, state, ledger);
    const out = join(runDir, "model.safetensors");
    await expect(exportModel(runDir, out)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/^conv1.weight of the 1-bit network has NaN at place 3, at step 5: .* diverged/),
    });
    expect(await readdir(runDir)).not.toContain("model.safetensors");
    // What else the run has trained is there.
    await exportModel(runDir, out, { network: "teacher" });
  }));
