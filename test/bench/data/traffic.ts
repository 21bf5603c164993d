// What an epoch's data cost in downloads, by how much each worker keeps and who is lent what: the caches of workers,
// the order of samples and the coordinator's choice are the real ones, in a world that is a twentieth of ImageNet.

import { createHash } from "node:crypto";
import { Holdings } from "../../../coordinator/engine/local/holdings.ts";
import { heldFirst } from "../../../coordinator/round/held-first.ts";
import { type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { type Rng, rng } from "../../../shared/base/rng.ts";
import type { BytesFormat, Dataset } from "../../../shared/data/dataset.ts";
import { indexBytes, writeShard } from "../../../shared/data/shard-layout.ts";
import { sampleOrder } from "../../../shared/samples/sample-order.ts";
import { sampleSource } from "../../../shared/samples/sample-source.ts";
import type { FetchContent } from "../../../worker/content/content-ports.ts";
import type { ContentStore, KeptEntry } from "../../../worker/content/content-store.ts";
import { DatasetCache } from "../../../worker/content/dataset-cache.ts";
import { KeptContent } from "../../../worker/content/kept-content.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import type { Emit } from "../line.ts";
import { rounded } from "../statistics.ts";

const SHARDS = 32;
const SHARD_SAMPLES = 2048;
const SAMPLES = SHARDS * SHARD_SAMPLES;
/** Contents are small: what counts is how many chunks there are, and shares of the set. */
const CONTENT_BYTES = 1000;
const MICROBATCH = 32;
/** Microbatches a step: a batch of 2,048. */
const STEP = 64;
const EPOCHS = 3;
/** Speeds of workers: e to the power of so many standard deviations. */
const SPREAD = 0.8;
/** Of the workers, so many are replaced by fresh ones in an epoch. */
const CHURN = 0.17;
/** What a worker keeps, as GB of a set of 41 GB: 1.28 million images of 32 KB. */
const SET_GB = 41;
const CACHES_GB: readonly number[] = [0.25, 1, 4];
const CROWDS: readonly number[] = [8, 50];
const CHUNKS: readonly number[] = [8, 32];

type Policy = "first come" | "holders first";

/** What a server of shards has, which sends each chunk as the same bytes. */
interface World {
  readonly dataset: Dataset;
  /** Of all chunks. */
  readonly bytes: number;
  readonly fetch: FetchContent;
  readonly sha256: (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;
}

function createWorld(chunk: number): World {
  const format: BytesFormat = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk };
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const shards = Array.from({ length: SHARDS }, (_, shard) => {
    const writer = writeShard({ format, shape: { h: 1, w: 1, c: 3 } }, SHARD_SAMPLES, hashOf);
    const draws = rng("bench", "traffic", shard);
    for (let i = 0; i < SHARD_SAMPLES; i++) {
      const content = new Uint8Array(CONTENT_BYTES).fill(draws.below(256));
      new DataView(content.buffer).setUint32(0, draws.uint32());
      writer.add({ content, target: Uint8Array.of(i & 255, 0) });
    }
    const { bytes, sha256 } = writer.take();
    files.set(sha256, bytes);
    return { sha256, samples: SHARD_SAMPLES, bytes: bytes.length };
  });
  const parts = new Map<string, ArrayBuffer>();
  const hashes = new WeakMap<ArrayBufferLike, string>();
  const fetch: FetchContent = async (url, { headers }) => {
    const [, sha256] = /\/shards\/([0-9a-f]{64})/.exec(url) ?? [];
    const range = headers?.range ?? "";
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
    const file = files.get(sha256 ?? "");
    if (!file || begin === undefined) return { ok: false, status: 404, arrayBuffer: async () => new ArrayBuffer(0) };
    const key = `${sha256} ${range}`;
    const part = parts.get(key) ?? file.slice(Number(begin), Number(last) + 1).buffer;
    parts.set(key, part);
    return { ok: true, status: 206, arrayBuffer: async () => part };
  };
  const sha256 = async ({ buffer }: Uint8Array<ArrayBuffer>) => {
    const known = hashes.get(buffer) ?? hashOf(new Uint8Array(buffer));
    hashes.set(buffer, known);
    return known;
  };
  const split = { samples: SAMPLES, shards };
  const dataset: Dataset = {
    ...{ name: "traffic", format, shape: { h: 1, w: 1, c: 3 }, classes: 256, mean: [0, 0, 0], std: [1, 1, 1] },
    train: split,
    test: split,
  };
  const bytes = shards.reduce((sum, shard) => sum + shard.bytes - indexBytes(format, SHARD_SAMPLES), 0);
  return { dataset, bytes, fetch, sha256 };
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A device's storage that keeps the very bytes. */
function storage(capBytes: number): ContentStore {
  const held = new Map<string, Uint8Array<ArrayBuffer>>();
  let time = 0;
  const used = new Map<string, number>();
  return {
    capBytes,
    list: async () =>
      [...held].map(([key, { length }]): KeptEntry => ({ key, bytes: length, usedAt: used.get(key) ?? 0 })),
    read: async (key) => {
      used.set(key, ++time);
      return held.get(key);
    },
    write: async (key, bytes) => {
      used.set(key, ++time);
      held.set(key, bytes);
    },
    remove: async (key) => {
      used.delete(key);
      held.delete(key);
    },
  };
}

interface Worker {
  readonly id: WorkerId;
  readonly speed: number;
  readonly cache: DatasetCache;
  fetched: number;
  changed: boolean;
}

async function createWorker(world: World, id: WorkerId, capBytes: number, draws: Rng): Promise<Worker> {
  const normal = Math.sqrt(-2 * Math.log(draws.uniform() + 2 ** -24)) * Math.cos(2 * Math.PI * draws.uniform());
  const ports = {
    ...runtimePorts(),
    sha256: world.sha256,
    fetch: async (...asked: Parameters<FetchContent>) => {
      const answer = await world.fetch(...asked);
      const { byteLength } = await answer.arrayBuffer();
      // Of contents as small as these an index is a larger share than of images, and is not counted.
      if (asked[1].headers?.range.startsWith("bytes=0-")) return answer;
      worker.fetched += byteLength;
      return answer;
    },
  };
  const kept = await KeptContent.open(storage(capBytes));
  const origin = { base: "http://coordinator", token: "t", kept, backoff: { baseMs: 1, capMs: 1 }, ports };
  // What is kept is all that counts here: a worker's memory is part of it.
  const cache = new DatasetCache(origin, world.dataset, 0);
  const worker: Worker = { id, speed: Math.exp(SPREAD * normal), cache, fetched: 0, changed: false };
  cache.onHolds(() => {
    worker.changed = true;
  });
  return worker;
}

/** Microbatches of a step by worker, in the order in which workers come, each as many as its speed is worth. */
function quotas(workers: readonly Worker[], count: number, draws: Rng): readonly (readonly [Worker, number])[] {
  const order = workers.map((worker) => ({ worker, power: worker.speed * (0.8 + 0.4 * draws.uniform()) }));
  for (let i = order.length - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const total = order.reduce((sum, { power }) => sum + power, 0);
  let reached = 0;
  let given = 0;
  return order.map(({ worker, power }) => {
    reached += power;
    const quota = Math.round((reached / total) * count) - given;
    given += quota;
    return [worker, quota] as const;
  });
}

interface Setting {
  readonly chunk: number;
  readonly crowd: number;
  readonly cacheGB: number;
  readonly policy: Policy;
}

async function measure(world: World, { chunk, crowd, cacheGB, policy }: Setting, emit: Emit): Promise<void> {
  const { dataset } = world;
  const capBytes = Math.round((world.bytes * cacheGB) / SET_GB);
  const draws = rng("bench", "traffic", crowd, cacheGB, policy, chunk);
  const { piecesOf } = sampleSource(dataset);
  const chunks = SAMPLES / chunk;
  const holdings = new Holdings(policy === "holders first" ? chunks : 0);
  let born = 0;
  const fresh = () => createWorker(world, workerId(`w${++born}`), capBytes, draws);
  const workers = await Promise.all(Array.from({ length: crowd }, fresh));
  const bits = new Uint8Array(Math.ceil(chunks / 8));
  const firstOf = new Map(dataset.train.shards.map(({ sha256 }, i) => [sha256, (i * SHARD_SAMPLES) / chunk]));
  const tell = ({ id, cache }: Worker) => {
    bits.fill(0);
    for (const [shard, held] of cache.holds) {
      for (const at of held) {
        const number = (firstOf.get(shard) ?? 0) + at;
        bits[number >> 3] |= 1 << (number & 7);
      }
    }
    holdings.told(id, 0, bits);
  };

  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const sampleAt = sampleOrder(1, dataset, { phase: "student", epoch, split: "train" });
    const samplesOf = (microbatch: number) =>
      Array.from({ length: MICROBATCH }, (_, i) => sampleAt(microbatch * MICROBATCH + i));
    const total = { bytes: 0, peak: 0 };
    const steps = SAMPLES / MICROBATCH / STEP;
    for (let step = 0; step < steps; step++) {
      for (const [i, worker] of workers.entries()) {
        if (draws.uniform() >= CHURN / steps) continue;
        holdings.left(worker.id);
        worker.cache.close();
        workers[i] = await fresh();
      }
      const samples = Array.from({ length: STEP }, (_, i) => samplesOf(step * STEP + i));
      const chunksOf = samples.map((of) => [...new Set(of.map((sample) => Math.floor(sample / chunk)))]);
      const chooser = heldFirst(chunksOf, holdings);
      const free = new Set(samples.keys());
      let bytes = 0;
      for (const [worker, quota] of quotas(workers, STEP, draws)) {
        const chosen =
          policy === "first come"
            ? [...free].slice(0, quota)
            : chooser.choose(worker.id, { from: 0, to: STEP }, quota, (one) => free.has(one));
        const before = worker.fetched;
        for (const microbatch of chosen) {
          free.delete(microbatch);
          await worker.cache.hold(piecesOf("train", samples[microbatch]));
        }
        bytes += worker.fetched - before;
        if (policy === "holders first" && worker.changed) tell(worker);
        worker.changed = false;
      }
      total.bytes += bytes;
      total.peak = Math.max(total.peak, bytes);
    }
    if (epoch < EPOCHS - 1) continue;
    await emit({
      record: "traffic",
      name: `chunks of ${chunk}, ${policy}`,
      workers: crowd,
      cacheGB,
      sets: rounded(total.bytes / world.bytes, 3),
      peakOfSet: rounded(total.peak / world.bytes, 3),
    });
  }
  for (const { cache } of workers) cache.close();
}

/** @param crowds of how many workers */
export async function benchTraffic(
  emit: Emit,
  crowds = CROWDS,
  cachesGB = CACHES_GB,
  chunkSizes = CHUNKS,
): Promise<void> {
  for (const chunk of chunkSizes) {
    const world = createWorld(chunk);
    for (const policy of ["first come", "holders first"] as const) {
      for (const crowd of crowds) {
        for (const cacheGB of cachesGB) await measure(world, { chunk, crowd, cacheGB, policy }, emit);
      }
    }
  }
}
