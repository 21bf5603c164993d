// Rules of a teacher that comes from a file.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readNewestCheckpoint, writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { readTeacherFile } from "../../../coordinator/checkpoint/teacher-file.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { fileShape, toFileOrder } from "../../../coordinator/state/axis-order.ts";
import { type SafeTensor, tensorOf, writeSafetensors } from "../../../shared/base/safetensors.ts";
import { advance, tinyConfig, tinyState, withFolder } from "../../fixtures/tiny-run.ts";

const state = tinyState();
const { manifest } = state.networks.teacher;

function tensors(): Map<string, SafeTensor> {
  return new Map(
    manifest.entries.map(({ name, shape }) => [
      name,
      tensorOf(toFileOrder(state.parameters.teacher.get(name)!, shape), fileShape(shape)),
    ]),
  );
}

test("a file in PyTorch's order gives the parameters in the manifest's; tensors of other names are ignored", () =>
  withFolder(async (folder) => {
    const path = join(folder, "teacher.safetensors");
    const extra = [["bn1.num_batches_tracked", tensorOf(new Int32Array(1), [1])]] as const;
    await writeFile(path, writeSafetensors([...extra, ...tensors()]));
    const read = await readTeacherFile(path, manifest);
    expect([...read.keys()]).toEqual(manifest.entries.map(({ name }) => name));
    for (const [name, values] of read) expect(values, name).toEqual(state.parameters.teacher.get(name));
  }));

test("doubles are rounded to float32", () =>
  withFolder(async (folder) => {
    const path = join(folder, "teacher.safetensors");
    const all = tensors();
    all.set("fc.bias", tensorOf(new Float64Array(10).fill(0.1), [10]));
    await writeFile(path, writeSafetensors(all));
    expect((await readTeacherFile(path, manifest)).get("fc.bias")).toEqual(new Float32Array(10).fill(0.1));
  }));

test("a checkpoint's teacher.safetensors is such a file", () =>
  withFolder(async (folder) => {
    await writeCheckpoint(folder, encodeCheckpoint(state, "r"), state, new Ledger(), {
      run: "r",
      time: "2026-01-01T00:00:00.000Z",
    });
    const { path } = await readNewestCheckpoint(folder);
    const read = await readTeacherFile(join(path, "teacher.safetensors"), manifest);
    for (const [name, values] of read) expect(values, name).toEqual(state.parameters.teacher.get(name));
  }));

test("an export of a run of full precision is such a file", () =>
  withFolder(async (folder) => {
    const trained = tinyState(tinyConfig({ method: { kind: "full" } }));
    const ledger = new Ledger();
    for (let i = 0; i < 2; i++) advance(trained, ledger);
    const extra = { run: "r", time: "2026-01-01T00:00:00.000Z" };
    await writeCheckpoint(folder, encodeCheckpoint(trained, "r"), trained, ledger, extra);
    const path = join(folder, "full.safetensors");
    await exportModel(folder, path);
    const read = await readTeacherFile(path, manifest);
    expect([...read.keys()]).toEqual(manifest.entries.map(({ name }) => name));
    for (const [name, values] of read) expect(values, name).toEqual(trained.parameters.student.get(name));
  }));

test("TEACHER_MISMATCH names every tensor that is missing, of another shape, not of floats or not finite", () =>
  withFolder(async (folder) => {
    const path = join(folder, "teacher.safetensors");
    const all = tensors();
    all.delete("prelu2.weight");
    all.set("conv2.weight", tensorOf(new Float32Array(100), [2, 5, 5, 2]));
    all.set("fc.bias", tensorOf(new Int32Array(10), [10]));
    all.set("bn1.bias", tensorOf(Float32Array.of(1, NaN), [2]));
    await writeFile(path, writeSafetensors(all));
    const error = await readTeacherFile(path, manifest).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "TEACHER_MISMATCH" });
    const { message } = error as Error;
    expect(message).toContain("prelu2.weight: missing; expected [2]");
    expect(message).toContain("conv2.weight: has shape [2,5,5,2]; expected [2,2,5,5]");
    expect(message).toContain("fc.bias: is I32");
    expect(message).toContain("bn1.bias: holds NaN");
    expect(message).toContain(`the file has ${all.size} tensors: conv1.weight, `);
    expect(message.split("\n").length).toBe(6);
  }));

test("a file that is not there or not safetensors says so", () =>
  withFolder(async (folder) => {
    const path = join(folder, "teacher.safetensors");
    await expect(readTeacherFile(path, manifest)).rejects.toMatchObject({ code: "DATA_MISSING" });
    await writeFile(path, "not one");
    await expect(readTeacherFile(path, manifest)).rejects.toMatchObject({ code: "SAFETENSORS_INVALID" });
  }));
