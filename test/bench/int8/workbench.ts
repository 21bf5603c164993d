// Buffers by name and sequences bound to them, on a device of any runtime.
import type { Kernel, KernelSequence } from "../../../kernels/text/kernel.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";

// GPUBufferUsage; the namespace object is missing in some runtimes.
const MAP_READ = 1;
const COPY_SRC = 4;
const COPY_DST = 8;
const STORAGE = 128;

/** Appends its launches to a pass. */
export type Step = (pass: GPUComputePassEncoder) => void;

const idle = new Int32Array(new SharedArrayBuffer(4));

export class Workbench {
  #device: GPUDevice;
  #cache: PipelineCache;
  #buffers = new Map<string, GPUBuffer>();

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#cache = new PipelineCache(device);
  }

  /** A buffer of `bytes`, with the data given in front. */
  buffer(name: string, bytes: number, data?: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    const buffer = this.#device.createBuffer({ label: name, size: bytes, usage: STORAGE | COPY_SRC | COPY_DST });
    if (data) this.#device.queue.writeBuffer(buffer, 0, data);
    this.#buffers.set(name, buffer);
  }

  /** Overwrites a buffer from its start. */
  write(name: string, data: Float32Array<ArrayBuffer>): void {
    this.#device.queue.writeBuffer(this.#named(name), 0, data);
  }

  #named(name: string): GPUBuffer {
    const buffer = this.#buffers.get(name);
    if (!buffer) throw new RangeError(`no buffer named ${name}; there are ${[...this.#buffers.keys()].join(", ")}`);
    return buffer;
  }

  /** Binds kernels to the buffers of their bindings' names, or of what `renamed` calls them. */
  async bind(
    verbs: readonly (Kernel | KernelSequence)[],
    renamed: Readonly<Record<string, string>> = {},
  ): Promise<Step> {
    const kernels = verbs.flatMap((verb) => ("kernels" in verb ? verb.kernels : [verb]));
    const launches = await Promise.all(
      kernels.map(async (kernel) => {
        const { pipeline, layout } = await this.#cache.get(kernel);
        const entries = kernel.bindings.map(({ name }, binding) => {
          return { binding, resource: { buffer: this.#named(renamed[name] ?? name) } };
        });
        return { pipeline, group: this.#device.createBindGroup({ layout, entries }), grid: kernel.grid };
      }),
    );
    return (pass) => {
      for (const { pipeline, group, grid } of launches) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...grid);
      }
    };
  }

  /** Runs a step so many times in one submission; milliseconds of one run. Sleeps for `expectedMs`: Dawn in Node polls. */
  async time(step: Step, times: number, expectedMs: number): Promise<number> {
    const start = performance.now();
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < times; i++) step(pass);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
    if (expectedMs > 0) Atomics.wait(idle, 0, 0, expectedMs * times);
    await this.#device.queue.onSubmittedWorkDone();
    return (performance.now() - start) / times;
  }

  async read(name: string, elements: number): Promise<Float32Array> {
    const host = this.#device.createBuffer({ size: 4 * elements, usage: MAP_READ | COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#named(name), 0, host, 0, 4 * elements);
    this.#device.queue.submit([encoder.finish()]);
    await host.mapAsync(MAP_READ);
    const values = new Float32Array(host.getMappedRange().slice(0));
    host.destroy();
    return values;
  }
}
