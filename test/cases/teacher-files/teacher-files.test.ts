// A teacher as people have it: saved inside a wrapper, beside other tensors, in another format, or for another network.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readTeacherFile } from "../../../coordinator/checkpoint/teacher-file.ts";
import { fittingFields } from "../../../coordinator/checkpoint/teacher-fit.ts";
import { openFreshRun } from "../../../coordinator/run/open-run.ts";
import { fileShape, toFileOrder } from "../../../coordinator/state/axis-order.ts";
import { type SafeTensor, tensorOf, writeSafetensors } from "../../../shared/base/safetensors.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { setField } from "../../../shared/run/config-text.ts";
import { twinManifest } from "../../../shared/run/networks.ts";
import { writeIdx } from "../../fixtures/idx-files.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const state = tinyState();
const { manifest } = state.networks.teacher;

/** The teacher's tensors as files have them, under other names where `named` says so. */
function tensors(named = (name: string) => name): [string, SafeTensor][] {
  return manifest.entries.map(({ name, shape }) => {
    const values = state.parameters.teacher.get(name);
    if (!values) throw new RangeError(name);
    return [named(name), tensorOf(toFileOrder(values, shape), fileShape(shape))];
  });
}

async function put(bytes: Uint8Array | string, name = "teacher.safetensors"): Promise<string> {
  const path = join(await scratchFolder(), name);
  await writeFile(path, bytes);
  return path;
}

/** A safetensors file written by hand, as writers that do not keep to the format write it. */
function fileOf(header: Record<string, unknown>, data: readonly Uint8Array[]): Uint8Array {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...data]);
}

/** With an entry of a dtype that is not known here at its end. */
function withForeign(name: string, shape: readonly number[], instead: readonly string[] = []): Uint8Array {
  const header: Record<string, unknown> = {};
  const data: Uint8Array[] = [];
  let at = 0;
  const add = (key: string, dtype: string, of: readonly number[], bytes: Uint8Array) => {
    header[key] = { dtype, shape: of, data_offsets: [at, at + bytes.length] };
    data.push(bytes);
    at += bytes.length;
  };
  for (const [key, tensor] of tensors()) {
    if (!instead.includes(key)) add(key, tensor.dtype, tensor.shape, tensor.bytes);
  }
  add(name, "F8_E4M3", shape, new Uint8Array(shape.reduce((a, b) => a * b, 1)));
  return fileOf(header, data);
}

async function refusal(bytes: Uint8Array | string, name?: string) {
  const path = await put(bytes, name);
  const error = await readTeacherFile(path, manifest).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(Error);
  const { code, message } = error as { readonly code: string; readonly message: string };
  // Whoever set the field must find it and the file in what he is told.
  expect(message).toContain("teacher.file: ");
  expect(message).toContain(path);
  return { code, message, path };
}

describe("names", () => {
  test.each([
    ["DataParallel's", (name: string) => `module.${name}`],
    ["torch.compile's", (name: string) => `_orig_mod.${name}`],
    ["both", (name: string) => `module._orig_mod.${name}`],
    ["both, the other way round", (name: string) => `_orig_mod.module.${name}`],
    ["those of a part that was compiled", (name: string) => name.replace(".", "._orig_mod.")],
    ["those of a module around the network", (name: string) => `model.${name}`],
    ["those of a module around a wrapped one", (name: string) => `net.backbone.module.${name}`],
  ])("%s are read", async (_, named) => {
    const path = await put(writeSafetensors(tensors(named)));
    const read = await readTeacherFile(path, manifest);
    for (const [name, values] of read) expect(values, name).toEqual(state.parameters.teacher.get(name));
    expect(read.size).toBe(manifest.entries.length);
  });

  test("a network that is there by its own names is taken, whatever stands beside it", async () => {
    const zeros = tensors((name) => `module.${name}`).map(([name, tensor]): [string, SafeTensor] => [
      name,
      { ...tensor, bytes: new Uint8Array(tensor.bytes.length) },
    ]);
    const read = await readTeacherFile(await put(writeSafetensors([...zeros, ...tensors()])), manifest);
    for (const [name, values] of read) expect(values, name).toEqual(state.parameters.teacher.get(name));
  });

  test("two networks that fit are both named, and none is guessed", async () => {
    const both = [...tensors((name) => `ema.${name}`), ...tensors((name) => `net.${name}`)];
    const { code, message } = await refusal(writeSafetensors(both));
    expect(code).toBe("TEACHER_MISMATCH");
    expect(message).toContain("has several networks that fit, under ema., net.: save one of them alone");
  });

  test("what is missing is told with what the file has, and the name that is nearest", async () => {
    const renamed = tensors((name) => (name === "conv1.weight" ? "conv_1.weight" : name));
    const { code, message } = await refusal(writeSafetensors(renamed));
    expect(code).toBe("TEACHER_MISMATCH");
    expect(message).toContain("conv1.weight: missing; expected [2,1,5,5]; is it conv_1.weight?");
    expect(message).toContain(`the file has ${renamed.length} tensors: conv_1.weight, `);
    expect((await refusal(writeSafetensors([]))).message).toContain("the file has no tensors");
  });
});

