// A map that a change copies in a few small arrays instead of whole, so that the pure round stays pure with ten thousand workers
// (Bagwell's hash array mapped trie, as Clojure's maps are built).

interface Leaf<K, V> {
  readonly hash: number;
  /** One, unless hashes collide. */
  readonly entries: readonly (readonly [K, V])[];
}

interface Branch<K, V> {
  /** Which of the 32 children there are. */
  readonly bitmap: number;
  readonly children: readonly Node<K, V>[];
}

type Node<K, V> = Leaf<K, V> | Branch<K, V>;

const BITS = 5;
const empty: Branch<never, never> = { bitmap: 0, children: [] };

/** FNV-1a of a string, Knuth's multiplicative hash of a number; 32 bits, unsigned. */
function hashOf(key: string | number): number {
  if (typeof key === "number") return Math.imul(key, 0x9e3779b1) >>> 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

const bitOf = (hash: number, shift: number) => 1 << ((hash >>> shift) & 31);
const indexOf = (bitmap: number, bit: number) => bitCount(bitmap & (bit - 1));

function put<K, V>(node: Node<K, V>, shift: number, hash: number, key: K, value: V): Node<K, V> {
  if ("entries" in node) {
    if (node.hash === hash) {
      return { hash, entries: [...node.entries.filter(([other]) => other !== key), [key, value]] };
    }
    return put({ bitmap: bitOf(node.hash, shift), children: [node] }, shift, hash, key, value);
  }
  const bit = bitOf(hash, shift);
  const index = indexOf(node.bitmap, bit);
  const { bitmap, children } = node;
  if (bitmap & bit)
    return { bitmap, children: children.with(index, put(children[index], shift + BITS, hash, key, value)) };
  return { bitmap: bitmap | bit, children: children.toSpliced(index, 0, { hash, entries: [[key, value]] }) };
}

function without<K, V>(node: Node<K, V>, shift: number, hash: number, key: K): Node<K, V> | undefined {
  if ("entries" in node) {
    const entries = node.entries.filter(([other]) => other !== key);
    return entries.length === 0 ? undefined : { hash, entries };
  }
  const bit = bitOf(hash, shift);
  const index = indexOf(node.bitmap, bit);
  const { bitmap, children } = node;
  const child = without(children[index], shift + BITS, hash, key);
  if (child) {
    // A leaf alone belongs higher up, so that the same entries are the same tree whatever came between.
    if (children.length === 1 && "entries" in child && shift > 0) return child;
    return { bitmap, children: children.with(index, child) };
  }
  if (children.length === 1) return undefined;
  const rest = children.toSpliced(index, 1);
  if (rest.length === 1 && "entries" in rest[0] && shift > 0) return rest[0];
  return { bitmap: bitmap & ~bit, children: rest };
}

/** Appends the entries below a node: nested generators would cost ten times as much. */
function collect<K, V>(node: Node<K, V>, into: (readonly [K, V])[]): (readonly [K, V])[] {
  if ("entries" in node) into.push(...node.entries);
  else for (const child of node.children) collect(child, into);
  return into;
}

/** Whether an entry below a node passes the test; no entry after that is looked at. */
function anyOf<K, V>(node: Node<K, V>, test: (value: V, key: K) => boolean): boolean {
  if ("entries" in node) {
    for (const [key, value] of node.entries) if (test(value, key)) return true;
    return false;
  }
  for (const child of node.children) if (anyOf(child, test)) return true;
  return false;
}

/** The node with its values changed; itself where none was. */
function mapped<K, V>(node: Node<K, V>, change: (value: V, key: K) => V): Node<K, V> {
  if ("entries" in node) {
    const entries = node.entries.map(([key, value]) => [key, change(value, key)] as const);
    return entries.every(([, value], i) => value === node.entries[i][1]) ? node : { hash: node.hash, entries };
  }
  const children = node.children.map((child) => mapped(child, change));
  return children.every((child, i) => child === node.children[i]) ? node : { bitmap: node.bitmap, children };
}

/** Immutable: `set` and `delete` return the changed map. Iterates in an order of its own, the same for the same history. */
export class PersistentMap<K extends string | number, V> implements Iterable<readonly [K, V]> {
  readonly size: number;
  readonly #root: Node<K, V>;

  private constructor(root: Node<K, V>, size: number) {
    this.#root = root;
    this.size = size;
  }

  static of<K extends string | number, V>(entries: Iterable<readonly [K, V]> = []): PersistentMap<K, V> {
    let map = new PersistentMap<K, V>(empty, 0);
    for (const [key, value] of entries) map = map.set(key, value);
    return map;
  }

  get(key: K): V | undefined {
    const hash = hashOf(key);
    let node: Node<K, V> | undefined = this.#root;
    for (let shift = 0; node && !("entries" in node); shift += BITS) {
      const bit = bitOf(hash, shift);
      node = node.bitmap & bit ? node.children[indexOf(node.bitmap, bit)] : undefined;
    }
    return node?.entries.find(([other]) => other === key)?.[1];
  }

  /** @param value must not be undefined, which means absent */
  set(key: K, value: V): PersistentMap<K, V> {
    const size = this.get(key) === undefined ? this.size + 1 : this.size;
    return new PersistentMap(put(this.#root, 0, hashOf(key), key, value), size);
  }

  delete(key: K): PersistentMap<K, V> {
    if (this.get(key) === undefined) return this;
    return new PersistentMap(without(this.#root, 0, hashOf(key), key) ?? (empty as Branch<K, V>), this.size - 1);
  }

  /** An entry for a number in [0, 1), each for nearly as many numbers as another; undefined where there is none. */
  drawn(draw: number): readonly [K, V] | undefined {
    let node: Node<K, V> = this.#root;
    let rest = draw;
    const choose = <T>(from: readonly T[]): T => {
      const scaled = rest * from.length;
      rest = scaled - Math.floor(scaled);
      return from[Math.floor(scaled)];
    };
    if (this.size === 0) return undefined;
    while (!("entries" in node)) node = choose(node.children);
    return choose(node.entries);
  }

  /** Whether a value passes the test. */
  some(test: (value: V, key: K) => boolean): boolean {
    return anyOf(this.#root, test);
  }

  /** Looks at all without a copy. */
  forEach(look: (value: V, key: K) => void): void {
    anyOf(this.#root, (value, key) => {
      look(value, key);
      return false;
    });
  }

  /** The same keys, and for each what `change` makes of its value. */
  map(change: (value: V, key: K) => V): PersistentMap<K, V> {
    const root = mapped(this.#root, change);
    return root === this.#root ? this : new PersistentMap(root, this.size);
  }

  [Symbol.iterator](): Iterator<readonly [K, V]> {
    return collect(this.#root, [])[Symbol.iterator]();
  }

  values(): V[] {
    return collect(this.#root, []).map(([, value]) => value);
  }
}
