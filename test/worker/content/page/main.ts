// A browser's visits to a data set: the test that opened this page says what to fetch, and what to break before.

import type { Piece } from "../../../../shared/data/piece.ts";
import { type CachedDataset, DatasetCache } from "../../../../worker/content/dataset-cache.ts";
import type { KeptContent } from "../../../../worker/content/kept-content.ts";
import { openKeptContent } from "../../../../worker/platform/browser/content-store.ts";
import { runtimePorts } from "../../../../worker/platform/runtime-ports.ts";

export interface Seen {
  /** Bytes of the pieces, in order. */
  readonly lengths: readonly number[];
  readonly kept: number | undefined;
  readonly capBytes: number | undefined;
}

let kept: KeptContent | undefined;

async function open(mostMiB?: number): Promise<number | undefined> {
  kept = await openKeptContent(location.href, mostMiB);
  return kept?.capBytes;
}

async function visit(dataset: CachedDataset, pieces: readonly Piece[]): Promise<Seen> {
  const backoff = { baseMs: 1, capMs: 4 };
  const cache = new DatasetCache({ base: location.origin, token: "t", kept, backoff, ports: runtimePorts() }, dataset);
  const held = await cache.hold(pieces);
  cache.close();
  return {
    lengths: pieces.map(({ key }) => held.get(key)?.length ?? -1),
    kept: kept?.bytes,
    capBytes: kept?.capBytes,
  };
}

Object.assign(globalThis, { content: { open, visit } });
