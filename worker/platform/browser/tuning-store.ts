// Keeps tuning tables in IndexedDB, which a Web Worker has as the page does.

import type { TuningStore } from "../../tuning/tuning-store.ts";
import { indexedDbStore } from "./indexed-db.ts";

/** Its promises reject where the browser withholds the database, as in some private windows. */
export function indexedDbTuningStore(): TuningStore {
  const tables = indexedDbStore("bitswarm", "tunings");
  return { load: (key) => tables.get(key), save: (key, table) => tables.put(table, key) };
}
