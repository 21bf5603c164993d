// A map of which every version stays as it was, so that the pure round stays pure, and the newest is as fast as a Map,
// so that it does with ten thousand workers: it holds the entries, and a version before it what to undo (Baker,
// "Shallow binding makes functional arrays fast", SIGPLAN Notices 26 (8), 1991).

/** Entries without gaps: some of them can be drawn, and all looked at without a copy. */
class Entries<K, V> {
  readonly index = new Map<K, number>();
  readonly keys: K[] = [];
  readonly values: V[] = [];

  get(key: K): V | undefined {
    const at = this.index.get(key);
    return at === undefined ? undefined : this.values[at];
  }

  /** Changes an entry, or deletes it where `value` is undefined; returns what was there. */
  put(key: K, value: V | undefined): V | undefined {
    const { index, keys, values } = this;
    const at = index.get(key);
    if (at === undefined) {
      if (value === undefined) return undefined;
      index.set(key, keys.length);
      keys.push(key);
      values.push(value);
      return undefined;
    }
    const before = values[at];
    if (value !== undefined) {
      values[at] = value;
      return before;
    }
    // The last takes its place.
    index.delete(key);
    const [lastKey, lastValue] = [keys.pop() as K, values.pop() as V];
    if (at < keys.length) {
      index.set(lastKey, at);
      keys[at] = lastKey;
      values[at] = lastValue;
    }
    return before;
  }
}

/** How a version differs from another. */
interface Difference<K, V> {
  readonly from: PersistentMap<K, V>;
  readonly key: K;
  /** Undefined where it has no such entry. */
  readonly value: V | undefined;
}

/**
 * Immutable: `set` and `delete` return the changed map. Iterates in an order of its own, the same for the same history.
 */
export class PersistentMap<K, V> implements Iterable<readonly [K, V]> {
  readonly size: number;
  /** The version looked at last has the entries. */
  #state: Entries<K, V> | Difference<K, V>;

  private constructor(entries: Entries<K, V>) {
    this.#state = entries;
    this.size = entries.keys.length;
  }

  static of<K, V>(initial: Iterable<readonly [K, V]> = []): PersistentMap<K, V> {
    const entries = new Entries<K, V>();
    for (const [key, value] of initial) entries.put(key, value);
    return new PersistentMap(entries);
  }

  /** Its entries; the others differ from it from now on. */
  get #entries(): Entries<K, V> {
    if (this.#state instanceof Entries) return this.#state;
    const path: PersistentMap<K, V>[] = [];
    let holder: PersistentMap<K, V> = this;
    while (!(holder.#state instanceof Entries)) {
      path.push(holder);
      holder = holder.#state.from;
    }
    const entries = holder.#state;
    for (let version = path.pop(); version; version = path.pop()) {
      const { key, value, from } = version.#state as Difference<K, V>;
      from.#state = { from: version, key, value: entries.put(key, value) };
      version.#state = entries;
    }
    return entries;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** @param value must not be undefined, which means absent */
  set(key: K, value: V): PersistentMap<K, V> {
    return this.#with(key, value);
  }

  delete(key: K): PersistentMap<K, V> {
    return this.get(key) === undefined ? this : this.#with(key, undefined);
  }

  #with(key: K, value: V | undefined): PersistentMap<K, V> {
    const entries = this.#entries;
    const before = entries.put(key, value);
    const from = new PersistentMap(entries);
    this.#state = { from, key, value: before };
    return from;
  }

  /** An entry for a number in [0, 1), each for as many numbers as another; undefined where there is none. */
  drawn(draw: number): readonly [K, V] | undefined {
    const { keys, values } = this.#entries;
    const at = Math.floor(draw * keys.length);
    return keys.length === 0 ? undefined : [keys[at], values[at]];
  }

  /** Whether a value passes the test; the test changes no version. */
  some(test: (value: V, key: K) => boolean): boolean {
    const { keys, values } = this.#entries;
    return values.some((value, at) => test(value, keys[at]));
  }

  /** Looks at all without a copy; the look changes no version. */
  forEach(look: (value: V, key: K) => void): void {
    const { keys, values } = this.#entries;
    values.forEach((value, at) => {
      look(value, keys[at]);
    });
  }

  /** The same keys, and for each what `change` makes of its value. */
  map(change: (value: V, key: K) => V): PersistentMap<K, V> {
    const { keys, values } = this.#entries;
    const changed = values.map((value, at) => change(value, keys[at]));
    if (changed.every((value, at) => value === values[at])) return this;
    return PersistentMap.of(keys.map((key, at) => [key, changed[at]] as const));
  }

  [Symbol.iterator](): Iterator<readonly [K, V]> {
    const { keys, values } = this.#entries;
    return keys.map((key, at) => [key, values[at]] as const)[Symbol.iterator]();
  }

  values(): V[] {
    return [...this.#entries.values];
  }
}