describe("tensors", () => {
  test("one of an unknown dtype that is not needed is passed over, as any other", async () => {
    const read = await readTeacherFile(await put(withForeign("extra.weight", [2, 4])), manifest);
    expect(read.size).toBe(manifest.entries.length);
  });

  test("one of an unknown dtype that is needed is named, with the dtypes that are read", async () => {
    const { code, message } = await refusal(withForeign("fc.bias", [10], ["fc.bias"]));
    expect(code).toBe("TEACHER_MISMATCH");
    expect(message).toContain("fc.bias: is F8_E4M3; expected one of F32, F64, F16, BF16");
  });

  test("metadata with a number in it are no reason to refuse a file", async () => {
    const header: Record<string, unknown> = { __metadata__: { epoch: 3, nested: { lr: 0.1 } } };
    const data: Uint8Array[] = [];
    let at = 0;
    for (const [name, { dtype, shape, bytes }] of tensors()) {
      header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
      at += bytes.length;
      data.push(bytes);
    }
    expect((await readTeacherFile(await put(fileOf(header, data)), manifest)).size).toBe(manifest.entries.length);
  });

  test("a value that is no number, or a variance below 0, is named by its tensor", async () => {
    const all = new Map(tensors());
    all.set("bn1.bias", tensorOf(Float32Array.of(1, Number.NaN), [2]));
    all.set("bn2.running_var", tensorOf(Float32Array.of(1, -2), [2]));
    const { message } = await refusal(writeSafetensors(all));
    expect(message).toContain("bn1.bias: holds NaN; expected finite float32 values");
    expect(message).toContain("bn2.running_var: holds -2; a variance is at least 0");
  });
});

const zip = (first: string) => {
  const header = Buffer.alloc(30);
  header.write("PK\x03\x04", 0, "latin1");
  header.writeUInt16LE(first.length, 26);
  return Buffer.concat([header, Buffer.from(first), Buffer.alloc(400, 7)]);
};

describe("other files", () => {
  test.each([
    [
      "PyTorch's zip",
      zip("archive/data.pkl"),
      /is a PyTorch file \(torch\.save\), .*: convert it in Python: .* torch\.load\("/,
    ],
    [
      "any zip",
      Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), Buffer.alloc(400, 7)]),
      /is a zip archive, .*torch\.load/,
    ],
    ["PyTorch's pickle", Buffer.from("80028a0a6cfc9c46f9206aa8501912345678", "hex"), /is a PyTorch file .* save_file/],
    ["a pickle", Buffer.concat([Buffer.from([0x80, 4]), Buffer.alloc(90)]), /is a Python pickle, .*torch\.load/],
    ["NumPy's archive", zip("conv1.weight.npy"), /is a NumPy archive .* save_file\(dict\(numpy\.load\("/],
    ["an ONNX model", Buffer.from("\x08\x07\x12\x07pytorch\x1a\x05", "latin1"), /is an ONNX model, .* onnx\.load/],
    [
      "a Git LFS pointer",
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
      /Git LFS pointer.*git lfs pull/,
    ],
    ["a web page", "<!doctype html><title>Log in</title>", /is a web page .*: the download gave an answer in place/],
    ["a packed file", gzipSync("x"), /is a gzip file, .*gunzip/],
    ["GGUF", Buffer.from("GGUF\x03\x00\x00\x00", "latin1"), /is a GGUF file, .*save the PyTorch model of it/],
    ["Keras' file", Buffer.from("\x89HDF\r\n\x1a\n", "latin1"), /is an HDF5 file/],
    ["nothing", "", /is empty: get or copy it again/],
    ["a text", "not one", /is no whole safetensors file: file of 7 bytes/],
    ["a cut file", writeSafetensors(tensors()).subarray(0, 900), /is no whole safetensors file: .*truncated/],
  ])("%s is named as what it is, with how to convert it", async (_, bytes, message) => {
    const told = await refusal(bytes);
    expect(told.code).toBe("SAFETENSORS_INVALID");
    expect(told.message).toMatch(message);
  });

  test("a zip or a pickle of the name of a PyTorch file is one", async () => {
    const told = await refusal(
      Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), Buffer.alloc(400, 7)]),
      "teacher.pt",
    );
    expect(told.message).toMatch(
      /teacher\.pt is a PyTorch file \(torch\.save\), .*: convert it in Python: import torch/,
    );
  });

  test("a folder, a name that is not there and a file below a file are DATA_MISSING", async () => {
    const folder = await scratchFolder();
    const path = join(folder, "teacher.safetensors");
    await mkdir(path);
    await expect(readTeacherFile(path, manifest)).rejects.toMatchObject({
      code: "DATA_MISSING",
      message: expect.stringMatching(/^teacher\.file: .*teacher\.safetensors is a folder; give a safetensors file/),
    });
    await expect(readTeacherFile(join(folder, "none"), manifest)).rejects.toThrow(
      /^teacher\.file: .*none is not there/,
    );
    const file = await put("x");
    await expect(readTeacherFile(join(file, "y"), manifest)).rejects.toThrow(/^teacher\.file: .*y is not there/);
    await expect(readTeacherFile("/dev/zero", manifest)).rejects.toThrow(/\/dev\/zero is no regular file/);
  });
});

