// What fetching content needs of the world outside: time, chance, HTTP and hashing are arguments, so that the
// simulation fetches in virtual time.

import type { Clock } from "../../shared/base/clock.ts";

/** What is read of an HTTP response. */
export interface FetchedContent {
  readonly ok: boolean;
  readonly status: number;
  /** Names are lower-case here. */
  readonly headers?: { get(name: string): string | null };
  arrayBuffer(): Promise<ArrayBuffer>;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** `reload`: past the HTTP cache. `no-store`: past it and not into it. */
  readonly cache: "default" | "reload" | "no-store";
  readonly headers?: Readonly<Record<string, string>>;
  /** For other servers than the coordinator. */
  readonly credentials?: "omit";
  readonly referrerPolicy?: "no-referrer";
}

/** The part of `fetch` that is used. */
export type FetchContent = (url: string, options: FetchOptions) => Promise<FetchedContent>;

export interface ContentPorts {
  readonly clock: Clock;
  /** In [0, 1), for waits that are to differ from worker to worker. */
  readonly random: () => number;
  readonly fetch: FetchContent;
  /** SHA-256 as hex. */
  readonly sha256: (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;
}
