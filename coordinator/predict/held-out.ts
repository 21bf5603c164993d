// The held-out split of a data set as pictures with their classes, read as a run reads it.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type DataOptions, dataKinds, dataSchema, isBucket } from "../../shared/data/data-kinds.ts";
import { type Dataset, MEDIA_JPEG, MEDIA_PIXELS, type SampleFormat } from "../../shared/data/dataset.ts";
import { labelOf, type SampleBytes } from "../../shared/data/shard-layout.ts";
import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { seenPixels } from "../../shared/export/see-picture.ts";
import type { RgbImage } from "../../shared/image/resize.ts";
import { sampleSource } from "../../shared/samples/sample-source.ts";
import type { Environment, Sample, SampleSource, ShardedSource } from "../data/importers/importer.ts";
import { importers } from "../data/importers/importers.ts";
import { pieceReader } from "../data-checks/read-pieces.ts";
import { type DecodePicture, pictureDecoder } from "../import/convert/decode-picture.ts";
import { MANIFEST_FILE } from "../store/manifest.ts";
import type { HeldOut, HeldOutOptions } from "./labelled.ts";
import { openFolder } from "./picture-folder.ts";

/** What is read of a data set that lies in shards at once. */
const SAMPLES_AT_ONCE = 256;
function labelIn({ target }: Sample | SampleBytes): number {
  return typeof target === "number" ? target : labelOf(target);
}

/** Pixels u8 [h][w][c] as a picture. @throws DATA_INVALID for channels that no picture has */
export function pictureOf({ h, w, c }: Dataset["shape"], content: Uint8Array, name: string): RgbImage {
  if (c !== 1 && c !== 3) {
    throw new BitswarmError("DATA_INVALID", `${name} has pixels of ${c} channels; pictures have 1 or 3`);
  }
  const rgb = c === 3 ? content : new Uint8Array(3 * h * w);
  if (c === 1) for (const [i, value] of content.entries()) rgb.fill(value, 3 * i, 3 * i + 3);
  return { width: w, height: h, rgb };
}

/** @throws DATA_INVALID for a label that the network has no class for */
function requireClass(label: number, { classes }: ExportedModel, name: string): number {
  if (label < classes) return label;
  throw new BitswarmError(
    "DATA_INVALID",
    `${name} has a sample of class ${label}; the network knows ${classes}: is this the data set that it was trained on?`,
  );
}

/** From a sample's content to the picture that it is. @throws DATA_INVALID for media that hold none */
async function contentDecoder(format: SampleFormat, shape: Dataset["shape"], name: string): Promise<DecodePicture> {
  if (format.kind === "raw" || format.media === MEDIA_PIXELS) return async (content) => pictureOf(shape, content, name);
  if (format.media === MEDIA_JPEG) return pictureDecoder();
  throw new BitswarmError(
    "DATA_INVALID",
    `samples of ${name} are ${format.media}; pictures are pixels or ${MEDIA_JPEG}`,
  );
}

async function* samplesOf({ test }: SampleSource): AsyncIterable<Sample> {
  yield* test.read();
}

async function* shardedSamples(source: ShardedSource): AsyncIterable<SampleBytes> {
  const { dataset } = source;
  const { piecesOf, read } = sampleSource(dataset);
  const hold = pieceReader(source);
  for (let from = 0; from < dataset.test.samples; from += SAMPLES_AT_ONCE) {
    const count = Math.min(SAMPLES_AT_ONCE, dataset.test.samples - from);
    const indices = Array.from({ length: count }, (_, i) => from + i);
    yield* read("test", indices, await hold(piecesOf("test", indices)));
  }
}

async function openKind(
  kind: string,
  options: Record<string, unknown>,
  model: ExportedModel,
  { samples }: HeldOutOptions,
  environment: Environment,
): Promise<HeldOut> {
  const parsed = dataSchema().parse({ kind, ...options }) as DataOptions;
  const opened = await importers.get(kind).open(parsed, environment);
  const inShards = "dataset" in opened;
  const { format, shape, test } = inShards ? opened.dataset : opened;
  const name = inShards ? opened.dataset.name : kind;
  const there = test.samples;
  const { dataset } = model.provenance;
  const usual = dataset.name === name ? dataset.testSamples : there;
  const limit = Math.min(samples ?? usual, there);
  return {
    name,
    samples: limit,
    notices: [],
    async *read() {
      const decode = await contentDecoder(format, shape, name);
      let count = 0;
      for await (const sample of inShards ? shardedSamples(opened) : samplesOf(opened)) {
        if (count++ >= limit) return;
        const pixels = seenPixels(model.input, await decode(sample.content));
        yield { pixels, label: requireClass(labelIn(sample), model, name) };
      }
    },
  };
}

/**
 * @throws DATA_MISSING, DATA_INVALID, CONFIG_INVALID saying what there is
 */
export async function openHeldOut(
  model: ExportedModel,
  options: HeldOutOptions,
  environment: Environment = process.env,
): Promise<HeldOut> {
  const { data, root } = options;
  const open = (kind: string, own: Record<string, unknown>) => openKind(kind, own, model, options, environment);
  if (dataKinds.has(data) && data !== "store") {
    // Of CIFAR-100's two labels those that the network has as many classes of.
    const labels = data === "cifar-100" && model.classes === 20 ? { labels: "coarse" } : {};
    return open(data, { ...labels, ...(root === undefined ? {} : { root }) });
  }
  if (root !== undefined) {
    throw new BitswarmError("CONFIG_INVALID", `--root is of a data set that is named by its kind; --data is ${data}`);
  }
  const inFolder = await stat(join(data, MANIFEST_FILE)).catch(() => undefined);
  if (isBucket(data) || inFolder?.isFile()) return open("store", { store: data });
  return openFolder(model, options);
}
