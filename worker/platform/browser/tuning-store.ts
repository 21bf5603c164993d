// Keeps tuning tables in IndexedDB, which a Web Worker has as the page does.

import type { TuningStore } from "../../tuning-store.ts";

const DATABASE = "bitswarm";
const TABLES = "tunings";

/** Its promises reject where the browser withholds the database, as in some private windows. */
export function indexedDbTuningStore(): TuningStore {
  let opening: Promise<IDBDatabase> | undefined;
  const store = async (mode: IDBTransactionMode) => {
    opening ??= open();
    return (await opening).transaction(TABLES, mode).objectStore(TABLES);
  };
  return {
    load: async (key) => settled((await store("readonly")).get(key)),
    save: async (key, table) => {
      await settled((await store("readwrite")).put(table, key));
    },
  };
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLES);
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}
