// Fetches bytes by their SHA-256 from the coordinator and believes nothing that does not hash to its name.

import { BitswarmError } from "../../shared/base/errors.ts";
import { sleep } from "../clock.ts";
import { type BackoffRange, backoffMs } from "./backoff.ts";
import type { FetchedContent, SessionPorts } from "./session-ports.ts";

/** Times that one content is asked for before giving up. */
export const CONTENT_ATTEMPTS = 4;

/** Shards of the data set, or frozen parameters. */
export type ContentFolder = "shards" | "blobs";

export interface Content {
  readonly folder: ContentFolder;
  readonly sha256: string;
  /** Exact length where it is known. */
  readonly bytes?: number;
}

/** What of the Cache interface is used; a missing one only costs a second download after a reload. */
export type ContentCache = Pick<Cache, "match" | "put" | "delete">;

export interface ContentOrigin {
  /** The coordinator's address, as a link has it (`JoinLink`). */
  readonly base: string;
  readonly token: string;
  readonly cache: ContentCache | undefined;
  readonly backoff: BackoffRange;
  readonly ports: Pick<SessionPorts, "clock" | "random" | "fetch" | "sha256">;
}

async function verify(
  bytes: Uint8Array<ArrayBuffer>,
  { folder, sha256, bytes: wanted }: Content,
  { ports }: ContentOrigin,
): Promise<void> {
  if (wanted !== undefined && bytes.length !== wanted) {
    throw new BitswarmError("DATA_INVALID", `${folder}/${sha256} must be ${wanted} bytes; got ${bytes.length}`);
  }
  const actual = await ports.sha256(bytes);
  if (actual !== sha256) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${folder}/${sha256} came as ${bytes.length} bytes with SHA-256 ${actual}: something on the way changed it; reload, or check the coordinator's disk`,
    );
  }
}

function refusal(status: number, content: Content): BitswarmError {
  const name = `${content.folder}/${content.sha256}`;
  switch (status) {
    case 401:
    case 403:
      return new BitswarmError(
        "TOKEN_INVALID",
        `the coordinator refuses ${name}: the link's token is not this run's; ask for a new link`,
      );
    case 404:
      return new BitswarmError("DATA_MISSING", `the coordinator does not have ${name}: it may serve another run now`);
    default:
      return new BitswarmError("RUN_UNREACHABLE", `${name} was answered with HTTP ${status}`);
  }
}

/** A refusal that asking again does not change. */
function isFinal(error: unknown): boolean {
  return error instanceof BitswarmError && (error.code === "TOKEN_INVALID" || error.code === "DATA_MISSING");
}

async function download(
  content: Content,
  from: ContentOrigin,
  attempt: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = `${from.base}/${content.folder}/${content.sha256}?token=${encodeURIComponent(from.token)}`;
  let response: FetchedContent;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    // A copy that failed must not come back from the HTTP cache, where immutable content would stay for a year.
    response = await from.ports.fetch(url, { signal, cache: attempt === 1 ? "default" : "reload" });
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw new BitswarmError(
      "RUN_UNREACHABLE",
      `${content.folder}/${content.sha256} did not arrive: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!response.ok) throw refusal(response.status, content);
  await verify(bytes, content, from);
  return bytes;
}

/**
 * A verified copy from Cache storage; a wrong one is removed. Storage may fail at any time (quota, private windows).
 */
async function cached(
  key: string,
  content: Content,
  cache: ContentCache,
  from: ContentOrigin,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    const response = await cache.match(key);
    if (!response) return undefined;
    const bytes = new Uint8Array(await response.arrayBuffer());
    await verify(bytes, content, from);
    return bytes;
  } catch {
    await cache.delete(key).catch(() => false);
    return undefined;
  }
}

/**
 * The bytes of a content, from Cache storage or the coordinator.
 * @throws DATA_INVALID when it never hashes to its name, DATA_MISSING, TOKEN_INVALID, RUN_UNREACHABLE; the signal's
 * reason when aborted
 */
export async function fetchContent(
  content: Content,
  from: ContentOrigin,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  // Without the token: the same content serves the next run too.
  const key = `${from.base}/${content.folder}/${content.sha256}`;
  const stored = from.cache && (await cached(key, content, from.cache, from));
  if (stored) return stored;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      const bytes = await download(content, from, attempt, signal);
      // The body is the whole array: a Response copies it, so the caller's bytes stay its own.
      await from.cache?.put(key, new Response(bytes)).catch(() => undefined);
      return bytes;
    } catch (error) {
      signal.throwIfAborted();
      if (attempt >= CONTENT_ATTEMPTS || isFinal(error)) throw error;
      await sleep(from.ports.clock, backoffMs(from.backoff, attempt, from.ports.random()), signal);
    }
  }
}
