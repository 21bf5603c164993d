// The two keys in a bucket of JetStream: three copies, on disk, nothing that expires, and no read that a copy which is
// behind might answer.

import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { KeyReader } from "../keys.ts";
import type { LeaseStore, StoredValue, SwapOutcome } from "../lease-store.ts";
import { subjectToken } from "../subjects.ts";

/** A lost answer costs so long: it is what a fail-over waits for (DISTRIBUTED §6.4). */
const TIMEOUT_MS = 500;
/** Making a bucket takes an election, or two where the servers have just begun. */
const ADDING_MS = 5000;
const MAKING_MS = 20_000;
/** The same of whoever begins: servers that are started with it may come later, and a copy has no place before. */
const FIRST_MAKING_MS = 60_000;
const AGAIN_MS = 100;
const COPIES = 3;
/** Codes of nats-server/server/errors.json. */
const WRONG_LAST_SEQUENCE = [10_071, 10_164];
const NO_STREAM = [10_059];
const NO_MESSAGE = [10_037];
/** Somebody else has made it, at another time. */
const NAME_IN_USE = [10_058];
/** Not a cluster: it keeps one copy. */
const ALONE = [10_074];

export interface NatsStoreOptions {
  readonly connection: NatsConnection;
  readonly run: string;
  /** Told once where the bucket cannot have three copies. */
  readonly onNotice: (message: string) => void;
}

export class NatsStore implements LeaseStore {
  readonly #bucket: string;
  readonly #options: NatsStoreOptions;
  readonly #client: JetStreamClient;
  readonly #manager: JetStreamManager;
  /** Revisions of marks in place of keys that somebody removed. */
  readonly #removed = new Map<string, number>();

  private constructor(options: NatsStoreOptions, manager: JetStreamManager) {
    this.#options = options;
    this.#bucket = `bs_${subjectToken(options.run)}`;
    this.#client = jetstream(options.connection, { timeout: TIMEOUT_MS });
    this.#manager = manager;
  }

  /** Makes the bucket where there is none. @throws ENGINE_UNREACHABLE */
  static async open(options: NatsStoreOptions): Promise<NatsStore> {
    const manager = await jetstreamManager(options.connection, { checkAPI: false, timeout: TIMEOUT_MS });
    const store = new NatsStore(options, manager);
    await store.#make(FIRST_MAKING_MS);
    return store;
  }

  /** Reads alone, as a gateway may: where there is no bucket nothing is in it. @throws ENGINE_UNREACHABLE */
  static async reader(options: NatsStoreOptions): Promise<KeyReader> {
    const manager = await jetstreamManager(options.connection, { checkAPI: false, timeout: TIMEOUT_MS });
    const store = new NatsStore(options, manager);
    return {
      read: async (key) => {
        const found = await store.#find(key);
        return found === "no bucket" ? undefined : found;
      },
    };
  }

  /** Servers that have just begun elect first, and are asked again until then. */
  async #make(patienceMs = MAKING_MS): Promise<void> {
    const until = performance.now() + patienceMs;
    for (;;) {
      try {
        if (!(await this.#exists())) await this.#add();
        return;
      } catch (error) {
        if (hasCode(error, NAME_IN_USE)) return;
        if (performance.now() >= until) throw unreachable(error);
        await new Promise<void>((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  async #add(): Promise<void> {
    const { connection, onNotice } = this.#options;
    const { streams } = await jetstreamManager(connection, { checkAPI: false, timeout: ADDING_MS });
    const settings = {
      name: this.#stream,
      subjects: [`$KV.${this.#bucket}.>`],
      max_msgs_per_subject: 1,
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      allow_rollup_hdrs: true,
      deny_delete: true,
      allow_direct: false,
      // No revision of a bucket that was lost is given out again: somebody may still hold it.
      first_seq: Date.now(),
    };
    try {
      await streams.add({ ...settings, num_replicas: COPIES });
    } catch (error) {
      if (!hasCode(error, ALONE)) throw error;
      await streams.add({ ...settings, num_replicas: 1 });
      onNotice("this NATS is one server: when it stops, so does the run; three servers go on without one of them");
    }
  }

  get #stream(): string {
    return `KV_${this.#bucket}`;
  }

  async #exists(): Promise<boolean> {
    try {
      await this.#manager.streams.info(this.#stream);
      return true;
    } catch (error) {
      if (hasCode(error, NO_STREAM)) return false;
      throw error;
    }
  }

  async read(key: string): Promise<StoredValue | undefined> {
    const found = await this.#find(key);
    if (found !== "no bucket") return found;
    await this.#make();
    return undefined;
  }

  async #find(key: string): Promise<StoredValue | "no bucket" | undefined> {
    try {
      const found = await this.#manager.streams.getMessage(this.#stream, {
        last_by_subj: `$KV.${this.#bucket}.${key}`,
      });
      this.#removed.delete(key);
      // Who removes a key by hand leaves a mark in its place, which has a revision of its own.
      if (found?.header.get("KV-Operation")) {
        this.#removed.set(key, found.seq);
        return undefined;
      }
      return found ? { value: found.data, revision: found.seq } : undefined;
    } catch (error) {
      const nothing = hasCode(error, NO_MESSAGE);
      if (!nothing && !hasCode(error, NO_STREAM)) throw unreachable(error);
      // A mark that was there before is gone with all else.
      this.#removed.delete(key);
      return nothing ? undefined : "no bucket";
    }
  }

  create(key: string, value: Uint8Array): Promise<SwapOutcome> {
    return this.update(key, value, 0);
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<SwapOutcome> {
    const expected = headers();
    const last = revision === 0 ? (this.#removed.get(key) ?? 0) : revision;
    expected.set("Nats-Expected-Last-Subject-Sequence", `${last}`);
    try {
      const { seq } = await this.#client.publish(`$KV.${this.#bucket}.${key}`, value, {
        headers: expected,
        timeout: TIMEOUT_MS,
      });
      return { kind: "won", revision: seq };
    } catch (error) {
      if (hasCode(error, WRONG_LAST_SEQUENCE)) return { kind: "lost" };
      throw unreachable(error);
    }
  }
}

function hasCode(error: unknown, codes: readonly number[]): boolean {
  return error instanceof JetStreamApiError && codes.includes(error.code);
}

function unreachable(cause: unknown): BitswarmError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new BitswarmError("ENGINE_UNREACHABLE", `NATS keeps no answer ready (${why}): it is tried again`, { cause });
}
