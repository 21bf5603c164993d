// Rules of decode threads: the same microbatches as without them, errors by their code, nothing left waiting.

import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { MEDIA_JPEG } from "../../../shared/data/dataset.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import type { DecodeMessage, DecodeReply } from "../../../shared/samples/decode-messages.ts";
import { packSamples, unpackSamples } from "../../../shared/samples/decode-messages.ts";
import { decodeService } from "../../../shared/samples/decode-service.ts";
import { decodeHere } from "../../../shared/samples/decoding.ts";
import type { OrderedRound } from "../../../shared/samples/sample-order.ts";
import {
  decodeBeside,
  decodeThreaded,
  type OpenDecodeThread,
  threadsFor,
} from "../../../shared/samples/threaded-decoding.ts";
import { picturesInChunks } from "../../fixtures/encoded-data.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

const training: OrderedRound = { phase: "student", epoch: 1, split: "train" };
const openJpeg = () => createJpegDecoder(jpegModule());

/** Threads over a message channel each, as a Web Worker's messages travel; and what breaks each. */
function threads() {
  const opened: { fail: (why: string) => void; ended: boolean; decoded: number }[] = [];
  const open: OpenDecodeThread = (heard, failed) => {
    const { port1, port2 } = new MessageChannel();
    const state = { fail: failed, ended: false, decoded: 0 };
    opened.push(state);
    const service = decodeService(openJpeg, (reply, transfer) => port2.postMessage(reply, [...transfer]));
    port2.onmessage = ({ data }: MessageEvent<DecodeMessage>) => service.take(data);
    port1.onmessage = ({ data }: MessageEvent<DecodeReply>) => {
      state.decoded++;
      heard(data);
    };
    return {
      post: (message, transfer) => port1.postMessage(message, [...transfer]),
      end: () => {
        state.ended = true;
        port1.close();
        port2.close();
      },
    };
  };
  return { open, opened };
}

test("a thread's microbatches are those of the same samples decoded here, and the held bytes stay", async () => {
  const { config, dataset, held } = picturesInChunks({ size: 32 });
  const { open, opened } = threads();
  const beside = decodeThreaded(config, dataset, open, 2);
  const here = decodeHere(config, dataset, { jpeg: await openJpeg() });
  const before = [...held.values()].map((bytes) => bytes.length);
  for (const samples of [[0, 1, 2], [2], [1, 0]]) {
    expect(await beside.decode(training, samples, held)).toEqual(await here.decode(training, samples, held));
  }
  expect([...held.values()].map((bytes) => bytes.length)).toEqual(before);
  expect(beside.piecesOf("train", [2, 0])).toEqual(here.piecesOf("train", [2, 0]));
  expect(opened).toHaveLength(1);
  beside.close();
  expect(opened[0]).toMatchObject({ ended: true });
});

test("what comes while all are busy goes to another thread, up to as many as there may be", async () => {
  const { config, dataset, held } = picturesInChunks({ size: 32 });
  const { open, opened } = threads();
  const decoding = decodeThreaded(config, dataset, open, 2);
  await Promise.all([0, 1, 2, 0].map((sample) => decoding.decode(training, [sample], held)));
  expect(opened.map(({ decoded }) => decoded)).toEqual([2, 2]);
  decoding.close();
  expect([1, 2, 4, 8, 64].map(threadsFor)).toEqual([1, 1, 2, 3, 3]);
});

test("a sample that cannot be decoded is refused by its code and name, and the thread goes on", async () => {
  const { config, dataset, held } = picturesInChunks({}, (bytes, i) => (i === 1 ? bytes.subarray(0, 2000) : bytes));
  const { open, opened } = threads();
  const decoding = decodeThreaded(config, dataset, open, 1);
  await expect(decoding.decode(training, [0, 1], held)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/^sample 1 of /),
  });
  await expect(decoding.decode(training, [0], held)).resolves.toMatchObject({ checksum: expect.any(Number) });
  expect(opened).toHaveLength(1);
  decoding.close();
});

test("a thread that breaks fails what it was asked, and the next microbatch gets a fresh one", async () => {
  const { config, dataset, held } = picturesInChunks({ size: 32 });
  const { open, opened } = threads();
  const decoding = decodeThreaded(config, dataset, open, 1);
  const asked = decoding.decode(training, [0], held);
  await Promise.resolve();
  opened[0]!.fail("out of memory");
  await expect(asked).rejects.toThrow(
    expect.objectContaining({ code: "COMPUTE_FAILED", message: expect.stringMatching(/out of memory/) }),
  );
  expect(opened[0]).toMatchObject({ ended: true });
  await expect(decoding.decode(training, [0], held)).resolves.toBeDefined();
  expect(opened).toHaveLength(2);
  decoding.close();
});

test("closing ends the threads and what they were asked; nothing is begun after it", async () => {
  const { config, dataset, held } = picturesInChunks({ size: 32 });
  const { open, opened } = threads();
  const decoding = decodeThreaded(config, dataset, open, 1);
  const asked = decoding.decode(training, [0], held);
  await Promise.resolve();
  decoding.close();
  await expect(asked).rejects.toBeInstanceOf(BitswarmError);
  await expect(decoding.decode(training, [0], held)).rejects.toBeInstanceOf(BitswarmError);
  expect(opened.map(({ ended }) => ended)).toEqual([true]);
});

test("pixels are copied here, and no thread is opened for them; a manifest that contradicts itself is refused", () => {
  const { config, dataset } = picturesInChunks({});
  const never: OpenDecodeThread = () => {
    throw new Error("a thread was opened");
  };
  const open = decodeBeside(never, 1);
  expect(() => open(config, { ...dataset, format: { kind: "raw" } })).not.toThrow();
  const short = { ...dataset, train: { ...dataset.train, samples: 99 } };
  expect(() => open(config, short)).toThrow(expect.objectContaining({ code: "DATA_INVALID" }));
  expect(dataset.format).toMatchObject({ media: MEDIA_JPEG });
});

test("samples are packed and unpacked as they were, the empty one too", () => {
  const samples = [
    { content: Uint8Array.of(1, 2, 3), target: Uint8Array.of(7, 0) },
    { content: new Uint8Array(), target: Uint8Array.of(8, 1) },
    { content: Uint8Array.of(9), target: Uint8Array.of(9, 2) },
  ];
  expect(unpackSamples(packSamples(samples))).toEqual(samples);
});
