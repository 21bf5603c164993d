// What the coordinator and its process for downloads say to each other. Sockets travel with `connection` and `back`.

import type { DownloadRates } from "../trust/download-limits.ts";

/** Whose requests it may answer, and within which limits; sent once, first. */
export interface ShardSettings {
  readonly type: "settings";
  readonly token: string;
  readonly operatorToken: string;
  /** Addresses of the proxies whose word is taken. */
  readonly proxies: readonly string[];
  readonly rates: DownloadRates;
  /** From a connection, or the last response on it, to the whole head of a request. */
  readonly headersMs: number;
  /** A response of which nothing is taken. */
  readonly stalledMs: number;
}

export type ToShardProcess =
  | ShardSettings
  /** A connection, with the head of the request that has been read of it. */
  | { readonly type: "connection"; readonly id: number; readonly head: string }
  /** The file of a shard that was asked for; none where there is no such shard. */
  | { readonly type: "found"; readonly ask: number; readonly file?: { readonly path: string; readonly bytes: number } }
  /** Ends a connection. */
  | { readonly type: "cut"; readonly id: number };

export type FromShardProcess =
  | { readonly type: "find"; readonly ask: number; readonly sha256: string }
  | { readonly type: "closed"; readonly id: number }
  /** A connection whose next request is none that is answered there: its head was read, and no more. */
  | { readonly type: "back"; readonly id: number; readonly head: string };
