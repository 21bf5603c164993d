// A store in a bucket of S3-compatible storage: what the coordinator reads of it, and addresses that workers read it by
// for a while.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Environment } from "./bucket-access.ts";
import { BucketClient } from "./bucket-client.ts";
import { silenceError } from "./bucket-error.ts";
import { MANIFEST_FILE, MOST_MANIFEST_BYTES, parseManifest, SHARDS_FOLDER, type StoreManifest } from "./manifest.ts";
import type { ShardName, StoreReader } from "./store-reader.ts";

/** How long a signed address is good for: a lease takes minutes, and workers ask for another before it is over. */
export const SIGNED_SECONDS = 2 * 3600;

export interface SignedAddress {
  readonly url: string;
  /** Seconds from now on. */
  readonly expires: number;
}

export class BucketStore implements StoreReader {
  readonly where: string;
  readonly #client: BucketClient;

  /** @param where `s3://bucket/prefix`. @throws CONFIG_INVALID */
  constructor(where: string, environment: Environment) {
    this.#client = new BucketClient(where, environment);
    this.where = this.#client.where;
  }

  /** Of the addresses that it signs: a page must be allowed to fetch from there. */
  get origin(): string {
    return new URL(this.#client.base).origin;
  }

  async manifest(): Promise<StoreManifest> {
    const what = `${this.where}/${MANIFEST_FILE}`;
    const response = await this.#client.get(MANIFEST_FILE);
    const length = Number(response.headers.get("content-length") ?? "0");
    if (length > MOST_MANIFEST_BYTES) {
      await response.body?.cancel();
      throw new BitswarmError("DATA_INVALID", `${what} has ${length} bytes; at most ${MOST_MANIFEST_BYTES} are read`);
    }
    return parseManifest(await this.#client.take(response, MOST_MANIFEST_BYTES, what), what);
  }

  async range({ sha256, bytes }: ShardName, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const what = `shard ${sha256} of ${this.where}`;
    const taken = await this.#client.take(await this.#getRange(sha256, begin, end), end - begin, what);
    if (taken.length === end - begin) return taken;
    throw new BitswarmError(
      "DATA_INVALID",
      `${what} ends after ${begin + taken.length} bytes; expected ${bytes}: upload the store again`,
    );
  }

  /** The same, as it comes. */
  async rangeStream({ sha256 }: Pick<ShardName, "sha256">, begin: number, end: number): Promise<ReadableStream> {
    return (await this.#getRange(sha256, begin, end)).body as ReadableStream;
  }

  async *sideFile(name: string): AsyncGenerator<Uint8Array> {
    const response = await this.#client.get(name);
    try {
      yield* (response.body ?? []) as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw silenceError(error, `${this.where}/${name}`, this.#client.access);
    }
  }

  /** An address under which anybody can read a shard for a while, one range a request or all of it. */
  async sign({ sha256 }: Pick<ShardName, "sha256">): Promise<SignedAddress> {
    return { url: await this.#client.sign(`${SHARDS_FOLDER}/${sha256}`, SIGNED_SECONDS), expires: SIGNED_SECONDS };
  }

  async #getRange(sha256: string, begin: number, end: number): Promise<Response> {
    const key = `${SHARDS_FOLDER}/${sha256}`;
    const response = await this.#client.get(key, { range: `bytes=${begin}-${end - 1}` });
    if (response.status === 206) return response;
    await response.body?.cancel();
    throw new BitswarmError(
      "BUCKET_REFUSED",
      `${this.where}/${key} was asked for one range and came with HTTP ${response.status}: the storage must serve ranges`,
    );
  }
}
