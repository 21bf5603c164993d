// Holds the pieces of the data set that a worker computes with: verified, one download each however many ask, the least
// recently used dropped from memory first.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { BytesFormat, Dataset, Shard } from "../../shared/data/dataset.ts";
import type { HeldPieces, Piece } from "../../shared/data/piece.ts";
import { indexBytes, readIndex, type ShardIndex } from "../../shared/data/shard-layout.ts";
import { type Content, type Fetched, fetchContent, verifyContent, wholeContent } from "./content-fetch.ts";
import type { ContentOrigin } from "./content-origin.ts";
import { SignedPlaces } from "./content-places.ts";
import { ChunkCounter, chunkKey, type HeldChunks, indexKey } from "./held-chunks.ts";

/** Bytes of pieces kept in memory. Fashion-MNIST whole is 52 MiB; the device or the coordinator has the rest. */
export const MEMORY_CAP_BYTES = 512 * 2 ** 20;
/** The same where chunks are kept on the device: each is read again in another epoch, long after. */
export const CHUNK_MEMORY_BYTES = 128 * 2 ** 20;
/** Downloads at a time: enough to fill a link, few enough not to starve the coordinator's sockets. */
export const PARALLEL = 6;

/** What the cache reads of a manifest. */
export type CachedDataset = Pick<Dataset, "name" | "format" | "train" | "test" | "presigned">;

type Bytes = Uint8Array<ArrayBuffer>;

export class DatasetCache {
  readonly #origin: ContentOrigin;
  readonly #dataset: CachedDataset;
  readonly #capBytes: number;
  readonly #signed: SignedPlaces | undefined;
  readonly #counter: ChunkCounter;
  readonly #unlisten: () => void;
  /** By the key that it is kept under, in order of use, the oldest first. */
  readonly #held = new Map<string, Bytes>();
  readonly #pending = new Map<string, Promise<Bytes>>();
  readonly #indexes = new Map<string, Promise<ShardIndex>>();
  readonly #closing = new AbortController();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #bytes = 0;
  /** Shards that come whole, though a part was asked for: one download each. */
  readonly #wholes = new Map<string, Promise<unknown>>();
  #rangesIgnored = false;

  constructor(origin: ContentOrigin, dataset: CachedDataset, capBytes: number = memoryCap(origin, dataset)) {
    this.#origin = origin;
    this.#dataset = dataset;
    this.#capBytes = capBytes;
    this.#signed = dataset.presigned ? new SignedPlaces(origin) : undefined;
    this.#counter = new ChunkCounter(dataset);
    for (const key of origin.kept?.keys() ?? []) this.#counter.count(key, true);
    this.#unlisten = origin.kept?.listen((key, kept) => this.#counter.count(key, kept)) ?? (() => undefined);
  }

  /** Bytes in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What needs no download: a view that changes. What is kept on the device was not looked at yet. */
  get holds(): HeldChunks {
    return this.#counter.held;
  }

  /** Calls whenever `holds` has changed, until the result is called. */
  onHolds(listener: () => void): () => void {
    return this.#counter.listen(listener);
  }

