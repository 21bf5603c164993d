// Buffers of one convolution pass, filled with numbers of a plausible kind, on which each of its tilings can be run.

import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import type { KernelSequence } from "../../kernels/text/kernel.ts";
import type { Launch, Ref } from "../../worker/plan/launch-list.ts";
import { storageBuffer } from "../../worker/plan/recording.ts";
import { operandElements, passOperands } from "../../worker/tuning/pass-operands.ts";
import type { BenchDevice } from "./bench-device.ts";
import { type Bound, bind } from "./replay.ts";

/** In [−1, 1], no two neighbours alike; zero only where an index happens to hit it. */
export function floats(length: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 2001) / 1000 - 1.0005);
}

export function words(length: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);
}

export class PassBuffers {
  #bench: BenchDevice;
  #pass: ConvolutionPass;
  #buffers = new Map<string, GPUBuffer>();

  constructor(bench: BenchDevice, pass: ConvolutionPass) {
    this.#bench = bench;
    this.#pass = pass;
  }

  #buffer(name: string): GPUBuffer {
    const known = this.#buffers.get(name);
    if (known) return known;
    const operand = passOperands(this.#pass).find((one) => one.name === name);
    if (!operand) throw new RangeError(`no size is known of the binding ${name}`);
    const elements = operandElements(operand);
    const data = operand.role === "signs" ? words(elements) : floats(elements);
    // Whole vec4s, so that every binding's type fits.
    const buffer = storageBuffer(this.#bench.device, name, 16 * Math.ceil(elements / 4));
    this.#bench.device.queue.writeBuffer(buffer, 0, data);
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /** Compiles the kernels of a tiling and binds them; scratch buffers are kept with the rest. */
  async bind(sequence: KernelSequence): Promise<readonly Bound[]> {
    const scratch = `scratch ${sequence.scratchBytes}`;
    if (sequence.scratchBytes > 0 && !this.#buffers.has(scratch)) {
      this.#buffers.set(scratch, storageBuffer(this.#bench.device, "scratch", sequence.scratchBytes));
    }
    const names: string[] = [];
    const launches = sequence.kernels.map((kernel): Launch => {
      const refs = kernel.bindings.map(({ name }): Ref => {
        const buffer = name === "scratch" ? this.#buffers.get(scratch) : this.#buffer(name);
        if (!buffer) throw new RangeError(`${kernel.label} binds a scratch buffer that its sequence has not`);
        names.push(name === "scratch" ? scratch : name);
        return { kind: "transient", id: names.length - 1, offset: 0, bytes: buffer.size };
      });
      return { kernel, refs };
    });
    return bind(this.#bench.cache, launches, (ref) => {
      const buffer = ref.kind === "transient" ? this.#buffers.get(names[ref.id]) : undefined;
      if (!buffer) throw new RangeError(`no buffer for ${JSON.stringify(ref)}`);
      return { buffer };
    });
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
  }
}
