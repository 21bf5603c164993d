// Fetches bytes by their SHA-256, from what is kept on this device, from the coordinator or from where it says, and
// believes nothing that does not hash to its name.

import { BitswarmError } from "../../shared/base/errors.ts";
import { backoffMs } from "../backoff.ts";
import { sleep } from "../clock.ts";
import type { ContentOrigin } from "./content-origin.ts";
import { ownPlace, type Place, type SignedPlaces } from "./content-places.ts";
import type { ContentPorts, FetchedContent, FetchOptions } from "./content-ports.ts";

/** Times that one content is asked for before giving up. */
export const CONTENT_ATTEMPTS = 4;
/** Of these, so many where a signed address says; the coordinator is asked after them. */
export const SIGNED_ATTEMPTS = 2;
/** An answer is waited for so long, and as long again as its bytes take at the slowest rate. */
export const CONTENT_WAIT_MS = 30_000;
export const SLOWEST_BYTES_PER_MS = 8;
/** The longest that a server may ask to wait before it is asked again. */
export const MOST_RETRY_AFTER_MS = 60_000;
/** Times that it may ask so for one content: that it has much to do is no failure. */
export const MOST_RETRY_AFTERS = 30;

/** Shards of the data set, or frozen parameters. */
export type ContentFolder = "shards" | "blobs";

/** A part of a file. */
export interface ContentRange {
  readonly begin: number;
  readonly end: number;
  /** Bytes of the whole file. */
  readonly of: number;
}

export interface Content {
  readonly folder: ContentFolder;
  /** Of the file that it is, or is in. */
  readonly name: string;
  /** Under which it is kept on this device. */
  readonly key: string;
  readonly sha256: string;
  /** Exact length where it is known. */
  readonly bytes?: number;
  readonly range?: ContentRange;
}

/** Everything of a file that is wanted whole. */
export function wholeContent(folder: ContentFolder, sha256: string, bytes?: number): Content {
  return { folder, name: sha256, key: `${folder}/${sha256}`, sha256, bytes };
}

export interface Fetched {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The whole file, where a server sent it though a part was asked for; only the part was looked at. */
  readonly whole?: Uint8Array<ArrayBuffer>;
}

const nameOf = ({ folder, name, range }: Content): string =>
  `${folder}/${name}${range ? ` from byte ${range.begin} to ${range.end}` : ""}`;

/** @throws DATA_INVALID for other bytes than the content's */
export async function verifyContent(
  bytes: Uint8Array<ArrayBuffer>,
  content: Content,
  { sha256 }: Pick<ContentPorts, "sha256">,
): Promise<void> {
  const { bytes: wanted } = content;
  if (wanted !== undefined && bytes.length !== wanted) {
    throw new BitswarmError("DATA_INVALID", `${nameOf(content)} must be ${wanted} bytes; got ${bytes.length}`);
  }
  const actual = await sha256(bytes);
  if (actual !== content.sha256) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${nameOf(content)} came as ${bytes.length} bytes with SHA-256 ${actual}, not ${content.sha256}: something on the way changed it; reload, or check the coordinator's disk`,
    );
  }
}

