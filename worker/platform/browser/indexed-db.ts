// One object store of a browser's IndexedDB, by key: what a worker keeps from visit to visit.

export interface IndexedDbStore {
  get(key: string): Promise<unknown>;
  put(value: unknown, key: string): Promise<void>;
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
