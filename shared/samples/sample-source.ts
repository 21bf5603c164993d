// Where samples lie, and their bytes out of the pieces that are held.

import { BitswarmError } from "../base/errors.ts";
import { type Dataset, locateSample, type Split, storedSamples } from "../data/dataset.ts";
import { type HeldPieces, type Piece, pieceOf } from "../data/piece.ts";
import { readChunk, readShard, type SampleBytes, type ShardRows, samplesOfChunk } from "../data/shard-layout.ts";

export interface SampleSource {
  /** The pieces that these samples lie in, each once, in the order of need. */
  piecesOf(split: Split, samples: Iterable<number>): readonly Piece[];
  /**
   * The bytes of samples, in order: views of the pieces.
   * @throws DATA_INVALID for a piece that is not held, or is no such piece
   */
  read(split: Split, samples: readonly number[], held: HeldPieces): readonly SampleBytes[];
}

/** @throws DATA_INVALID for a data set whose manifest contradicts itself */
export function sampleSource(dataset: Dataset): SampleSource {
  checkShards(dataset, "train");
  checkShards(dataset, "test");
  const { format } = dataset;

  const placeOf = (split: Split, sample: number) => {
    const { shard, row } = locateSample(dataset, split, sample);
    return { piece: pieceOf(format, dataset[split].shards[shard], row), row };
  };

  const open = ({ key, shard, chunk }: Piece, held: HeldPieces): ShardRows => {
    const of = chunk === undefined ? "" : `chunk ${chunk} of `;
    const name = `${of}shard ${shard.sha256.slice(0, 12)} of ${dataset.name}`;
    const bytes = held.get(key);
    if (!bytes) throw new BitswarmError("DATA_INVALID", `${name} is needed, and was not fetched`);
    if (format.kind === "raw" || chunk === undefined) return readShard(dataset, bytes, shard.samples, name);
    const rows = readChunk(format, bytes, samplesOfChunk(format, shard.samples, chunk), name);
    return (row) => rows(row % format.chunk);
  };

  return {
    piecesOf(split, samples) {
      const wanted = new Map<string, Piece>();
      for (const sample of samples) {
        const { piece } = placeOf(split, sample);
        wanted.set(piece.key, piece);
      }
      return [...wanted.values()];
    },

    read(split, samples, held) {
      const opened = new Map<string, ShardRows>();
      return samples.map((sample) => {
        const { piece, row } = placeOf(split, sample);
        const rows = opened.get(piece.key) ?? open(piece, held);
        opened.set(piece.key, rows);
        return rows(row);
      });
    },
  };
}

/** Samples are found by division, which only shards of one size allow; the last may hold more than a run uses of it. */
function checkShards(dataset: Dataset, split: Split): void {
  const { format } = dataset;
  const { shards, samples: drawn, draws } = dataset[split];
  const samples = storedSamples(dataset[split]);
  const total = shards.reduce((sum, shard) => sum + shard.samples, 0);
  const each = shards[0].samples;
  const even = shards.every((shard, i) => (i < shards.length - 1 ? shard.samples === each : shard.samples <= each));
  const needed = Number.isInteger(samples) && samples > each * (shards.length - 1) && samples <= total;
  if (!needed || !even) {
    throw new BitswarmError(
      "DATA_INVALID",
      `the ${split} split of ${dataset.name} announces ${drawn} samples${draws === undefined ? "" : `, ${draws} of each content`}; its ${shards.length} shards hold ${total}, ${even ? "evenly" : "unevenly"}`,
    );
  }
  if (format.kind === "bytes" && shards.length > 1 && each % format.chunk !== 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `the shards of ${dataset.name}'s ${split} split have ${each} samples, which are no whole chunks of ${format.chunk}`,
    );
  }
}
