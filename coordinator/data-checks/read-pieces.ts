// Pieces of a run's data set out of its shards' files, verified as a worker does: a damaged file here must not make
// anybody a liar.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset, Shard } from "../../shared/data/dataset.ts";
import type { HeldPieces, Piece } from "../../shared/data/piece.ts";
import { indexBytes, readIndex, type ShardIndex } from "../../shared/data/shard-layout.ts";
import type { OpenDataset } from "../data/open-dataset.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { StoredBytes } from "../disk/stored-file.ts";

/** Raw shards that are kept: a permuted lease touches many, and the next one the same. */
const KEPT_BYTES = 64 * 2 ** 20;
/** Indices that are kept, of some KiB each. */
const KEPT_INDICES = 256;

export type HoldPieces = (pieces: readonly Piece[]) => Promise<HeldPieces>;

async function bytesOf(file: StoredBytes, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - begin);
  let at = 0;
  for await (const part of file.stream(begin, end)) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function requireHash(bytes: Uint8Array, sha256: string, what: string): void {
  const found = contentHash(bytes);
  if (found === sha256) return;
  throw new BitswarmError("DATA_INVALID", `${what} hashes to ${found.slice(0, 12)}…, expected ${sha256.slice(0, 12)}…`);
}

/** @throws DATA_MISSING, DATA_INVALID */
export function pieceReader({ dataset, shard: open }: Pick<OpenDataset, "dataset" | "shard">): HoldPieces {
  const { format, name } = dataset;
  const indices = new Map<string, ShardIndex>();
  const raw = new Map<string, Uint8Array>();

  const fileOf = async ({ sha256 }: Shard): Promise<StoredBytes> => {
    const file = await open(sha256);
    if (file) return file;
    throw new BitswarmError("DATA_MISSING", `shard ${sha256.slice(0, 12)}… of ${name} cannot be read here`);
  };

  const indexOf = async (shard: Shard, file: StoredBytes, of: ChunkFormat): Promise<ShardIndex> => {
    const known = indices.get(shard.sha256);
    if (known) return known;
    const what = `the index of shard ${shard.sha256.slice(0, 12)}… of ${name}`;
    const bytes = await bytesOf(file, 0, indexBytes(of, shard.samples));
    requireHash(bytes, shard.sha256, what);
    const index = readIndex(of, shard, bytes, what);
    const [oldest] = indices.keys();
    if (indices.size >= KEPT_INDICES && oldest !== undefined) indices.delete(oldest);
    indices.set(shard.sha256, index);
    return index;
  };

  const rawShard = async (shard: Shard): Promise<Uint8Array> => {
    const known = raw.get(shard.sha256);
    if (known) return known;
    const bytes = await bytesOf(await fileOf(shard), 0, shard.bytes);
    requireHash(bytes, shard.sha256, `shard ${shard.sha256.slice(0, 12)}… of ${name}`);
    raw.set(shard.sha256, bytes);
    let kept = [...raw.values()].reduce((sum, one) => sum + one.length, 0);
    for (const [oldest, dropped] of raw) {
      if (kept <= KEPT_BYTES || oldest === shard.sha256) break;
      raw.delete(oldest);
      kept -= dropped.length;
    }
    return bytes;
  };

  const read = async ({ shard, chunk }: Piece): Promise<Uint8Array> => {
    if (format.kind === "raw" || chunk === undefined) return rawShard(shard);
    const file = await fileOf(shard);
    const { begin, end, sha256 } = (await indexOf(shard, file, format)).chunk(chunk);
    const bytes = await bytesOf(file, begin, end);
    requireHash(bytes, sha256, `chunk ${chunk} of shard ${shard.sha256.slice(0, 12)}… of ${name}`);
    return bytes;
  };

  return async (pieces) => {
    const held = new Map<string, Uint8Array>();
    for (const piece of pieces) held.set(piece.key, await read(piece));
    return held;
  };
}

type ChunkFormat = Extract<Dataset["format"], { kind: "bytes" }>;