  /**
   * The bytes of all these pieces, fetched where they are not held. The caller's map keeps them alive, even those over
   * the cap.
   * @throws as fetchContent, DATA_INVALID for an index that is none
   */
  async hold(pieces: readonly Piece[]): Promise<HeldPieces> {
    const wanted = await Promise.all(pieces.map(async (piece) => [piece.key, await this.#piece(piece)] as const));
    return new Map(wanted);
  }

  /** A frozen network's parameters. @throws as fetchContent */
  blob(sha256: string): Promise<Bytes> {
    return this.#get(`blobs/${sha256}`, async () => (await this.#fetch(wholeContent("blobs", sha256))).bytes);
  }

  /** Ends downloads that are under way and lets go of everything in memory. */
  close(): void {
    this.#closing.abort();
    this.#unlisten();
    this.#held.clear();
    this.#indexes.clear();
    this.#bytes = 0;
  }

  #piece({ shard, chunk }: Piece): Promise<Bytes> {
    const { format, name } = this.#dataset;
    const { sha256, bytes } = shard;
    if (chunk !== undefined && format.kind === "bytes") {
      return this.#get(chunkKey(sha256, chunk), () => this.#chunk(format, shard, chunk));
    }
    if (chunk !== undefined || format.kind !== "raw") throw new RangeError(`a piece is not of ${name}'s format`);
    return this.#get(`shards/${sha256}`, async () => (await this.#fetch(wholeContent("shards", sha256, bytes))).bytes);
  }

  async #chunk(format: BytesFormat, shard: Shard, chunk: number): Promise<Bytes> {
    const index = await this.#index(format, shard);
    const content = chunkContent(shard, index, chunk);
    if (!this.#rangesIgnored) return this.#part(shard, index, content);
    // One at a time, since each brings all of them.
    const before = this.#wholes.get(shard.sha256) ?? Promise.resolve();
    const turn = before.then(() => this.#held.get(content.key) ?? this.#part(shard, index, content));
    const done = () => undefined;
    this.#wholes.set(shard.sha256, turn.then(done, done));
    return turn;
  }

  /** Fetches a chunk; where the whole shard comes, all of it is taken. */
  async #part(shard: Shard, index: ShardIndex, content: Content): Promise<Bytes> {
    const { bytes, whole } = await this.#fetch(content);
    if (whole) await this.#takeWhole(shard, index, whole);
    return bytes;
  }

  #index(format: BytesFormat, shard: Shard): Promise<ShardIndex> {
    const known = this.#indexes.get(shard.sha256);
    if (known) return known;
    const reading = this.#readIndex(format, shard);
    this.#indexes.set(shard.sha256, reading);
    reading.catch(() => this.#indexes.delete(shard.sha256));
    return reading;
  }

  async #readIndex(format: BytesFormat, shard: Shard): Promise<ShardIndex> {
    const { sha256, samples, bytes: of } = shard;
    const name = `shard ${sha256.slice(0, 12)} of ${this.#dataset.name}`;
    const end = indexBytes(format, samples);
    if (end > of) {
      throw new BitswarmError("DATA_INVALID", `${name} has ${of} bytes; the index of ${samples} samples has ${end}`);
    }
    const range = { begin: 0, end, of };
    const content = { folder: "shards", name: sha256, key: indexKey(sha256), sha256, bytes: end, range } as const;
    const { bytes, whole } = await this.#fetch(content);
    const index = readIndex(format, shard, bytes, name);
    if (whole) await this.#takeWhole(shard, index, whole);
    return index;
  }

  /** Takes what is right of a shard that came whole. */
  async #takeWhole(shard: Shard, index: ShardIndex, whole: Bytes): Promise<void> {
    this.#rangesIgnored = true;
    for (let chunk = 0; chunk < index.chunks; chunk++) {
      const content = chunkContent(shard, index, chunk);
      if (this.#held.has(content.key)) continue;
      const bytes = whole.slice(content.range.begin, content.range.end);
      try {
        await verifyContent(bytes, content, this.#origin.ports);
      } catch {
        // It is asked for again when it is needed.
        continue;
      }
      await this.#origin.kept?.keep(content.key, bytes);
      this.#keep(content.key, bytes);
    }
  }

  /** Waits for its turn, then fetches. */
  async #fetch(content: Content): Promise<Fetched> {
    if (this.#running < PARALLEL) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const signed = content.folder === "shards" ? this.#signed : undefined;
      return await fetchContent(content, this.#origin, this.#closing.signal, signed);
    } finally {
      // The next in the line has the place of this one.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  #get(key: string, load: () => Promise<Bytes>): Promise<Bytes> {
    const held = this.#held.get(key);
    if (held) {
      this.#held.delete(key);
      this.#held.set(key, held);
      return Promise.resolve(held);
    }
    const pending = this.#pending.get(key);
    if (pending) return pending;
    const fetched = load()
      .then((bytes) => this.#keep(key, bytes))
      .finally(() => this.#pending.delete(key));
    this.#pending.set(key, fetched);
    return fetched;
  }

  #keep(key: string, bytes: Bytes): Bytes {
    if (this.#closing.signal.aborted || this.#held.has(key)) return bytes;
    this.#held.set(key, bytes);
    this.#bytes += bytes.length;
    this.#counter.count(key, true);
    for (const [oldest, dropped] of this.#held) {
      if (this.#bytes <= this.#capBytes) break;
      this.#held.delete(oldest);
      this.#bytes -= dropped.length;
      this.#counter.count(oldest, false);
    }
    return bytes;
  }
}

function memoryCap({ kept }: ContentOrigin, { format }: CachedDataset): number {
  return kept && format.kind === "bytes" ? CHUNK_MEMORY_BYTES : MEMORY_CAP_BYTES;
}

function chunkContent({ sha256: name, bytes: of }: Shard, index: ShardIndex, chunk: number) {
  const { begin, end, sha256 } = index.chunk(chunk);
  const range = { begin, end, of };
  return { folder: "shards", name, key: chunkKey(name, chunk), sha256, bytes: end - begin, range } as const;
}
