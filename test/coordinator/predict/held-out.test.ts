// Pictures that a network is tested with are those that its run's evaluations decode, to the byte.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDataset } from "../../../coordinator/data/open-dataset.ts";
import { pieceReader } from "../../../coordinator/data-checks/read-pieces.ts";
import { openHeldOut } from "../../../coordinator/predict/held-out.ts";
import type { HeldOutOptions, LabelledPicture } from "../../../coordinator/predict/labelled.ts";
import { type DataOptions, dataSchema } from "../../../shared/data/data-kinds.ts";
import { pictureView, seenShape } from "../../../shared/data/image-view.ts";
import type { ExportedModel } from "../../../shared/export/exported-model.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { decodeHere } from "../../../shared/samples/decoding.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";
import { pictureStore } from "../../fixtures/picture-store.ts";
import { writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

async function read(model: ExportedModel, options: HeldOutOptions): Promise<readonly LabelledPicture[]> {
  const heldOut = await openHeldOut(model, options);
  const pictures: LabelledPicture[] = [];
  for await (const one of heldOut.read()) pictures.push(one);
  expect(pictures).toHaveLength(heldOut.samples);
  return pictures;
}

/** What an evaluation of a run decodes of the held-out split, and a network of that run. */
async function evaluated(wanted: Record<string, unknown>) {
  const data = await openDataset(dataSchema().parse(wanted) as DataOptions);
  const { dataset, options } = data;
  const config = { seed: 0, data: options, task: { kind: "classification" } };
  const { piecesOf, decode } = decodeHere(config, dataset, { jpeg: await createJpegDecoder(jpegModule()) });
  const samples = Array.from({ length: dataset.test.samples }, (_, i) => i);
  const round = { split: "test", phase: "evaluate-student", epoch: 0 } as Parameters<typeof decode>[0];
  const { input } = await decode(round, samples, await pieceReader(data)(piecesOf("test", samples)));
  const { mean, std, classes } = dataset;
  const model = {
    input: { name: "image", ...seenShape(dataset, options), ...pictureView(dataset, options), mean, std },
    classes,
    provenance: { dataset: { name: dataset.name, testSamples: dataset.test.samples } },
  } as unknown as ExportedModel;
  return { model, pixels: input.image as Uint8Array, labels: input.label as Uint32Array };
}

const fashion = evaluated({ kind: "fashion-mnist", testSamples: 300, trainSamples: 50, pad: 2 });

const joined = (pictures: readonly LabelledPicture[]) => Buffer.concat(pictures.map(({ pixels }) => pixels));

test("X11 of a store of photographs the network sees what an evaluation sees, to the byte", async () => {
  const folder = await scratchFolder();
  const store = join(folder, "store");
  await writeStoreFolder(store, pictureStore(3));
  const { model, pixels, labels } = await evaluated({ kind: "store", store, size: 56, resize: 64 });
  const pictures = await read(model, { data: store });
  expect(joined(pictures).equals(pixels)).toBe(true);
  expect(pictures.map(({ label }) => label)).toEqual([...labels]);
});

test("X11 of a data set of pixels, padded, it sees what an evaluation sees, to the byte", async () => {
  const { model, pixels, labels } = await evaluated({
    kind: "fashion-mnist",
    testSamples: 300,
    trainSamples: 50,
    pad: 2,
  });
  const pictures = await read(model, { data: "fashion-mnist" });
  expect(joined(pictures).equals(pixels)).toBe(true);
  expect(pictures.map(({ label }) => label)).toEqual([...labels]);
  expect(await read(model, { data: "fashion-mnist", samples: 7 })).toEqual(pictures.slice(0, 7));
});

test("what is no data set, and labels that the network has no class for, are refused with what there is", async () => {
  const { model } = await fashion;
  const folder = await scratchFolder();
  await expect(openHeldOut(model, { data: folder })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/has no folders; .* fashion-mnist, idx, cifar-10/),
  });
  await expect(openHeldOut(model, { data: join(folder, "none") })).rejects.toMatchObject({ code: "DATA_MISSING" });
  await expect(openHeldOut(model, { data: folder, root: folder })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(read({ ...model, classes: 3 }, { data: "fashion-mnist" })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringContaining("the network knows 3"),
  });
  await writeFile(join(folder, "manifest.json"), "{}");
  await expect(openHeldOut(model, { data: folder })).rejects.toMatchObject({ code: "DATA_INVALID" });
});
