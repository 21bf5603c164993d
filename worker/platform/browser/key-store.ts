// Keeps the worker's key pair in IndexedDB, which takes CryptoKeys as they are: the private one never leaves WebCrypto.

import type { KeyPair, KeyStore } from "../../identity.ts";

/** A database of its own: the tunings' may be cleared without making this worker a newcomer. */
const DATABASE = "bitswarm-identity";
const KEYS = "keys";
const NAME = "worker";

/** Its promises reject where the browser withholds the database, as in some private windows. */
export function indexedDbKeyStore(): KeyStore {
  const store = async (mode: IDBTransactionMode) => (await open()).transaction(KEYS, mode).objectStore(KEYS);
  return {
    extractable: false,
    load: async () => pairIn(await settled((await store("readonly")).get(NAME))),
    save: async (pair) => {
      const { privateKey, publicKey } = pair;
      await settled((await store("readwrite")).put({ privateKey, publicKey }, NAME));
    },
  };
}

/** What is there, if it is two keys: another version of the page may have written it. */
function pairIn(value: unknown): KeyPair | undefined {
  const { privateKey, publicKey } = (value ?? {}) as Partial<KeyPair>;
  if (!(privateKey instanceof CryptoKey) || !(publicKey instanceof CryptoKey)) return undefined;
  return { privateKey, publicKey };
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(KEYS);
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}
