// Run by Deno: runs the kernel sequences of a JSON file on an adapter with shader-f16 and prints the bits of each
// result as JSON.
import { readFileSync } from "node:fs";
import type { KernelSequence } from "../../kernels/text/kernel.ts";

/** A sequence, its buffers as bits, and the name of the one to read. */
export interface NagaRun {
  readonly sequence: KernelSequence;
  readonly bindings: Readonly<Record<string, readonly number[]>>;
  readonly result: string;
}

const adapter = await navigator.gpu.requestAdapter();
if (!adapter) throw new Error("Deno found no WebGPU adapter: set VK_ICD_FILENAMES to a Vulkan driver");
if (!adapter.features.has("shader-f16")) throw new Error(`adapter ${adapter.info.description} lacks shader-f16`);
const device = await adapter.requestDevice({ requiredFeatures: ["shader-f16"] });

function buffer(bytes: number): GPUBuffer {
  const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
  return device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 16) * 16), usage: STORAGE | COPY_SRC | COPY_DST });
}

async function run({ sequence, bindings, result }: NagaRun): Promise<readonly number[]> {
  const buffers = new Map<string, GPUBuffer>([["scratch", buffer(sequence.scratchBytes)]]);
  for (const [name, bits] of Object.entries(bindings)) {
    const data = Uint32Array.from(bits);
    buffers.set(name, buffer(data.byteLength));
    device.queue.writeBuffer(buffers.get(name)!, 0, data);
  }
  const encoder = device.createCommandEncoder();
  for (const kernel of sequence.kernels) {
    const module = device.createShaderModule({ code: kernel.wgsl });
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
    const entries = kernel.bindings.map(({ name }, binding) => ({ binding, resource: { buffer: buffers.get(name)! } }));
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...kernel.grid);
    pass.end();
  }
  const written = buffers.get(result)!;
  const staging = device.createBuffer({ size: written.size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  encoder.copyBufferToBuffer(written, 0, staging, 0, written.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return [...new Uint32Array(staging.getMappedRange().slice(0, bindings[result]!.length * 4))];
}

const runs: readonly NagaRun[] = JSON.parse(readFileSync(process.argv[2]!, "utf8"));
const results: (readonly number[])[] = [];
for (const entry of runs) {
  device.pushErrorScope("validation");
  const bits = await run(entry);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${entry.sequence.kernels[0]!.label}: ${error.message}`);
  results.push(bits);
}
console.log(JSON.stringify(results));
process.exit(0);
