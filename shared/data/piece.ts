// A piece of a data set: what a worker fetches, keeps and opens at once.

import type { SampleFormat, Shard } from "./dataset.ts";

export interface Piece {
  /** Its shard's name, and behind a slash the chunk's number in it. */
  readonly key: string;
  readonly shard: Shard;
  /** Of a shard of chunks; a raw shard is one piece. */
  readonly chunk?: number;
}

/** The bytes of pieces by their keys. */
export type HeldPieces = ReadonlyMap<string, Uint8Array>;

/** The piece that a row of a shard lies in. */
export function pieceOf(format: SampleFormat, shard: Shard, row: number): Piece {
  if (format.kind === "raw") return { key: shard.sha256, shard };
  return chunkPiece(shard, Math.floor(row / format.chunk));
}

/** A chunk as a piece. */
export function chunkPiece(shard: Shard, chunk: number): Piece & { readonly chunk: number } {
  return { key: `${shard.sha256}/${chunk}`, shard, chunk };
}
