// How much of the data set an address may fetch: so many requests and so many bytes, steadily and at once. Who computes
// needs a small part of it; whoever only downloads is slowed down.

import { BitswarmError } from "../../shared/base/errors.ts";
import { fullBucket, isFull, type Rate, type TokenBucket, takeToken } from "../base/token-bucket.ts";
import { addressKey } from "./address-limits.ts";

/**
 * Requests of one address in a second, and at once after a silence. A worker that computes 100 images a second fetches
 * 13 chunks of 8: this is a class room of thirty such, and what they fetch ahead.
 */
export const REQUESTS: Rate = { perSecond: 500, burst: 10_000 };
/** Bytes, likewise; at once more than the largest shard has. */
export const BYTES: Rate = { perSecond: 64 * 2 ** 20, burst: 2 ** 31 };
/** Addresses remembered; the oldest are forgotten. */
export const REMEMBERED_DOWNLOADERS = 10_000;

interface Downloader {
  readonly requests: TokenBucket;
  readonly bytes: TokenBucket;
}

export interface DownloadRates {
  readonly requests: Rate;
  readonly bytes: Rate;
}

export const downloadRates: DownloadRates = { requests: REQUESTS, bytes: BYTES };

/** A refusal, and after how long the same is welcome. */
export class TooMuch extends BitswarmError {
  readonly retrySeconds: number;

  constructor(message: string, retryMs: number) {
    const retrySeconds = Math.ceil(retryMs / 1000);
    super("RATE_LIMITED", `${message}; try again in ${retrySeconds} s`);
    this.retrySeconds = retrySeconds;
  }
}

export class DownloadLimits {
  readonly #rates: DownloadRates;
  readonly #downloaders = new Map<string, Downloader>();

  constructor(rates: DownloadRates = downloadRates) {
    this.#rates = rates;
  }

  /** Addresses that are counted now. */
  get size(): number {
    return this.#downloaders.size;
  }

  /** Counts an answer. @throws TooMuch, RATE_LIMITED */
  take(now: number, address: string, answerBytes: number): void {
    const { requests, bytes } = this.#rates;
    const key = addressKey(address);
    const known = this.#downloaders.get(key);
    const request = takeToken(known?.requests ?? fullBucket(now, requests), now, requests);
    const answer = takeToken(known?.bytes ?? fullBucket(now, bytes), now, bytes, Math.min(answerBytes, bytes.burst));
    const refused = request.kind === "empty" || answer.kind === "empty";
    // Of a request that is refused the bytes are not counted.
    const kept = { requests: request.bucket, bytes: refused && known ? known.bytes : answer.bucket };
    this.#keep(now, key, kept);
    if (request.kind === "empty") {
      const what = `this address asks for more than ${requests.perSecond} pieces of the data set a second`;
      throw new TooMuch(what, request.retryMs);
    }
    if (answer.kind === "empty") {
      const what = `this address fetches more than ${Math.round(bytes.perSecond / 2 ** 20)} MiB of the data set a second`;
      throw new TooMuch(what, answer.retryMs);
    }
  }

  #keep(now: number, key: string, downloader: Downloader): void {
    // Set anew, so that the order of the map is that of the last visit.
    this.#downloaders.delete(key);
    this.#downloaders.set(key, downloader);
    for (const [oldest, { requests, bytes }] of this.#downloaders) {
      const forgivable = isFull(requests, now, this.#rates.requests) && isFull(bytes, now, this.#rates.bytes);
      if (!forgivable && this.#downloaders.size <= REMEMBERED_DOWNLOADERS) return;
      if (oldest === key) return;
      this.#downloaders.delete(oldest);
    }
  }
}
