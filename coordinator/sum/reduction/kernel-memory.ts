// A memory and the kernels over it: a WebAssembly module of what every round needs, and one for each codec that is
// asked for.

import { assemble } from "../../../shared/assembler/assemble.ts";
import { crcKernel } from "./kernel-crc32c.ts";
import { plainKernels } from "./kernels-plain.ts";

/** 2 GiB: the sums and one payload of a network of 100 million parameters. */
const maximumPages = 32768;
const pageBytes = 65536;

/**
 * Addresses and sizes are in bytes, elements or blocks of 64 as named. `inspect…` return Σ units² and leave their
 * report at `report`: the largest |units| (f32 [4]), then the largest bits of a magnitude (u32 [4]). `add…` add to i32
 * sums at `low`, each value at most `factor` · 2^30.
 */
export interface Kernels {
  inspectF32(source: number, blocks: number, inverse: number, report: number): number;
  addF32(source: number, blocks: number, inverse: number, factor: number, low: number): void;
  inspectI32(source: number, blocks: number, report: number): number;
  addI32(source: number, blocks: number, low: number): void;
  foldLow(low: number, quads: number, high: number): void;
  crcPair(source: number, length: number, crc: number, half: number, report: number): number;
}

const text = `${plainKernels}\n${crcKernel}`;
/** By its text: a process has many memories. */
const compiled = new Map<string, WebAssembly.Module>();

function moduleOf(text: string): WebAssembly.Module {
  const known = compiled.get(text) ?? new WebAssembly.Module(assemble(text, maximumPages));
  compiled.set(text, known);
  return known;
}

/** A memory that grows, shared so that a thread's sums can be read without a copy. */
export class KernelMemory {
  readonly kernels: Kernels;
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: maximumPages, shared: true });
  readonly #instances = new Map<string, object>();

  constructor() {
    this.kernels = this.kernelsOf(text) as Kernels;
  }

  /** The functions of a text (assemble.ts) over this memory. @throws RangeError for what cannot be assembled */
  kernelsOf(text: string): object {
    const known =
      this.#instances.get(text) ?? new WebAssembly.Instance(moduleOf(text), { env: { memory: this.#memory } }).exports;
    this.#instances.set(text, known);
    return known;
  }

  /** Changes when the memory grows; views of an older one stay valid. */
  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer;
  }

  /** Makes at least so many bytes usable. @throws RangeError where they are more than 2 GiB */
  reserve(bytes: number): void {
    const pages = Math.ceil((bytes - this.buffer.byteLength) / pageBytes);
    if (pages > 0) this.#memory.grow(pages);
  }
}
