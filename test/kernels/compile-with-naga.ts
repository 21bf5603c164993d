// Run by Deno: compiles the kernels of a JSON file and prints the errors as JSON, so that naga sees every text.
import { readFileSync } from "node:fs";
import type { Kernel } from "../../kernels/text/kernel.ts";

const kernels: readonly Kernel[] = JSON.parse(readFileSync(process.argv[2]!, "utf8"));
const adapter = await navigator.gpu.requestAdapter();
if (!adapter) throw new Error("Deno found no WebGPU adapter: set VK_ICD_FILENAMES to a Vulkan driver");
const device = await adapter.requestDevice();
const errors: { readonly label: string; readonly message: string }[] = [];
for (const kernel of kernels) {
  device.pushErrorScope("validation");
  const layout = device.createBindGroupLayout({
    entries: kernel.bindings.map((b, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: b.access === "read" ? "read-only-storage" : "storage" },
    })),
  });
  device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ code: kernel.wgsl }), entryPoint: "main" },
  });
  const error = await device.popErrorScope();
  if (error) errors.push({ label: kernel.label, message: error.message });
}
console.log(JSON.stringify({ compiled: kernels.length, errors }));
process.exit(0);
