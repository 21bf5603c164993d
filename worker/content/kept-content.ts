// Decides what of the content that was fetched stays on this device: the most recently used of it, up to a cap. That
// nothing can be kept, or that what was kept is gone, only costs downloads.

import type { ContentStore } from "./content-store.ts";

/** Of the cap: after so many bytes were written the store is listed anew, since others write into it too. */
const LISTED_EVERY = 1 / 8;
/** Of what is kept: goes when the store has no room for what it promised. */
const FREED_WHEN_FULL = 1 / 8;
/** Times that something is written before it is given up. */
export const WRITE_TRIES = 3;
/** Writes that fail one after another before nothing is written any more. */
export const FAILED_WRITES = 8;

const REMOVED_AT_ONCE = 64;

/** What is kept came to be or is gone. */
export type KeptListener = (key: string, kept: boolean) => void;

export class KeptContent {
  readonly #store: ContentStore;
  /** Bytes by key, the least recently used first. */
  readonly #entries = new Map<string, number>();
  readonly #listeners = new Set<KeptListener>();
  #cap: number;
  #bytes = 0;
  /** Of what is being written. */
  #incoming = 0;
  #sinceListed = 0;
  #failedWrites = 0;
  /** One removal after another, so that two never make room for the same bytes. */
  #freeing: Promise<void> = Promise.resolve();

  private constructor(store: ContentStore) {
    this.#store = store;
    this.#cap = store.capBytes;
  }

  /** Nothing is kept where the store cannot be read. */
  static async open(store: ContentStore): Promise<KeptContent | undefined> {
    const kept = new KeptContent(store);
    try {
      await kept.#list();
    } catch {
      return undefined;
    }
    // The cap may have been a higher one before.
    kept.#free();
    return kept;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get capBytes(): number {
    return this.#cap;
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  /** Calls for every change until the result is called. */
  listen(listener: KeptListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is kept under a key: nobody has checked it. */
  async read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.#store.read(key).catch(() => undefined);
    if (bytes) this.#note(key, bytes.length);
    else this.#forget(key);
    return bytes;
  }

  /** Keeps bytes if it can. */
  async keep(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let attempt = 1; attempt <= WRITE_TRIES; attempt++) {
      if (bytes.length > this.#cap || this.#failedWrites >= FAILED_WRITES) return;
      this.#incoming += bytes.length;
      let failure: unknown;
      try {
        await this.#free();
        await this.#store.write(key, bytes);
      } catch (error) {
        failure = error;
      }
      this.#incoming -= bytes.length;
      if (failure === undefined) {
        this.#failedWrites = 0;
        this.#note(key, bytes.length);
        return this.#listSometimes(bytes.length);
      }
      if (!isFull(failure)) break;
      // The platform has less room than it said.
      this.#cap = Math.min(this.#cap, Math.floor(this.#bytes * (1 - FREED_WHEN_FULL)));
    }
    this.#failedWrites++;
  }

  /** Removes what turned out to be damaged. */
  async drop(key: string): Promise<void> {
    await this.#store.remove(key).catch(() => undefined);
    this.#forget(key);
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    await this.#list().catch(() => undefined);
    const keys = [...this.#entries.keys()];
    while (keys.length > 0) await Promise.all(keys.splice(0, REMOVED_AT_ONCE).map((key) => this.drop(key)));
    this.#cap = this.#store.capBytes;
    this.#failedWrites = 0;
  }

  /** Removes the least recently used until there is room for what is being written. */
  #free(): Promise<void> {
    this.#freeing = this.#freeing.then(async () => {
      for (const [oldest] of this.#entries) {
        if (this.#bytes + this.#incoming <= this.#cap) return;
        await this.drop(oldest);
      }
    });
    return this.#freeing;
  }

  async #listSometimes(written: number): Promise<void> {
    this.#sinceListed += written;
    if (this.#sinceListed < this.#cap * LISTED_EVERY) return;
    await this.#list().catch(() => undefined);
    await this.#free();
  }

  async #list(): Promise<void> {
    this.#sinceListed = 0;
    const listed = [...(await this.#store.list())].sort((a, b) => a.usedAt - b.usedAt);
    const there = new Set(listed.map(({ key }) => key));
    for (const key of [...this.#entries.keys()]) if (!there.has(key)) this.#forget(key);
    for (const { key, bytes } of listed) this.#note(key, bytes);
  }

  #note(key: string, bytes: number): void {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, bytes);
    this.#bytes += bytes - (before ?? 0);
    if (before === undefined) for (const listener of this.#listeners) listener(key, true);
  }

  #forget(key: string): void {
    const bytes = this.#entries.get(key);
    if (bytes === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= bytes;
    for (const listener of this.#listeners) listener(key, false);
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && error.name === "QuotaExceededError";
}
