// A bucket of S3-compatible storage, as requests: objects are read, made where there are none, listed and removed.
// Errors name what to do, and none of the keys.

import { randomBytes } from "node:crypto";
import { AwsClient } from "aws4fetch";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type BucketAccess, bucketAccess, bucketPlace, bucketUrl, type Environment } from "./bucket-access.ts";
import { answerError, silenceError } from "./bucket-error.ts";

/** Times that a request is made again which storage answers with a fault of its own. */
const RETRIES = 3;
/** For the head of an answer. */
const ANSWER_MS = 30_000;
/** And for an upload, a byte of which takes its time. */
const UPLOAD_BYTES_A_SECOND = 50_000;
/** Names of one answer of a list are a megabyte at most. */
const MOST_LIST_BYTES = 2 ** 24;

export class BucketClient {
  readonly where: string;
  readonly access: BucketAccess;
  /** The address that keys are put behind, with a slash at its end. */
  readonly base: string;
  readonly #client: AwsClient;
  readonly #prefix: string;
  readonly #bucketUrl: string;

  /** @param where `s3://bucket/prefix`. @throws CONFIG_INVALID */
  constructor(where: string, environment: Environment) {
    this.where = where.replace(/\/+$/, "");
    const place = bucketPlace(where);
    this.access = bucketAccess(environment, this.where);
    const { accessKeyId, secretAccessKey, sessionToken, region } = this.access;
    const keys = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
    this.#client = new AwsClient({ ...keys, region, service: "s3", retries: RETRIES });
    this.base = bucketUrl(place, this.access);
    this.#prefix = place.prefix === "" ? "" : `${place.prefix}/`;
    this.#bucketUrl = bucketUrl({ ...place, prefix: "" }, this.access);
  }

  /** An address under which anybody can read an object for so many seconds. */
  async sign(key: string, seconds: number): Promise<string> {
    const url = new URL(key, this.base);
    url.searchParams.set("X-Amz-Expires", String(seconds));
    const signed = await this.#client.sign(url.href, { method: "GET", aws: { signQuery: true } });
    return signed.url;
  }

  /** @throws BUCKET_REFUSED, DATA_MISSING */
  async get(key: string, headers: Record<string, string> = {}): Promise<Response> {
    const what = `${this.where}/${key}`;
    const response = await this.#fetch(`${this.base}${key}`, what, { headers });
    if (response.ok) return response;
    throw await answerError(response, what, this.where, this.access);
  }

  /** The body of an answer, no more of it than was asked for. */
  async take(response: Response, most: number, what: string): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        parts.push(part);
        bytes += part.length;
        if (bytes > most) break;
      }
    } catch (error) {
      throw silenceError(error, what, this.access);
    }
    return Uint8Array.from(Buffer.concat(parts).subarray(0, most));
  }

  /** Writes an object, over whatever has its name. @param sha256 which storage compares. @throws BUCKET_REFUSED */
  async put(key: string, bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<void> {
    const response = await this.#put(key, bytes, { "x-amz-content-sha256": sha256 });
    if (response.ok) {
      await response.body?.cancel();
      return;
    }
    throw await answerError(response, `${this.where}/${key}`, this.where, this.access, "written");
  }

  /**
   * Makes an object where none has its name; false where one has, which may be this writer's own if an answer was lost.
   * Storage must have passed `requireConditions`. @throws BUCKET_REFUSED
   */
  async putNew(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const response = await this.#put(key, bytes, { "if-none-match": "*" });
    // 409: another is being made at this moment.
    if (response.ok || response.status === 412 || response.status === 409) {
      await response.body?.cancel();
      return response.ok;
    }
    throw await answerError(response, `${this.where}/${key}`, this.where, this.access, "written");
  }

  /**
   * Tries whether the storage heeds `If-None-Match: *`, with an object that it removes again: some take the header and
   * write all the same, and two coordinators could then write one checkpoint. @throws BUCKET_REFUSED
   */
  async requireConditions(): Promise<void> {
    const key = `probe-${randomBytes(8).toString("hex")}`;
    const made = await this.putNew(key, Uint8Array.of(1));
    const again = await this.putNew(key, Uint8Array.of(2));
    await this.remove(key);
    if (made && !again) return;
    const at = this.access.endpoint === undefined ? "AWS" : new URL(this.access.endpoint).host;
    throw new BitswarmError(
      "BUCKET_REFUSED",
      `${this.where}: the storage at ${at} ${made ? "ignores If-None-Match" : "refuses a new object"} on PUT, so that two coordinators could write over each other's checkpoints: take storage that has conditional writes (AWS S3, Cloudflare R2, MinIO), or leave checkpoint.bucket empty`,
    );
  }

  /** Keys that begin with this, in the order of their bytes. @throws BUCKET_REFUSED */
  async list(beginning: string): Promise<string[]> {
    const found: string[] = [];
    let token: string | undefined;
    do {
      const url = new URL(this.#bucketUrl);
      url.searchParams.set("list-type", "2");
      url.searchParams.set("prefix", this.#prefix + beginning);
      if (token !== undefined) url.searchParams.set("continuation-token", token);
      const what = `the list of ${this.where}/${beginning}`;
      const response = await this.#fetch(url.href, what, {});
      if (!response.ok) throw await answerError(response, what, this.where, this.access, "listed");
      const text = new TextDecoder().decode(await this.take(response, MOST_LIST_BYTES, what));
      for (const [, key] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) found.push(plain(key).slice(this.#prefix.length));
      token = /<IsTruncated>true/.test(text)
        ? plain(/<NextContinuationToken>([^<]*)</.exec(text)?.[1] ?? "")
        : undefined;
    } while (token);
    return found.sort();
  }

  /** Nothing there is fine. @throws BUCKET_REFUSED */
  async remove(key: string): Promise<void> {
    const what = `${this.where}/${key}`;
    const response = await this.#fetch(`${this.base}${key}`, what, { method: "DELETE" });
    if (!response.ok && response.status !== 404)
      throw await answerError(response, what, this.where, this.access, "removed");
    await response.body?.cancel();
  }

  #put(key: string, bytes: Uint8Array<ArrayBuffer>, headers: Record<string, string>): Promise<Response> {
    const ms = ANSWER_MS + (1000 * bytes.length) / UPLOAD_BYTES_A_SECOND;
    return this.#fetch(`${this.base}${key}`, `${this.where}/${key}`, { method: "PUT", headers, body: bytes }, ms);
  }

  async #fetch(url: string, what: string, request: RequestInit, withinMs = ANSWER_MS): Promise<Response> {
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(new Error(`nothing came in ${withinMs / 1000} s`)), withinMs);
    try {
      return await this.#client.fetch(url, { ...request, redirect: "manual", signal: silent.signal });
    } catch (error) {
      throw silenceError(error, what, this.access);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Text of XML as it was meant. */
function plain(text: string): string {
  const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    return named[name] ?? all;
  });
}
