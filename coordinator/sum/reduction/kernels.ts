// The reduction's kernels as one WebAssembly module, instantiated over a memory.

import { assemble } from "./assemble.ts";
import { crcKernel } from "./kernel-crc32c.ts";
import { floatKernels } from "./kernels-float.ts";
import { int8Kernels } from "./kernels-int8.ts";
import { signKernels } from "./kernels-sign.ts";

/** 2 GiB: the sums and one payload of a network of 100 million parameters. */
const maximumPages = 32768;
const pageBytes = 65536;

/**
 * Addresses and sizes are in bytes, elements or blocks of 64 as named. `inspect…` return Σ units² and leave their report at
 * `report`: the largest |units| (f32 [4]), then the largest bits of a magnitude (u32 [4]; halves where f16). `add…` add to
 * i32 sums at `low`, each value at most `factor` · 2^30.
 */
export interface Kernels {
  inspectF32(source: number, blocks: number, inverse: number, report: number): number;
  addF32(source: number, blocks: number, inverse: number, factor: number, low: number): void;
  inspectI32(source: number, blocks: number, report: number): number;
  addI32(source: number, blocks: number, low: number): void;
  inspectF16(source: number, blocks: number, report: number): number;
  addF16(source: number, blocks: number, factor: number, low: number): void;
  inspectInt8(scales: number, source: number, blocks: number, unit: number, report: number): number;
  addInt8(scales: number, source: number, blocks: number, unit: number, factor: number, low: number): void;
  addSigns(source: number, groups: number, weight: number, counters: number): void;
  foldSigns(counters: number, groups: number, used: number, total: number, high: number): void;
  foldLow(low: number, quads: number, high: number): void;
  crcPair(source: number, length: number, crc: number, half: number, report: number): number;
}

const text = [floatKernels, int8Kernels, signKernels, crcKernel].join("\n");
let compiled: WebAssembly.Module | undefined;

/** A memory that grows, shared so that a thread's sums can be read without a copy. */
export class KernelMemory {
  readonly kernels: Kernels;
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: maximumPages, shared: true });

  constructor() {
    compiled ??= new WebAssembly.Module(assemble(text, maximumPages));
    const instance = new WebAssembly.Instance(compiled, { env: { memory: this.#memory } });
    this.kernels = instance.exports as unknown as Kernels;
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
