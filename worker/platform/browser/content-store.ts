// Keeps content in Cache Storage, and in IndexedDB how large each is and when it was used, which Cache Storage does not
// tell.

import * as z from "zod/mini";
import { type ContentStore, type KeptEntry, keptCap } from "../../content/content-store.ts";
import { KeptContent } from "../../content/kept-content.ts";
import { readJoinLink } from "../../session/join-link.ts";
import { indexedDbStore } from "./indexed-db.ts";

/** A new layout of what is stored gets a new name; whole shards were here before there were chunks. */
export const CACHE_NAME = "bitswarm-content-1";
const DATABASE = "bitswarm-content";
/** Uses are written down together. */
const NOTED_EVERY_MS = 5_000;

const noteSchema = z.object({ bytes: z.int().check(z.gte(0)), usedAt: z.number() });
type Note = z.output<typeof noteSchema>;

/** Whole shards and frozen networks, which earlier versions kept without a note. */
const NOTELESS = /\/(?:shards|blobs)\/[0-9a-f]{64}$/;
/** The key of what says that all of these have a note by now. */
const NOTED = "noted";

/**
 * The content that this browser keeps for the coordinator of a link; undefined where the browser withholds its storage
 * (private windows, no secure context), or the link is none.
 * @param mostMiB to keep, where somebody said so
 */
export async function openKeptContent(link: string, mostMiB?: number): Promise<KeptContent | undefined> {
  const { caches, navigator } = globalThis as {
    readonly caches?: CacheStorage;
    readonly navigator: { readonly storage?: StorageManager };
  };
  try {
    const cache = await caches?.open(CACHE_NAME);
    if (!cache) return undefined;
    const quota = await navigator.storage?.estimate().then(
      (estimate) => estimate.quota,
      () => undefined,
    );
    return await KeptContent.open(
      browserContentStore(
        readJoinLink(link).base,
        cache,
        keptCap(quota, mostMiB === undefined ? undefined : mostMiB * 2 ** 20),
      ),
    );
  } catch {
    return undefined;
  }
}

/** @param base the coordinator's address, below which keys are */
function browserContentStore(base: string, cache: Cache, capBytes: number): ContentStore {
  const notes = indexedDbStore(DATABASE, "kept");
  const prefix = `${base}/`;
  // Content of other addresses of this origin is listed by its whole address, and goes like ours.
  const addressOf = (key: string) => (key.includes("://") ? key : prefix + key);
  const keyOf = (address: string) => (address.startsWith(prefix) ? address.slice(prefix.length) : address);
  const used = new Map<string, Note>();
  const flush = () => {
    const entries = [...used];
    used.clear();
    notes.putAll(entries).catch(() => undefined);
  };
  const noteUse = (address: string, bytes: number) => {
    if (used.size === 0) setTimeout(flush, NOTED_EVERY_MS);
    used.set(address, { bytes, usedAt: Date.now() });
  };

  return {
    capBytes,
    list: async () => {
      const entries = new Map<string, KeptEntry>();
      const take = (address: string, note: Note) => entries.set(address, { key: keyOf(address), ...note });
      for (const [address, value] of await notes.entries()) {
        const note = noteSchema.safeParse(value);
        if (note.success) take(address, note.data);
      }
      for (const [address, note] of used) if (entries.has(address)) take(address, note);
      // Once: of thousands of chunks Cache Storage makes a long list.
      if (await notes.get(NOTED)) return [...entries.values()];
      for (const { url } of await cache.keys()) {
        if (entries.has(url) || !NOTELESS.test(url)) continue;
        const bytes = (await (await cache.match(url))?.blob())?.size;
        if (bytes === undefined) continue;
        take(url, { bytes, usedAt: 0 });
        await notes.put({ bytes, usedAt: 0 }, url);
      }
      await notes.put(true, NOTED);
      return [...entries.values()];
    },
    read: async (key) => {
      const address = addressOf(key);
      const response = await cache.match(address);
      if (!response) return undefined;
      const bytes = new Uint8Array(await response.arrayBuffer());
      noteUse(address, bytes.length);
      return bytes;
    },
    write: async (key, bytes) => {
      const address = addressOf(key);
      // First the note: what has one and is not there is found out when it is read, the other way round never.
      await notes.put({ bytes: bytes.length, usedAt: Date.now() }, address);
      try {
        // Cache Storage takes no 206, so a part is kept as a whole. The Response copies the bytes.
        await cache.put(address, new Response(bytes));
      } catch (error) {
        await notes.delete(address).catch(() => undefined);
        throw error;
      }
    },
    remove: async (key) => {
      const address = addressOf(key);
      used.delete(address);
      await cache.delete(address);
      await notes.delete(address);
    },
  };
}
