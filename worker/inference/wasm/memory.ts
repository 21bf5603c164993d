// The one memory of a model: what never changes first, then the values of a forward pass, which share places where
// their lives do not meet.

const PAGE = 65_536;
/** What kernels may read past a value: lanes that they mask, and weights of a tile's end. */
const SLACK = 4096;
const ALIGNMENT = 16;

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Places in a memory that is made once all are known. */
export class MemoryLayout {
  #end = ALIGNMENT;
  readonly #constants: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #free: { from: number; to: number }[] = [];

  constant(values: Float32Array | Uint32Array | Int32Array): number {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const at = this.#grown(bytes.length);
    this.#constants.push({ at, bytes });
    return at;
  }

  #grown(bytes: number): number {
    const at = this.#end;
    this.#end += aligned(bytes);
    return at;
  }

  /** A place that `release` gives back: the first that is free and large enough. */
  take(bytes: number): number {
    const size = aligned(bytes);
    const hole = this.#free.find(({ from, to }) => to - from >= size);
    if (!hole) {
      const last = this.#free.at(-1);
      if (last?.to !== this.#end) return this.#grown(size);
      this.#free.pop();
      this.#end = last.from + size;
      return last.from;
    }
    const at = hole.from;
    hole.from += size;
    this.#free = this.#free.filter(({ from, to }) => from < to);
    return at;
  }

  release(at: number, bytes: number): void {
    this.#free.push({ from: at, to: at + aligned(bytes) });
    this.#free.sort((a, b) => a.from - b.from);
    const joined: { from: number; to: number }[] = [];
    for (const hole of this.#free) {
      const last = joined.at(-1);
      if (last?.to === hole.from) last.to = hole.to;
      else joined.push(hole);
    }
    this.#free = joined;
  }

  /** @throws RangeError where the machine has no such memory */
  memory(): WebAssembly.Memory {
    const pages = Math.ceil((this.#end + SLACK) / PAGE);
    const memory = new WebAssembly.Memory({ initial: pages });
    const bytes = new Uint8Array(memory.buffer);
    for (const { at, bytes: constant } of this.#constants) bytes.set(constant, at);
    this.#constants.length = 0;
    return memory;
  }
}
