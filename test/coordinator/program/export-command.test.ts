// `coordinator export` of a run's folder, in each format.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { expect, onTestFinished, test, vi } from "vitest";
import { addExportCommand, sizesText } from "../../../coordinator/program/export-command.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { load } from "../../../worker/inference/index.ts";
import { runOnnx, runOnnxNamed } from "../../fixtures/onnx-runtime.ts";
import { stateAt, write } from "../../fixtures/tiny-checkpoint.ts";
import { tinyConfig, withFolder } from "../../fixtures/tiny-run.ts";
import { TINY_SIDES, trainedTracker } from "../../fixtures/tiny-tracker.ts";

/** What the command prints. */
async function exported(...words: readonly string[]): Promise<string> {
  const printed = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  onTestFinished(() => printed.mockRestore());
  const program = new Command();
  addExportCommand(program, { wholeNumber: () => Number, asPasted: (help) => help, tell: () => undefined });
  await program.parseAsync(["export", ...words], { from: "user" });
  return printed.mock.calls.map(([text]) => text).join("");
}

test("X26 a file is ONNX where its name or --format says so, and of any network of the run; else it is safetensors", () =>
  withFolder(async (folder) => {
    const { state, ledger } = stateAt(5, tinyConfig());
    await write(folder, state, ledger);
    const at = (name: string) => join(folder, name);
    const printed = await exported(folder, "--out", at("a.onnx"));
    expect(printed).toContain("1-bit network, step 5");
    expect(printed).toContain("each a float here");
    const teachers = await exported(folder, "--out", at("b.1"), "--format", "onnx", "--network", "teacher");
    expect(teachers).toContain(`${at("b.1.onnx")}: teacher`);
    expect(await exported(folder, "--out", at("e"))).toContain(`${at("e.safetensors")}: `);
    expect(await exported(folder, "--out", at("c.ONNX"), "--weights", "packed")).toContain("would be");
    await exported(folder, "--out", at("d.onnx"), "--format", "safetensors");

    const images = Float32Array.from({ length: 28 * 28 }, (_, i) => Math.sin(i));
    const files = await Promise.all(["a.onnx", "b.1.onnx", "c.ONNX"].map((name) => readFile(at(name))));
    const answers = await Promise.all(files.map((file) => runOnnx(file, { dims: [1, 1, 28, 28], images })));
    const [student, teacher, packed] = answers.map(([answer]) => answer!.values);
    expect(packed).toEqual(student);
    expect(teacher).not.toEqual(student);
    expect(readExported(await readFile(at("d.onnx"))).network.name).toBe("student");
  }));

test("X28 a tracker is one safetensors file and two ONNX files, of its teacher too, and classes are predicted by none", () =>
  withFolder(async (folder) => {
    const { state, ledger } = trainedTracker();
    await write(folder, state, ledger);
    const at = (name: string) => join(folder, name);
    const printed = await exported(folder, "--out", at("fast.onnx"), "--weights", "packed");
    expect(printed).toContain(`${at("fast-backbone.onnx")} and ${at("fast-head.onnx")}: 1-bit network`);
    await exported(folder, "--out", at("fast.safetensors"), "--network", "teacher");
    expect((await readdir(folder)).filter((name) => name.startsWith("fast")).sort()).toEqual([
      "fast-backbone.onnx",
      "fast-head.onnx",
      "fast.safetensors",
    ]);
    const file = await readFile(at("fast.safetensors"));
    const { exemplar, instance } = TINY_SIDES;
    expect(readExported(file).tracking).toMatchObject({ exemplar, instance, context: 0.5, stride: 8 });
    const crops = (side: number) => ({ dims: [1, 3, side, side], values: new Float32Array(3 * side * side).fill(1) });
    const [z, x] = await runOnnxNamed(
      await readFile(at("fast-backbone.onnx")),
      { crop: crops(exemplar) },
      { crop: crops(instance) },
    );
    const [response] = await runOnnxNamed(await readFile(at("fast-head.onnx")), { exemplar: z!, search: x! });
    expect(response!.dims).toEqual([1, 1, 7, 7]);
    await expect(load(file, { backend: "wasm" })).rejects.toMatchObject({ code: "MODEL_INVALID" });
  }));

test("X26 --weights of a format that has none is refused before anything is written", () =>
  withFolder(async (folder) => {
    await expect(exported(folder, "--out", join(folder, "a.safetensors"), "--weights", "packed")).rejects.toMatchObject(
      {
        code: "CONFIG_INVALID",
        message: expect.stringContaining("--weights packed is of --format onnx"),
      },
    );
    expect(await readdir(folder)).toEqual([]);
  }));

test("what a file and its parameters take is said as they stand in it", () => {
  const sizes = { bytes: 1000, fullPrecisionBytes: 15_000 };
  expect(sizesText(2000, sizes)).toMatch(/^2000 bytes \(parameters 1000; .* would be 15000, 15\.0 times as many\)$/);
  expect(sizesText(16_000, sizes, "float")).toMatch(
    /^16000 bytes \(parameters 15000, .* they are 1000, 15\.0 times fewer/,
  );
  expect(sizesText(16_000, { ...sizes, bytes: 15_000 }, "float")).toBe(
    "16000 bytes (parameters 15000, all in full precision)",
  );
});

test("a file in place of a run's folder is refused by a plain word", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, "");
    await expect(exported(file, "--out", join(folder, "a.onnx"))).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: `${file} is a file; give a run's folder, such as runs/NAME`,
    });
  }));
