// What a network sees of samples that lie as JPEGs, or as pixels, in chunks: the fixtures' own pictures, to the byte.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { type Dataset, MEDIA_PIXELS } from "../../../shared/data/dataset.ts";
import { writeShard } from "../../../shared/data/shard-layout.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { seeView } from "../../../shared/image/see-view.ts";
import { drawView } from "../../../shared/image/view.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { createSampleDecoder } from "../../../shared/samples/sample-decoder.ts";
import type { OrderedRound } from "../../../shared/samples/sample-order.ts";
import { sampleSource } from "../../../shared/samples/sample-source.ts";
import { heldDecoder } from "../../fixtures/decode-samples.ts";
import { inChunks, labelled, picturesInChunks } from "../../fixtures/encoded-data.ts";
import { fixtureTensor } from "../../fixtures/imagenet-fixtures.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

const evaluation: OrderedRound = { phase: "evaluate-student", epoch: 0, split: "test" };
const training: OrderedRound = { phase: "student", epoch: 3, split: "train" };

async function pictures(data: Record<string, unknown> = {}, damage?: (bytes: Uint8Array, i: number) => Uint8Array) {
  const made = picturesInChunks(data, damage);
  const jpeg = await createJpegDecoder(jpegModule());
  const source = sampleSource(made.dataset);
  const decoder = createSampleDecoder(made.config, made.dataset, { jpeg });
  const decode = (round: OrderedRound, which: readonly number[]) =>
    decoder.decode(round, which, source.read(round.split, which, made.held));
  return { ...made, jpeg, decode };
}

test("I50 an evaluation sees a JPEG's centre, resized as Pillow does, to the byte", async () => {
  const { evaluated, decode } = await pictures();
  expect(evaluated.length).toBeGreaterThan(2);
  const which = evaluated.map((_, i) => i);
  const { input } = decode(evaluation, which);
  evaluated.forEach(({ file }, i) => {
    const size = 224 * 224 * 3;
    expect(Buffer.compare(input.image.subarray(i * size, (i + 1) * size) as Uint8Array, fixtureTensor(file))).toBe(0);
  });
  expect([...input.label]).toEqual(which);
});

test("I51 training sees what the sample's own stream draws, whoever decodes it in whatever company", async () => {
  const { contents, config, jpeg, decode } = await pictures({ size: 32 });
  const seen = (sample: number, epoch: number) => {
    const image = jpeg.decode(contents[sample]!);
    const { size, resize, area } = config.data as Required<typeof config.data>;
    const options = { size, resize, area, augment: "random-resized-crop" } as const;
    const draws = rng(config.seed, "augment", training.phase, epoch, sample);
    const into = new Uint8Array(32 * 32 * 3);
    seeView(image, drawView(options, image.width, image.height, draws), into);
    return into;
  };
  const { input } = decode(training, [2, 0, 2]);
  const image = input.image as Uint8Array;
  const size = 32 * 32 * 3;
  expect(image.subarray(0, size)).toEqual(seen(2, 3));
  expect(image.subarray(size, 2 * size)).toEqual(seen(0, 3));
  expect(image.subarray(2 * size)).toEqual(seen(2, 3));
  expect(decode({ ...training, epoch: 4 }, [2]).input.image).toEqual(seen(2, 4));
  expect(seen(2, 4)).not.toEqual(seen(2, 3));
});

test("the checksum is of what is seen: other draws have another, other company has not", async () => {
  const { decode } = await pictures({ size: 32 });
  const of = (round: OrderedRound, ...which: number[]) => decode(round, which).checksum;
  expect((of(training, 1) + of(training, 2)) >>> 0).toBe(of(training, 2, 1));
  expect(of({ ...training, epoch: 4 }, 1)).not.toBe(of(training, 1));
});

test("I52 a JPEG that is damaged is DATA_INVALID, by its sample's name, and the next one is decoded", async () => {
  const { decode } = await pictures({}, (bytes, i) => (i === 1 ? bytes.subarray(0, 3000) : bytes));
  expect(() => decode(training, [0, 1])).toThrow(
    expect.objectContaining({ code: "DATA_INVALID", message: expect.stringMatching(/^sample 1 of kept's train/) }),
  );
  expect(decode(training, [0]).input.label[0]).toBe(0);
});

const shape = { h: 5, w: 4, c: 3 };
const pixels = (i: number) => Uint8Array.from({ length: 60 }, (_, at) => (at * 7 + i * 31) % 256);

test("I53 pixels in chunks are seen as raw ones are: padded, moved and mirrored, never resized", () => {
  const samples = [0, 1, 2].map((i) => ({ content: pixels(i), target: labelled(i) }));
  const { dataset, held } = inChunks(MEDIA_PIXELS, shape, samples);
  const raw = writeShard({ format: { kind: "raw" }, shape }, 3);
  for (const sample of samples) raw.add(sample);
  const { bytes, sha256 } = raw.take();
  const split = { samples: 3, shards: [{ sha256, samples: 3, bytes: bytes.length }] };
  const plain: Dataset = { ...dataset, format: { kind: "raw" }, train: split, test: split };
  const config = parseConfig({ seed: 5, data: { kind: "idx", pad: 1, augment: "crop-flip" } });
  for (const round of [training, evaluation]) {
    const decoded = heldDecoder(config, dataset)(round, [2, 0], held);
    expect(decoded).toEqual(heldDecoder(config, plain)(round, [2, 0], new Map([[sha256, bytes]])));
  }
});

test("pixels of another size than the manifest's are DATA_INVALID", () => {
  const { dataset, held } = inChunks(MEDIA_PIXELS, shape, [{ content: pixels(0).subarray(1), target: labelled(0) }]);
  const config = parseConfig({ data: { kind: "idx" } });
  expect(() => heldDecoder(config, dataset)(training, [0], held)).toThrow(/sample 0 .* must be 60 bytes.*got 59/);
});

test("what nobody here decodes is refused by its name, before anything is fetched", () => {
  const { dataset } = inChunks("image/avif", shape, [{ content: pixels(0), target: labelled(0) }]);
  const config = parseConfig({ data: { kind: "idx" } });
  expect(() => createSampleDecoder(config, dataset)).toThrow(
    /image\/avif; this worker decodes raw pixels and image\/jpeg/,
  );
  const wide: Dataset = { ...dataset, format: { kind: "bytes", media: MEDIA_PIXELS, targetBytes: 3, chunk: 2 } };
  expect(() => createSampleDecoder(config, wide)).toThrow(/targets of 3 bytes; a label has 2/);
});
