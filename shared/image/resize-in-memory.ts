// Resizes a picture where it lies in a WebAssembly memory: what resize.ts does, several times as fast.

import { requireInside } from "./resize.ts";
import { acrossTable, downTable, type ResizeKernels, resizeKernels } from "./resize-kernels.ts";
import { tapsOf } from "./taps.ts";
import type { View } from "./view.ts";
import type { Memory } from "./webassembly.ts";

/** Room in the memory. */
export interface Allocator {
  readonly memory: Memory;
  /** @returns 0 where there is no room */
  allocate(bytes: number): number;
  free(address: number): void;
}

/** Kernels read and write a little beyond the end of what they are given. */
const SLACK = 32;
const aligned = (bytes: number) => Math.ceil(bytes / 16) * 16;

export class MemoryResizer {
  readonly #room: Allocator;
  readonly #kernels: ResizeKernels;
  /** Tables, rows between the passes, and the result. */
  #block = 0;
  #blockBytes = 0;

  private constructor(room: Allocator, kernels: ResizeKernels) {
    this.#room = room;
    this.#kernels = kernels;
  }

  /** @returns undefined where the engine has no vector instructions */
  static create(room: Allocator): MemoryResizer | undefined {
    const kernels = resizeKernels(room.memory);
    return kernels && new MemoryResizer(room, kernels);
  }

  #reserve(bytes: number): boolean {
    if (bytes <= this.#blockBytes) return true;
    if (this.#block !== 0) this.#room.free(this.#block);
    this.#block = this.#room.allocate(bytes);
    this.#blockBytes = this.#block === 0 ? 0 : bytes;
    return this.#block !== 0;
  }

  /**
   * @param rgb address of the pixels, [height][width][3]
   * @returns false where there is no room for it; nothing is written then
   */
  see(
    rgb: number,
    { width, height }: { readonly width: number; readonly height: number },
    { box, size, window, flip }: View,
    into: Uint8Array,
  ): boolean {
    requireInside("a box of", box, { width, height });
    requireInside("a window of", window, size);
    const line = 3 * window.w;
    if (into.length !== line * window.h)
      throw new RangeError(`${into.length} bytes for ${window.w} × ${window.h} pixels`);
    const across = acrossTable(tapsOf(box.w, size.width, window.x, window.w), flip);
    const taps = tapsOf(box.h, size.height, window.y, window.h);
    const down = downTable(taps);
    const top = taps.start[0]!;
    const rows = taps.start[window.h - 1]! + taps.count[window.h - 1]! - top;

    const acrossBytes = aligned(across.byteLength);
    const downBytes = aligned(down.words.byteLength);
    // Rows are apart, since what is written of one reaches a byte beyond it; and a pair's second row may be one that is
    // not there, with no weight.
    const stride = aligned(line + 1);
    const rowsBytes = (rows + 1) * stride + SLACK;
    const resultBytes = aligned(line * window.h + SLACK);
    if (!this.#reserve(acrossBytes + downBytes + rowsBytes + resultBytes + 16)) return false;
    const { buffer } = this.#room.memory;
    if (rgb + 3 * width * height + SLACK > buffer.byteLength) return false;
    const acrossAt = aligned(this.#block);
    const downAt = acrossAt + acrossBytes;
    const rowsAt = downAt + downBytes;
    const resultAt = rowsAt + rowsBytes;
    new Int32Array(buffer, acrossAt, across.length).set(across);
    new Int32Array(buffer, downAt, down.words.length).set(down.words);

    const from = rgb + 3 * ((box.y + top) * width + box.x);
    for (let row = 0; row < rows; row += 2) {
      const other = Math.min(row + 1, rows - 1);
      const [a, b] = [from + 3 * width * row, from + 3 * width * other];
      this.#kernels.across(a, b, rowsAt + stride * row, rowsAt + stride * other, acrossAt, window.w);
    }
    for (let output = 0; output < window.h; output++) {
      const first = rowsAt + stride * (taps.start[output]! - top);
      const words = downAt + 4 * down.begin[output]!;
      this.#kernels.down(first, stride, words, down.pairs[output]!, resultAt + line * output, line);
    }
    into.set(new Uint8Array(buffer, resultAt, into.length));
    return true;
  }
}