function refusal(status: number, content: Content): BitswarmError {
  const name = nameOf(content);
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

/** How long a server asks to be left alone, in whole seconds as most say it. */
function retryAfterMs({ headers }: FetchedContent): number {
  const seconds = Number(headers?.get("retry-after") ?? 0);
  return Number.isFinite(seconds) ? Math.min(MOST_RETRY_AFTER_MS, Math.max(0, seconds * 1000)) : 0;
}

/** A refusal with the time for which the server wants to be left alone. */
class Refused {
  readonly error: BitswarmError;
  readonly waitMs: number;

  constructor(error: BitswarmError, waitMs: number) {
    this.error = error;
    this.waitMs = waitMs;
  }
}

/** @throws DATA_INVALID for another part of the file than the one that was asked for */
function partOf(
  response: FetchedContent,
  body: Uint8Array<ArrayBuffer>,
  content: Content,
  range: ContentRange,
): Fetched {
  const { begin, end, of } = range;
  if (response.status === 206) {
    const said = response.headers?.get("content-range");
    // Other servers do not show it to every page; the hash decides then.
    if (said && !new RegExp(`^bytes ${begin}-${end - 1}/(?:${of}|\\*)$`, "i").test(said.trim())) {
      throw new BitswarmError("DATA_INVALID", `${nameOf(content)} was answered with ${said.slice(0, 80)} of ${of}`);
    }
    return { bytes: body };
  }
  if (body.length !== of) {
    throw new BitswarmError("DATA_INVALID", `${nameOf(content)} must be in ${of} bytes; got ${body.length}`);
  }
  return { bytes: body.slice(begin, end), whole: body };
}

/** Bytes of an answer's body, where they are known before it comes. */
function expectedBytes({ range, bytes }: Content, status: number): number | undefined {
  if (!range) return bytes;
  return status === 200 ? range.of : range.end - range.begin;
}

/** Asks once. @throws what breaks the asking off, DATA_INVALID for an answer that is too long to be read */
async function answer(
  content: Content,
  { url }: Place,
  ports: ContentPorts,
  signal: AbortSignal,
  options: Omit<FetchOptions, "signal">,
): Promise<{ readonly response: FetchedContent; readonly body: Uint8Array<ArrayBuffer> }> {
  const ending = new AbortController();
  const stop = () => ending.abort(signal.reason);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  let cancel = () => {};
  const allow = (bytes: number | undefined) => {
    cancel();
    if (bytes === undefined) return;
    const late = () => ending.abort(new Error(`its ${bytes} bytes took too long`));
    cancel = ports.clock.after(CONTENT_WAIT_MS + bytes / SLOWEST_BYTES_PER_MS, late);
  };
  try {
    allow(expectedBytes(content, 206));
    const response = await ports.fetch(url, { ...options, signal: ending.signal });
    const most = response.ok ? expectedBytes(content, response.status) : undefined;
    if (most !== undefined) allow(most);
    const announced = Number(response.headers?.get("content-length") ?? 0);
    if (most !== undefined && announced > most) {
      throw new BitswarmError("DATA_INVALID", `${nameOf(content)} must be ${most} bytes; ${announced} are to come`);
    }
    return { response, body: new Uint8Array(await response.arrayBuffer()) };
  } catch (error) {
    ending.abort(error);
    throw error;
  } finally {
    cancel();
    signal.removeEventListener("abort", stop);
  }
}

async function download(
  content: Content,
  place: Place,
  from: ContentOrigin,
  attempt: number,
  signal: AbortSignal,
): Promise<Fetched> {
  const { range } = content;
  const asked = await answer(content, place, from.ports, signal, {
    ...place.options,
    // A copy that failed must not come back from the HTTP cache, where immutable content would stay for a year; and
    // parts would lie there beside those that are kept.
    cache: range || place.options ? "no-store" : attempt === 1 ? "default" : "reload",
    ...(range ? { headers: { range: `bytes=${range.begin}-${range.end - 1}` } } : {}),
  }).catch((cause) => {
    if (cause instanceof BitswarmError) throw cause;
    const message = `${nameOf(content)} did not arrive: ${(cause as Error).message}`;
    throw new BitswarmError("RUN_UNREACHABLE", message, { cause });
  });
  const { response, body } = asked;
  if (!response.ok) throw new Refused(refusal(response.status, content), retryAfterMs(response));
  const fetched = range ? partOf(response, body, content, range) : { bytes: body };
  await verifyContent(fetched.bytes, content, from.ports);
  return fetched;
}

/** A verified copy from this device; a wrong one is removed. */
export async function keptCopy(content: Content, { kept, ports }: ContentOrigin) {
  const bytes = await kept?.read(content.key);
  if (!bytes) return undefined;
  try {
    await verifyContent(bytes, content, ports);
    return bytes;
  } catch {
    await kept?.drop(content.key);
    return undefined;
  }
}

/**
 * The bytes of a content, from this device or from a server; what a server sent is kept.
 * @param signed addresses elsewhere, where shards have them
 * @throws DATA_INVALID when it never hashes to its name, DATA_MISSING, TOKEN_INVALID, RUN_UNREACHABLE; the signal's
 * reason when aborted
 */
export async function fetchContent(
  content: Content,
  from: ContentOrigin,
  signal: AbortSignal,
  signed?: SignedPlaces,
): Promise<Fetched> {
  const copy = await keptCopy(content, from);
  if (copy) return { bytes: copy };
  const own = ownPlace(from, `${content.folder}/${content.name}`);
  let patience = MOST_RETRY_AFTERS;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    const elsewhere = attempt <= SIGNED_ATTEMPTS ? await signed?.placeOf(content.name, signal) : undefined;
    try {
      const fetched = await download(content, elsewhere ?? own, from, attempt, signal);
      await from.kept?.keep(content.key, fetched.bytes);
      return fetched;
    } catch (failure) {
      signal.throwIfAborted();
      const { error, waitMs } = failure instanceof Refused ? failure : { error: failure, waitMs: 0 };
      if (waitMs > 0 && patience-- > 0) attempt--;
      else if (elsewhere) signed?.refused(content.name, elsewhere);
      if (attempt >= CONTENT_ATTEMPTS || (!elsewhere && isFinal(error))) throw error;
      // Beyond what was asked for, lest all who were told the same come back together.
      const pause = backoffMs(from.backoff, Math.max(1, attempt), from.ports.random());
      await sleep(from.ports.clock, waitMs + pause, signal);
    }
  }
}
