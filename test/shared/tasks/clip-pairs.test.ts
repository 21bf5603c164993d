// What a network sees of clips: pairs that are drawn, the same wherever they are.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { readClip } from "../../../shared/data/clip.ts";
import type { DataOptions } from "../../../shared/data/data-kinds.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { settledView } from "../../../shared/data/image-view.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { decodeService } from "../../../shared/samples/decode-service.ts";
import { decodeHere } from "../../../shared/samples/decoding.ts";
import { sampleOrder } from "../../../shared/samples/sample-order.ts";
import { sampleSource } from "../../../shared/samples/sample-source.ts";
import { decodeBeside } from "../../../shared/samples/threaded-decoding.ts";
import { EXEMPLAR, pairDecoder, pairInputs, SEARCH } from "../../../shared/tasks/clip-pairs.ts";
import { drawPair } from "../../../shared/tracking/pairs.ts";
import { drawTrainView, trainView } from "../../../shared/tracking/train-view.ts";
import { clipsInChunks, drawnClips } from "../../fixtures/clip-data.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

const options = { exemplar: 31, margin: 4, gap: 100 };
const clips = await drawnClips({ clips: 3, crops: 5, instance: 63, exemplar: 31 });
const data = { kind: "store" } as DataOptions;

function zeros(dataset: Dataset) {
  const inputs = pairInputs(options, dataset).map(({ name, h, w, c }) => [name, new Uint8Array(h * w * c)] as const);
  return { inputs: Object.fromEntries(inputs), targets: {} };
}

test("A28 a pair is the exemplar's middle and the search image of two frames, as the sample's own stream draws them", async () => {
  const { dataset } = clipsInChunks(clips, 63);
  expect(pairInputs(options, dataset)).toEqual([
    { name: EXEMPLAR, encoding: "u8", h: 31, w: 31, c: 3 },
    { name: SEARCH, encoding: "u8", h: 55, w: 55, c: 3 },
  ]);
  const jpeg = await createJpegDecoder(jpegModule());
  const decode = pairDecoder(options, { dataset, data, images: { jpeg } });
  const seen = zeros(dataset);
  decode(clips[1], () => rng(5, "draws"), seen, "sample 1");
  const draws = rng(5, "draws");
  const clip = readClip(clips[1].content, "sample 1");
  const pair = drawPair(clip.frames, 100, draws);
  const sizes = { instance: 63, exemplar: 31, margin: 4 };
  for (const [i, [name, part]] of (
    [
      [EXEMPLAR, "exemplar"],
      [SEARCH, "search"],
    ] as const
  ).entries()) {
    const view = drawTrainView(draws, sizes);
    const wanted = new Uint8Array(seen.inputs[name].length);
    trainView(jpeg.decode(clip.crop(pair[i]).jpeg), view, part, wanted, sizes);
    expect(Buffer.compare(seen.inputs[name], wanted)).toBe(0);
    expect(new Set(wanted).size).toBeGreaterThan(20);
  }
});

test("A29 what pairs cannot be drawn of is refused by name", async () => {
  const jpeg = await createJpegDecoder(jpegModule());
  const { dataset } = clipsInChunks(clips, 63);
  const images = { jpeg };
  const pixels = { ...dataset, format: { kind: "bytes", media: "pixels", targetBytes: 2, chunk: 1 } } as Dataset;
  expect(() => pairDecoder(options, { dataset: pixels, data, images })).toThrow(
    /samples of kept are pixels; pairs are drawn of clips/,
  );
  expect(() => pairDecoder({ ...options, exemplar: 57 }, { dataset, data, images })).toThrow(
    /63 × 63 pixels, of which a search image is 55; it must be as large as the exemplar, 57/,
  );
  const decode = (content: Uint8Array, of = dataset) =>
    pairDecoder(options, { dataset: of, data, images })(
      { content, target: new Uint8Array(2) },
      () => rng(1),
      zeros(of),
      "sample 4",
    );
  const [lone] = await drawnClips({ clips: 1, crops: 1, instance: 63, exemplar: 31 });
  expect(() => decode(lone.content)).toThrow("sample 4 is a clip of one frame");
  const broken = clips[0].content.slice();
  broken.fill(0, 90);
  expect(() => decode(broken)).toThrow(/^sample 4, frame \d: /);
  const larger = { ...dataset, shape: { h: 71, w: 71, c: 3 } };
  expect(() => decode(clips[0].content, larger)).toThrow(/sample 4, frame \d: it has 63 × 63 pixels; expected 71 × 71/);
});

test("A30 of several draws of each clip all have their first before any has its second, and each sample is once in an epoch", () => {
  const eight = [...clips, ...clips, clips[0], clips[1]];
  const { dataset, held } = clipsInChunks(eight, 63, 4);
  const train = { phase: "student", epoch: 2, split: "train" } as const;
  const at = sampleOrder(9, dataset, train);
  const order = Array.from({ length: 32 }, (_, position) => at(position));
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, i) => i));
  const perDraw = [0, 1, 2, 3].map((draw) => order.slice(8 * draw, 8 * draw + 8).map((sample) => sample - 8 * draw));
  for (const contents of perDraw) expect([...contents].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(new Set(perDraw.map(String)).size).toBeGreaterThan(1);
  const source = sampleSource(dataset);
  const read = source.read("train", [1, 9, 25], held);
  expect(read.map(({ content }) => Buffer.compare(content, clips[1].content))).toEqual([0, 0, 0]);
  const odd = { ...dataset, train: { ...dataset.train, samples: 31 } };
  expect(() => sampleSource(odd)).toThrow("announces 31 samples, 4 of each content; its 1 shards hold 8");
});

test("A39 clips are decoded in threads beside the GPU, to the bytes of whoever decodes them itself", async () => {
  const made = clipsInChunks(clips, 63, 2);
  const parsed = parseConfig({ seed: 3, task: { kind: "siamfc", exemplar: 31, margin: 4 }, data: { kind: "store" } });
  const config = { ...parsed, data: settledView(parsed.data, made.dataset.format) };
  const open = () => createJpegDecoder(jpegModule());
  const beside = decodeBeside((heard) => {
    const service = decodeService(open, (reply) => heard(reply));
    return { post: (message) => service.take(message), end: () => undefined };
  }, 1)(config, made.dataset);
  const here = decodeHere(config, made.dataset, { jpeg: await open() });
  const round = { phase: "student", epoch: 1, split: "train" } as const;
  const [there, own] = await Promise.all(
    [beside, here].map((decoding) => decoding.decode(round, [0, 5, 2], made.held)),
  );
  expect(there).toEqual(own);
  beside.close();
});
