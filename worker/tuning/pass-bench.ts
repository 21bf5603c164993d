// A bench for one convolution pass: buffers of its size on the device, on which any of its tilings can be run, timed
// and read.

import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import type { Tiling } from "../../kernels/convolution/pass/tiling.ts";
import type { CompiledKernel, PipelineCache } from "../pipeline-cache.ts";
import { storageBuffer } from "../plan/recording.ts";
import { operandElements, passOperands } from "./pass-operands.ts";
import { operandData } from "./tiling-check.ts";

// GPUBufferUsage and GPUMapMode; the namespace objects are missing in some runtimes.
const MAP_READ = 1;
const COPY_DST = 8;

/** A tiling's kernels on the bench. */
export interface Mounted {
  readonly tiling: Tiling;
  readonly steps: readonly {
    readonly compiled: CompiledKernel;
    readonly bindGroup: GPUBindGroup;
    readonly grid: readonly [number, number, number];
  }[];
}

export class PassBench {
  readonly pass: ConvolutionPass;
  readonly #cache: PipelineCache;
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #scratch: GPUBuffer[] = [];

  /** @throws PLAN_TOO_LARGE where an operand is over the adapter's limits */
  constructor(cache: PipelineCache, pass: ConvolutionPass) {
    this.#cache = cache;
    this.pass = pass;
    for (const operand of passOperands(pass)) {
      this.#buffers.set(
        operand.name,
        storageBuffer(cache.device, operand.name, paddedBytes(4 * operandElements(operand))),
      );
    }
  }

  /** Writes the data of a check; a bench that only times leaves its buffers at zero. */
  fill(): void {
    for (const operand of passOperands(this.pass)) {
      const buffer = this.#buffers.get(operand.name);
      if (buffer) this.#cache.device.queue.writeBuffer(buffer, 0, operandData(operand));
    }
  }

  /** Compiles a tiling's kernels. @throws what the device says where it refuses them */
  async mount(tiling: Tiling): Promise<Mounted> {
    const { device } = this.#cache;
    const { kernels, scratchBytes } = convolutionPass(this.pass, tiling);
    const compiled = await Promise.all(kernels.map((kernel) => this.#cache.get(kernel)));
    const own = new Map(this.#buffers);
    if (scratchBytes > 0) own.set("scratch", this.#scratchOf(paddedBytes(scratchBytes)));
    const steps = kernels.map((kernel, i) => ({
      compiled: compiled[i],
      bindGroup: device.createBindGroup({
        label: kernel.label,
        layout: compiled[i].layout,
        entries: kernel.bindings.map(({ name }, binding) => {
          const buffer = own.get(name);
          if (!buffer) throw new RangeError(`${kernel.label}: the bench has no operand ${name}`);
          return { binding, resource: { buffer } };
        }),
      }),
      grid: kernel.grid,
    }));
    return { tiling, steps };
  }

  /** Tilings run one after another and keep nothing in it, so they share it. */
  #scratchOf(bytes: number): GPUBuffer {
    const fitting = this.#scratch.find(({ size }) => size >= bytes);
    if (fitting) return fitting;
    const scratch = storageBuffer(this.#cache.device, "scratch", bytes);
    this.#scratch.push(scratch);
    return scratch;
  }

  /** Runs a tiling `times` over in one submission and waits for it. */
  async run({ steps }: Mounted, times: number): Promise<void> {
    const { device } = this.#cache;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < times; i++) {
      for (const { compiled, bindGroup, grid } of steps) {
        pass.setPipeline(compiled.pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
      }
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  }

  /** The f32 values that the pass has written. */
  async result(): Promise<Float32Array<ArrayBuffer>> {
    const { device } = this.#cache;
    const written = passOperands(this.pass).find(({ role }) => role === "result" || role === "sum");
    const source = written && this.#buffers.get(written.name);
    if (!source) throw new RangeError(`${this.pass.verb} writes nothing`);
    return new Float32Array(await readBuffer(device, source, 4 * operandElements(written)));
  }

  destroy(): void {
    for (const buffer of [...this.#buffers.values(), ...this.#scratch]) buffer.destroy();
  }
}

/** The first `bytes` of a buffer, once everything submitted is done. */
export async function readBuffer(device: GPUDevice, source: GPUBuffer, bytes = source.size): Promise<ArrayBuffer> {
  const host = device.createBuffer({ label: "result", size: bytes, usage: MAP_READ | COPY_DST });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, host, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await host.mapAsync(MAP_READ);
    return host.getMappedRange().slice(0);
  } finally {
    host.destroy();
  }
}

/** Whole vec4s, so that every binding's type fits. */
function paddedBytes(bytes: number): number {
  return Math.ceil(bytes / 16) * 16;
}
