// Rules of pieces: rows of one chunk are one piece, and a raw shard is one.

import { expect, test } from "vitest";
import { chunkPiece, pieceOf } from "../../../shared/data/piece.ts";

const shard = { sha256: "ab".repeat(32), samples: 6, bytes: 1000 };
const chunks = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 4 } as const;

test("a row of a raw shard lies in the shard, any other in its chunk", () => {
  expect(pieceOf({ kind: "raw" }, shard, 5)).toEqual({ key: shard.sha256, shard });
  expect([0, 3, 4, 5].map((row) => pieceOf(chunks, shard, row).chunk)).toEqual([0, 0, 1, 1]);
  expect(pieceOf(chunks, shard, 5)).toEqual({ key: `${shard.sha256}/1`, shard, chunk: 1 });
  expect(chunkPiece(shard, 1)).toEqual(pieceOf(chunks, shard, 5));
});