describe("a teacher of another network", () => {
  const config = tinyConfig();
  const dataset = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };

  /** What is said to fit a file with the shapes of this configuration's network. */
  function fitting(fields: Record<string, unknown>, classes = 10): string | undefined {
    const other = tinyConfig(fields);
    const { entries } = twinManifest(other, { ...dataset, classes });
    const shapes = new Map(entries.map(({ name, shape }) => [name, fileShape(shape)]));
    return fittingFields(config, dataset, (name) => shapes.get(name));
  }

  test.each([
    [{ model: { kind: "lenet", widths: [20, 50, 500] } }, 10, "model.kind=lenet model.widths=[20,50,500]"],
    [{ model: { kind: "lenet", widths: [4, 4, 4] } }, 7, "model.kind=lenet model.widths=[4,4,4] data.classes=7"],
    [{ data: { kind: "idx", pad: 2 } }, 10, "model.kind=lenet model.widths=[2,2,4] data.pad=2"],
    [
      { model: { kind: "resnet", widths: [8, 16], blocks: [1, 2] } },
      10,
      "model.kind=resnet model.blocks=[1,2] model.widths=[8,16] model.stem=cifar model.activation=prelu",
    ],
    [
      { model: { kind: "resnet", stem: "imagenet", activation: "relu" }, data: { kind: "idx", pad: 2 } },
      10,
      "model.kind=resnet model.depth=18 model.widths=[64,128,256,512] model.stem=imagenet model.activation=relu data.pad=1",
    ],
    [
      { model: { kind: "wrn", depth: 10, widths: [4, 8, 8, 8] } },
      10,
      "model.kind=wrn model.depth=10 model.widths=[4,8,8,8] model.activation=prelu",
    ],
  ])("%j with %i classes: the fields that fit are said", (fields, classes, said) => {
    expect(fitting(fields, classes)).toBe(said);
  });

  test("what is said to fit, fits", () => {
    const model = { kind: "wrn", depth: 16, widths: "16-16-32-64" };
    const set: Record<string, unknown> = { data: { kind: "idx", root: "x" } };
    for (const assignment of fitting({ model })?.split(" ") ?? []) setField(set, assignment);
    const manifestOf = (fields: Record<string, unknown>) =>
      twinManifest(tinyConfig(fields), { ...dataset, classes: 10 }).entries.map(({ name, shape }) => [name, shape]);
    expect(manifestOf(set)).toEqual(manifestOf({ model }));
  });

  test("a start with such a file says it, with every shape that differs", async () => {
    const folder = await scratchFolder();
    await writeIdx(folder);
    const start = (widths: readonly number[]) =>
      openFreshRun(
        parseConfig({ data: { kind: "idx", root: folder, classes: 10 }, model: { widths }, teacher: { file } }),
        join(folder, `run-${widths.join("-")}`),
      );
    const file = await put(writeSafetensors(tensors()));
    await expect(start([3, 2, 4])).rejects.toMatchObject({
      code: "TEACHER_MISMATCH",
      message: expect.stringMatching(
        /conv1\.weight: has shape \[2,1,5,5\]; expected \[3,1,5,5\].*it fits a run with model\.kind=lenet model\.widths=\[2,2,4\]$/s,
      ),
    });
    const run = await start([2, 2, 4]);
    await run.log.close();
  });
});
