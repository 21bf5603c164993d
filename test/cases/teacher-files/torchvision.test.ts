// A teacher that nobody has to train: a state dict of torchvision's topology beside a 1-bit network of ours.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { normalisationNotices } from "../../../coordinator/checkpoint/teacher-model.ts";
import { openFreshRun, reopenRun } from "../../../coordinator/run/open-run.ts";
import { type SafeTensor, tensorOf, writeSafetensors } from "../../../shared/base/safetensors.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { idxContents, writeIdx } from "../../fixtures/idx-files.ts";
import { TORCHVISION, torchvisionStateDict } from "../../fixtures/state-dict.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const kind = TORCHVISION;

const seen = { shape: { h: 32, w: 32, c: 1 }, classes: 3 };
const stateDict = (model: Record<string, unknown>, named?: (name: string) => string) =>
  torchvisionStateDict(model, seen, named);

interface Given {
  readonly model?: Record<string, unknown>;
  readonly teacher?: Record<string, unknown>;
  readonly tensors: [string, SafeTensor][];
}

async function start({ model = {}, teacher = {}, tensors }: Given) {
  const folder = await scratchFolder();
  await writeIdx(folder, idxContents());
  const file = join(folder, "teacher.safetensors");
  await writeFile(file, writeSafetensors(tensors));
  const config = parseConfig({
    data: { kind: "idx", root: folder, pad: 2 },
    model: { kind: "resnet", widths: [4, 6], blocks: [1, 1], ...model },
    teacher: { file, model: {}, ...teacher },
    batch: 4,
    microbatch: 2,
  });
  const run = await openFreshRun(config, join(folder, "run"));
  await run.log.close();
  await run.claim.release();
  return { run, folder: join(folder, "run") };
}

const small = { widths: [4, 6], blocks: [1, 1], stem: "cifar" };

test("what is not given of a teacher's model is in its file", async () => {
  const { run } = await start({ tensors: stateDict(small, (name) => `module.${name}`) });
  expect(run.state.config.teacher.model).toEqual({ kind, ...small });
  const { teacher, student } = run.state.networks;
  expect(teacher.graph.maps.map(({ name }) => name)).toEqual(student.graph.maps.map(({ name }) => name));
  expect(teacher.manifest.entries.map(({ name }) => name)).toContain("layer2.0.downsample.0.weight");
  // In the program, so that every worker builds the same.
  expect(run.state.program.networks[0]).toMatchObject({ name: "teacher", model: { kind, ...small } });
  expect(run.state.program.passes.map(({ phase }) => phase)).not.toContain("teacher");
});

test("a run goes on with its teacher's model, and another one is refused", async () => {
  const { run, folder } = await start({ tensors: stateDict(small) });
  const before = run.state.parameters.teacher.get("layer2.0.downsample.0.weight");
  const { writeCheckpoint } = await import("../../../coordinator/checkpoint/checkpoint.ts");
  const { encodeCheckpoint } = await import("../../../coordinator/checkpoint/checkpoint-contents.ts");
  const contents = encodeCheckpoint(run.state, run.directory.run);
  const extra = { run: run.directory.run, time: new Date(0).toISOString() };
  await writeCheckpoint(folder, contents, run.state, run.ledger, extra);
  const again = await reopenRun(folder);
  expect(again.state.config.teacher.model).toEqual({ kind, ...small });
  expect(again.state.parameters.teacher.get("layer2.0.downsample.0.weight")).toEqual(before);
  await again.log.close();
  await again.claim.release();
  await expect(reopenRun(folder, { set: ["teacher.model.widths=[4,8]"] })).rejects.toThrow(/teacher\.model\.widths/);
  // Nothing of the student is trained yet: that, and no shape, is what export says.
  await expect(exportModel(folder, join(folder, "out.safetensors"))).rejects.toMatchObject({
    code: "CHECKPOINT_MISSING",
  });
});

