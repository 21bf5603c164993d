// A launch list made real on a device: slots allocated, pipelines compiled, bind groups made once. Replayed as one
// pass, with nothing built in the loop.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import type { ExternalBuffer, Launch, LaunchList, Ref, SampleBuffer } from "./launch-list.ts";
import { assignSlots, type SlotAssignment } from "./slots.ts";

// GPUBufferUsage; the namespace object is missing in some runtimes.
const COPY_SRC = 4;
const COPY_DST = 8;
const STORAGE = 128;

export type Externals = Readonly<Partial<Record<Exclude<ExternalBuffer, SampleBuffer>, GPUBuffer>>> & {
  readonly [sample: SampleBuffer]: GPUBuffer;
};

interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

/** A storage buffer that can be copied to and from; its size is rounded up to 4 bytes. */
export function storageBuffer(device: GPUDevice, label: string, bytes: number): GPUBuffer {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  if (bytes > limit) {
    throw new BitswarmError(
      "PLAN_TOO_LARGE",
      `${label} needs a buffer of ${bytes} bytes; this adapter allows ${limit}. Use a smaller microbatch or narrower layers`,
    );
  }
  return device.createBuffer({
    label,
    size: Math.max(4, Math.ceil(bytes / 4) * 4),
    usage: STORAGE | COPY_SRC | COPY_DST,
  });
}

export class Recording {
  #steps: readonly Step[];
  #slots: readonly GPUBuffer[];
  #assignment: SlotAssignment;
  #externals: Externals;

  private constructor(
    steps: readonly Step[],
    slots: readonly GPUBuffer[],
    assignment: SlotAssignment,
    externals: Externals,
  ) {
    this.#steps = steps;
    this.#slots = slots;
    this.#assignment = assignment;
    this.#externals = externals;
  }

  static async create(cache: PipelineCache, list: LaunchList, externals: Externals): Promise<Recording> {
    const { device } = cache;
    const assignment = assignSlots(list);
    const slots = assignment.slotBytes.map((bytes, index) => storageBuffer(device, `slot ${index}`, bytes));
    const recording = new Recording([], slots, assignment, externals);
    const steps = await Promise.all(
      list.launches.map(async ({ kernel, refs }: Launch): Promise<Step> => {
        const { pipeline, layout } = await cache.get(kernel);
        const bindGroup = device.createBindGroup({
          label: kernel.label,
          layout,
          entries: refs.map((ref, binding) => ({
            binding,
            resource: recording.rangeOf(ref),
          })),
        });
        return { pipeline, bindGroup, grid: kernel.grid };
      }),
    );
    recording.#steps = steps;
    return recording;
  }

  /** Bytes held by slots. */
  get bytes(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.size, 0);
  }

  /** Where a tensor is: a range of one of the buffers. */
  rangeOf(ref: Ref): { readonly buffer: GPUBuffer; readonly offset: number; readonly size: number } {
    const { slotOf, offsetOf } = this.#assignment;
    const buffer = ref.kind === "external" ? this.#externals[ref.buffer] : this.#slots[slotOf[ref.id]];
    if (!buffer) throw new RangeError(`no buffer for ${JSON.stringify(ref)}`);
    const start = ref.kind === "external" ? 0 : offsetOf[ref.id];
    return { buffer, offset: start + ref.offset, size: ref.bytes };
  }

  /** Appends every launch as one compute pass. */
  encode(encoder: GPUCommandEncoder): void {
    const pass = encoder.beginComputePass();
    for (const { pipeline, bindGroup, grid } of this.#steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    }
    pass.end();
  }

  destroy(): void {
    for (const slot of this.#slots) slot.destroy();
  }
}
