// The buffers that a lease's microbatches share: the gradient arena, its accumulator, and the way back to the host.

import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import { type Externals, storageBuffer } from "../plan/recording.ts";

// GPUBufferUsage and GPUMapMode; the namespace objects are missing in some runtimes.
const MAP_READ = 1;
const COPY_DST = 8;

export interface LeaseSum {
  readonly peaks: Uint32Array<ArrayBuffer>;
  /** The accumulator's bytes: i32 or f32 [layout.size]. */
  readonly sum: Uint8Array<ArrayBuffer>;
}

export class RoundBuffers {
  readonly layout: ContributionLayout;
  readonly gradient: GPUBuffer;
  readonly segments: GPUBuffer;
  readonly scales: GPUBuffer;
  readonly sum: GPUBuffer;
  readonly peaks: GPUBuffer;
  #device: GPUDevice;
  #readback: GPUBuffer;

  constructor(device: GPUDevice, layout: ContributionLayout) {
    this.#device = device;
    this.layout = layout;
    const tensors = 4 * layout.tensors.length;
    this.gradient = storageBuffer(device, "gradient", 4 * layout.size);
    this.sum = storageBuffer(device, "sum", 4 * layout.size);
    this.segments = storageBuffer(device, "segments", layout.segments.byteLength);
    this.scales = storageBuffer(device, "scales", tensors);
    this.peaks = storageBuffer(device, "peaks", tensors);
    this.#readback = device.createBuffer({
      label: "readback",
      size: tensors + 4 * layout.size,
      usage: MAP_READ | COPY_DST,
    });
    device.queue.writeBuffer(this.segments, 0, layout.segments);
  }

  /** Clears the accumulator and sets the unit 2^e of each tensor. */
  begin(exponents: readonly number[]): void {
    const scales = Float32Array.from(exponents, (e) => 2 ** -e);
    this.#device.queue.writeBuffer(this.scales, 0, scales);
    const encoder = this.#device.createCommandEncoder();
    encoder.clearBuffer(this.sum);
    encoder.clearBuffer(this.peaks);
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Waits for the submitted microbatches and reads their sum. */
  async read(): Promise<LeaseSum> {
    const encoder = this.#device.createCommandEncoder();
    const peakBytes = this.peaks.size;
    encoder.copyBufferToBuffer(this.peaks, 0, this.#readback, 0, peakBytes);
    encoder.copyBufferToBuffer(this.sum, 0, this.#readback, peakBytes, this.sum.size);
    this.#device.queue.submit([encoder.finish()]);
    await this.#readback.mapAsync(1);
    const bytes = new Uint8Array(this.#readback.getMappedRange().slice(0));
    this.#readback.unmap();
    return { peaks: new Uint32Array(bytes.buffer, 0, peakBytes / 4), sum: bytes.subarray(peakBytes) };
  }

  /** What a recording binds of it. */
  get externals(): Externals {
    const { gradient, segments, scales, sum, peaks } = this;
    return { gradient, segments, scales, sum, peaks };
  }

  destroy(): void {
    for (const buffer of [this.gradient, this.sum, this.segments, this.scales, this.peaks, this.#readback])
      buffer.destroy();
  }
}
