// One object store of a browser's IndexedDB, by key: what a worker keeps from visit to visit.

export interface IndexedDbStore {
  get(key: string): Promise<unknown>;
  put(value: unknown, key: string): Promise<void>;
  /** All of them, in one transaction. */
  putAll(entries: Iterable<readonly [key: string, value: unknown]>): Promise<void>;
  delete(key: string): Promise<void>;
  entries(): Promise<readonly (readonly [key: string, value: unknown])[]>;
}

/**
 * Opens the database when it is first asked. Promises reject where the browser withholds it, as in some private
 * windows.
 * @param database of version 1, with this one store
 */
export function indexedDbStore(database: string, name: string): IndexedDbStore {
  let opening: Promise<IDBDatabase> | undefined;
  const store = async (mode: IDBTransactionMode) => {
    opening ??= open(database, name);
    return (await opening).transaction(name, mode).objectStore(name);
  };
  return {
    get: async (key) => settled((await store("readonly")).get(key)),
    put: async (value, key) => {
      await settled((await store("readwrite")).put(value, key));
    },
    putAll: async (entries) => {
      const all = await store("readwrite");
      await Promise.all([...entries].map(([key, value]) => settled(all.put(value, key))));
    },
    delete: async (key) => {
      await settled((await store("readwrite")).delete(key));
    },
    entries: async () => {
      const all = await store("readonly");
      const [keys, values] = await Promise.all([settled(all.getAllKeys()), settled(all.getAll())]);
      return keys.map((key, i) => [String(key), values[i]] as const);
    },
  };
}

function open(database: string, name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(database, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(name);
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}
