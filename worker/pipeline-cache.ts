// Compiles kernels once: the whole WGSL text is the key, and compilations under way are shared.

import type { Kernel } from "../kernels/text/kernel.ts";

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class PipelineCache {
  readonly device: GPUDevice;
  #pipelines = new Map<string, Promise<CompiledKernel>>();

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** Whether the kernel's compilation has begun. */
  has({ wgsl }: Kernel): boolean {
    return this.#pipelines.has(wgsl);
  }

  get(kernel: Kernel): Promise<CompiledKernel> {
    const known = this.#pipelines.get(kernel.wgsl);
    if (known) return known;
    const compiling = this.#compile(kernel);
    this.#pipelines.set(kernel.wgsl, compiling);
    return compiling;
  }

  async #compile(kernel: Kernel): Promise<CompiledKernel> {
    const { device } = this;
    // An explicit layout: an automatic one drops the bindings that a specialised text does not use.
    const layout = device.createBindGroupLayout({
      entries: kernel.bindings.map((binding, index) => ({
        binding: index,
        // GPUShaderStage.COMPUTE; the namespace object is missing in some runtimes.
        visibility: 4,
        buffer: { type: binding.access === "read" ? "read-only-storage" : "storage" },
      })),
    });
    const pipeline = await device.createComputePipelineAsync({
      label: kernel.label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ label: kernel.label, code: kernel.wgsl }), entryPoint: "main" },
    });
    return { pipeline, layout };
  }
}
