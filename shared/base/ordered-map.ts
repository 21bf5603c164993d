// A map in the order of its numbers, of which a change copies one path: immutable, so a decision keeps the one it saw
// (a treap: Aragon and Seidel, "Randomized search trees", FOCS 1989; its priorities are hashes, so equal maps are equal
// trees).

interface Node<V> {
  readonly key: number;
  readonly value: V;
  readonly priority: number;
  readonly left: Node<V> | undefined;
  readonly right: Node<V> | undefined;
}

/** MurmurHash3's finalizer over the number's two halves; 32 bits. */
function hashOf(key: number): number {
  let hash = (key | 0) ^ Math.imul(Math.floor(key / 2 ** 32), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function put<V>(node: Node<V> | undefined, key: number, value: V): Node<V> {
  if (!node) return { key, value, priority: hashOf(key), left: undefined, right: undefined };
  const { priority, left, right } = node;
  if (key === node.key) return { key, value, priority, left, right };
  if (key < node.key) {
    const child = put(left, key, value);
    if (child.priority <= priority) return { key: node.key, value: node.value, priority, left: child, right };
    const down = { key: node.key, value: node.value, priority, left: child.right, right };
    return { key: child.key, value: child.value, priority: child.priority, left: child.left, right: down };
  }
  const child = put(right, key, value);
  if (child.priority <= priority) return { key: node.key, value: node.value, priority, left, right: child };
  const down = { key: node.key, value: node.value, priority, left, right: child.left };
  return { key: child.key, value: child.value, priority: child.priority, left: down, right: child.right };
}

/** One tree of two, all of whose keys are apart. */
function joined<V>(low: Node<V> | undefined, high: Node<V> | undefined): Node<V> | undefined {
  if (!low) return high;
  if (!high) return low;
  return low.priority > high.priority
    ? { ...low, right: joined(low.right, high) }
    : { ...high, left: joined(low, high.left) };
}

/** The tree without a key that is in it. */
function without<V>(node: Node<V>, key: number): Node<V> | undefined {
  const { left, right } = node;
  if (key === node.key) return joined(left, right);
  if (key < node.key) return { ...node, left: left && without(left, key) };
  return { ...node, right: right && without(right, key) };
}

export class OrderedMap<V> implements Iterable<readonly [key: number, value: V]> {
  readonly size: number;
  readonly #root: Node<V> | undefined;

  private constructor(root: Node<V> | undefined, size: number) {
    this.#root = root;
    this.size = size;
  }

  static of<V>(entries: Iterable<readonly [number, V]> = []): OrderedMap<V> {
    let map = new OrderedMap<V>(undefined, 0);
    for (const [key, value] of entries) map = map.set(key, value);
    return map;
  }

  get(key: number): V | undefined {
    let node = this.#root;
    while (node && node.key !== key) node = key < node.key ? node.left : node.right;
    return node?.value;
  }

  /** @param value must not be undefined, which means absent */
  set(key: number, value: V): OrderedMap<V> {
    const size = this.get(key) === undefined ? this.size + 1 : this.size;
    return new OrderedMap(put(this.#root, key, value), size);
  }

  delete(key: number): OrderedMap<V> {
    if (!this.#root || this.get(key) === undefined) return this;
    return new OrderedMap(without(this.#root, key), this.size - 1);
  }

  /** The entry of the largest key that is at most `key`. */
  atMost(key: number): readonly [key: number, value: V] | undefined {
    let found: Node<V> | undefined;
    for (let node = this.#root; node; ) {
      if (node.key > key) node = node.left;
      else [found, node] = [node, node.right];
    }
    return found && [found.key, found.value];
  }

  /** The entry of the smallest key above `key`. */
  above(key: number): readonly [key: number, value: V] | undefined {
    let found: Node<V> | undefined;
    for (let node = this.#root; node; ) {
      if (node.key <= key) node = node.right;
      else [found, node] = [node, node.left];
    }
    return found && [found.key, found.value];
  }

  /** Ascending; stopping early costs nothing. */
  *[Symbol.iterator](): Iterator<readonly [key: number, value: V]> {
    const path: Node<V>[] = [];
    for (let node = this.#root; node || path.length > 0; ) {
      for (; node; node = node.left) path.push(node);
      const next = path.pop();
      if (!next) return;
      yield [next.key, next.value];
      node = next.right;
    }
  }
}
