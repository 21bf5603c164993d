// How a session gets microbatches of the samples that its leases name: what it has to hold of the data set, and the
// decoding, in whichever thread that is.

import type { Dataset, Split } from "../data/dataset.ts";
import type { HeldPieces, Piece } from "../data/piece.ts";
import type { ImageDecoders } from "../tasks/sample-tensors.ts";
import type { DecodedMicrobatch } from "./microbatch.ts";
import { createSampleDecoder, type DecoderConfig } from "./sample-decoder.ts";
import type { OrderedRound } from "./sample-order.ts";
import { sampleSource } from "./sample-source.ts";

export interface Decoding {
  /** The pieces of the data set that these samples lie in. */
  piecesOf(split: Split, samples: Iterable<number>): readonly Piece[];
  /** @throws DATA_INVALID */
  decode(round: OrderedRound, samples: readonly number[], held: HeldPieces): Promise<DecodedMicrobatch>;
  /** Nothing more is decoded; what is under way may never settle. */
  close(): void;
}

/** @throws DATA_INVALID for a data set whose manifest contradicts itself */
export type OpenDecoding = (config: DecoderConfig, dataset: Dataset) => Decoding;

/** Decodes in the thread of whoever asks. */
export function decodeHere(config: DecoderConfig, dataset: Dataset, images: ImageDecoders = {}): Decoding {
  const source = sampleSource(dataset);
  const decoder = createSampleDecoder(config, dataset, images);
  return {
    piecesOf: source.piecesOf,
    decode: async (round, samples, held) => decoder.decode(round, samples, source.read(round.split, samples, held)),
    close: () => undefined,
  };
}
