// Where a worker's tuning tables outlive it: IndexedDB or a file, given by the platform. A store that fails costs a
// line, never a lease.

import { emptyTable, type TuningEntry, type TuningTable, tuningTableSchema, withEntries } from "./tuning-table.ts";

/** Keeps one table by the name of an adapter. Both may reject. */
export interface TuningStore {
  /** What was saved, unchecked; undefined where there is nothing. */
  load(key: string): Promise<unknown>;
  save(key: string, table: TuningTable): Promise<void>;
}

/**
 * The tables of a session: in memory, in front of the platform's store, so that a device that was lost keeps what it
 * learned.
 */
export class TuningMemory {
  readonly #store: TuningStore | undefined;
  readonly #complain: (message: string) => void;
  readonly #tables = new Map<string, Promise<TuningTable>>();
  #complained = false;

  /** @param complain is told once why nothing is kept */
  constructor(store: TuningStore | undefined, complain: (message: string) => void) {
    this.#store = store;
    this.#complain = complain;
  }

  /** Never rejects: what cannot be read is empty. */
  load(key: string): Promise<TuningTable> {
    const known = this.#tables.get(key);
    if (known) return known;
    const loading = this.#read(key);
    this.#tables.set(key, loading);
    return loading;
  }

  /** Never rejects. Entries of other workers that were saved meanwhile stay. */
  async remember(key: string, entries: readonly TuningEntry[]): Promise<void> {
    this.#tables.set(key, Promise.resolve(withEntries(await this.load(key), entries)));
    if (!this.#store) return;
    try {
      await this.#store.save(key, withEntries(await this.#read(key), entries));
    } catch (error) {
      this.#say(`what was measured cannot be kept for the next visit (${text(error)})`);
    }
  }

  async #read(key: string): Promise<TuningTable> {
    if (!this.#store) return emptyTable;
    try {
      const found = await this.#store.load(key);
      return found === undefined ? emptyTable : tuningTableSchema.parse(found);
    } catch (error) {
      this.#say(`what earlier visits measured cannot be read (${text(error)})`);
      return emptyTable;
    }
  }

  #say(message: string): void {
    if (!this.#complained) this.#complain(message);
    this.#complained = true;
  }
}

function text(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/\s+/g, " ").slice(0, 200);
}
