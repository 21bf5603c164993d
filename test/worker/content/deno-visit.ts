// One visit of a Deno worker to a data set, as its process makes it: fetches pieces with what earlier visits kept, and
// prints what it got. Arguments: a JSON of DenoVisit.

import type { Shard } from "../../../shared/data/dataset.ts";
import { chunkPiece } from "../../../shared/data/piece.ts";
import { DatasetCache } from "../../../worker/content/dataset-cache.ts";
import { KeptContent } from "../../../worker/content/kept-content.ts";
import { fileContentStore } from "../../../worker/platform/deno/content-store.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import { chunkedDataset } from "./chunked-data.ts";

declare const Deno: { readonly args: readonly string[] };

export interface DenoVisit {
  readonly folder: string;
  readonly base: string;
  readonly shards: readonly Shard[];
  /** Of every shard. */
  readonly chunks: readonly number[];
  readonly capBytes: number;
}

const { folder, base, shards, chunks, capBytes }: DenoVisit = JSON.parse(Deno.args[0]);
const kept = await KeptContent.open(fileContentStore(folder, new URL(base).hostname, capBytes));
const backoff = { baseMs: 1, capMs: 4 };
const origin = { base, token: "t", kept, backoff, ports: runtimePorts() };
const cache = new DatasetCache(origin, chunkedDataset(...shards));
const before = kept?.bytes;
const pieces = shards.flatMap((shard) => chunks.map((chunk) => chunkPiece(shard, chunk)));
const held = await cache.hold(pieces);
console.log(JSON.stringify({ pieces: held.size, before, kept: kept?.bytes }));
