// Run by Deno: reads the kernels of a JSON file, compiles those that are due, and prints the errors as JSON, so that
// naga sees every text.
import { readFileSync } from "node:fs";
import type { Kernel } from "../../kernels/text/kernel.ts";

interface Task {
  readonly texts: readonly Kernel[];
  readonly due: readonly Kernel[];
}

const { texts, due }: Task = JSON.parse(readFileSync(process.argv[2]!, "utf8"));
const adapter = await navigator.gpu.requestAdapter();
if (!adapter) throw new Error("Deno found no WebGPU adapter: set VK_ICD_FILENAMES to a Vulkan driver");
const device = await adapter.requestDevice();
const errors: { readonly label: string; readonly message: string }[] = [];
async function expectValid(label: string, work: () => unknown): Promise<void> {
  device.pushErrorScope("validation");
  work();
  const error = await device.popErrorScope();
  if (error) errors.push({ label, message: error.message });
}

for (const { label, wgsl } of texts) await expectValid(label, () => device.createShaderModule({ code: wgsl }));
for (const kernel of due) {
  const layout = device.createBindGroupLayout({
    entries: kernel.bindings.map((b, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: b.access === "read" ? "read-only-storage" : "storage" },
    })),
  });
  await expectValid(kernel.label, () =>
    device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ code: kernel.wgsl }), entryPoint: "main" },
    }),
  );
}
console.log(JSON.stringify({ read: texts.length, compiled: due.length, errors }));
process.exit(0);