test("maps that do not fit the student's are named", async () => {
  await expect(start({ tensors: stateDict({ ...small, widths: [4, 8] }) })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(
      /^teacher\.model: .* 4 and 4 of them, at 3 the student has layer2\.0\.conv1 16×16×6, the teacher layer2\.0\.conv1 16×16×8/,
    ),
  });
  const config = parseConfig({
    model: { kind: "resnet", widths: [4, 6], blocks: [1, 1] },
    teacher: { model: { ...small, blocks: [1, 2] } },
  });
  expect(() => buildNetworks(config, { shape: { h: 32, w: 32, c: 1 }, classes: 3 }, phasesOf(config).outline)).toThrow(
    /4 and 6 of them, at 5 the student has no more, the teacher layer2\.1\.conv1 16×16×6/,
  );
});

test("a file of another kind of block, or of a deeper network, is refused by name", async () => {
  const extra = (name: string): [string, SafeTensor] => [name, tensorOf(Float32Array.of(1), [1, 1, 1, 1])];
  await expect(start({ tensors: [...stateDict(small), extra("layer1.0.conv3.weight")] })).rejects.toMatchObject({
    code: "TEACHER_MISMATCH",
    message: expect.stringMatching(/bottleneck blocks .* such as ResNet-50; .* ResNet-18 or a ResNet-34/),
  });
  const given = { model: { blocks: [1, 1] } };
  const deeper = stateDict({ ...small, blocks: [2, 1] });
  await expect(start({ tensors: deeper, teacher: given })).rejects.toMatchObject({
    code: "TEACHER_MISMATCH",
    message: expect.stringMatching(/layer1\.1\.conv1\.weight: \[4,4,3,3\] has no place in it/),
  });
  const squeezed = [...stateDict(small), extra("layer1.0.se.fc.weight")];
  await expect(start({ tensors: squeezed })).rejects.toThrow(/layer1\.0\.se\.fc\.weight: \[1,1,1,1\] has no place/);
});

test("a teacher that saw other images is refused, or asked after", () => {
  const imageNet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  const cifar = { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] };
  const configOf = (teacher: Record<string, unknown>) =>
    parseConfig({ model: { kind: "resnet" }, teacher: { file: "t.safetensors", model: {}, ...teacher } });
  expect(normalisationNotices(configOf({}), imageNet)).toEqual([]);
  expect(normalisationNotices(configOf(imageNet), imageNet)).toEqual([]);
  expect(() => normalisationNotices(configOf(imageNet), cifar)).toThrow(
    /^teacher\.mean: .* 0\.485, 0\.456, 0\.406 per/,
  );
  expect(() => normalisationNotices(configOf({ std: cifar.std }), imageNet)).toThrow(/^teacher\.std: /);
  expect(normalisationNotices(configOf({}), cifar)).toEqual([
    expect.stringMatching(/Set teacher\.mean and teacher\.std/),
  ]);
  expect(normalisationNotices(configOf(cifar), cifar)).toEqual([]);
  // Neither are images of another size what it was tested with.
  const seen = (size: number) =>
    normalisationNotices(
      {
        ...configOf({ model: { stem: "imagenet" } }),
        data: { ...configOf({}).data, kind: "store", size, resize: Math.round((size * 256) / 224) },
      },
      imageNet,
    );
  expect(seen(224)).toEqual([]);
  expect(seen(160)).toEqual([expect.stringMatching(/sees images of 160 pixels, of 183 in evaluations; .* 224 of 256/)]);
});

test("its topology is a teacher's alone", () => {
  expect(() => parseConfig({ model: { kind } })).toThrow(
    /model\.kind: must be one of lenet, resnet, wrn, siamfc; got "resnet-torchvision"/,
  );
  expect(() => parseConfig({ teacher: { model: { widths: [4, 6, 8, 9], blocks: [1, 1] } } })).toThrow(
    /teacher\.model\.blocks: must have as many stages as model\.widths \(4\); got \[1,1\]/,
  );
});
