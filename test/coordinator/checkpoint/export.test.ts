// Rules of the exported 1-bit network.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { exportModel, modelSizes } from "../../../coordinator/checkpoint/export.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { recordEvaluation } from "../../../coordinator/state/training-state.ts";
import { float32Of, int32Of, readSafetensors } from "../../../shared/base/safetensors.ts";
import { nhwcToNchw } from "../../../shared/model/axes.ts";
import { unpackSignPlanes } from "../../../shared/model/sign-planes.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { advance, tinyState, withFolder } from "../../fixtures/tiny-run.ts";

const extra = { run: "tiny-run", time: "2026-01-01T00:00:00.000Z" };

test("it holds signs, C and the full-precision rest, and nothing else", () =>
  withFolder(async (runDir) => {
    const state = tinyState();
    const ledger = new Ledger();
    for (let i = 0; i < 5; i++) advance(state, ledger);
    recordEvaluation(state, "student", 0.75);
    await writeCheckpoint(runDir, encodeCheckpoint(state, extra.run), state, ledger, extra);
    const out = join(runDir, "model.safetensors");
    const result = await exportModel(runDir, out);
    const bytes = await readFile(out);
    expect(result).toEqual({
      path: out,
      step: 5,
      fileBytes: bytes.length,
      sizes: modelSizes(state.config, state.dataset),
      skipped: [],
    });

    const { tensors, metadata } = readSafetensors(bytes);
    const student = [...state.parameters.student].filter(([name]) => !name.startsWith("discriminator"));
    const binary = ["conv2.weight", "conv3.weight"];
    expect([...tensors.keys()]).toEqual(student.map(([name]) => (binary.includes(name) ? `${name}.signs` : name)));
    for (const [name, values] of student) {
      const tensor = tensors.get(binary.includes(name) ? `${name}.signs` : name)!;
      if (binary.includes(name)) {
        expect([tensor.dtype, tensor.shape.at(-1)]).toEqual(["U32", 1]);
        const signs = unpackSignPlanes(new Uint32Array(int32Of(tensor).buffer), values.length / 2, 2);
        expect(signs).toEqual(values.map((w) => (w < 0 ? -1 : 1)));
      } else if (name === "conv1.weight") {
        expect(tensor.shape).toEqual([2, 1, 5, 5]);
        expect(float32Of(tensor)).toEqual(nhwcToNchw(values, [2, 1, 5, 5]));
      } else {
        expect(float32Of(tensor), name).toEqual(values);
      }
    }
    expect(metadata).toMatchObject({
      formatVersion: "1",
      classes: "10",
      step: "5",
      run: "tiny-run",
      "test.accuracy": "0.75",
    });
    expect(JSON.parse(metadata.input)).toMatchObject({ h: 28, w: 28, c: 1, pad: 0, mean: [0.5], std: [0.25] });
    expect(parseConfig(JSON.parse(metadata.config))).toEqual(state.config);
    expect(JSON.parse(metadata.layout).signs).toContain("[out][kh][kw][words]");
  }));

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
