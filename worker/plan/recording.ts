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
const NO_WORKGROUPS = [0, 0, 0] as const;

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
  /** Slots that are another recording's, until this one takes its place. */
  readonly #borrowed: Set<GPUBuffer>;
  #assignment: SlotAssignment;
  #externals: Externals;

  private constructor(
    steps: readonly Step[],
    slots: readonly GPUBuffer[],
    assignment: SlotAssignment,
    externals: Externals,
    borrowed: Set<GPUBuffer>,
  ) {
    this.#steps = steps;
    this.#slots = slots;
    this.#borrowed = borrowed;
    this.#assignment = assignment;
    this.#externals = externals;
  }

  /**
   * @param before in whose place it comes, and whose slots it uses where they are large enough: nothing in them is read
   * that the same replay has not written. `replace` settles it, `destroy` takes it back.
   */
  static async create(
    cache: PipelineCache,
    list: LaunchList,
    externals: Externals,
    before?: Recording,
  ): Promise<Recording> {
    const { device } = cache;
    const assignment = assignSlots(list);
    const free = new Set(before ? before.#slots : []);
    const borrowed = new Set<GPUBuffer>();
    const slots = assignment.slotBytes.map((bytes, index) => {
      const fitting = [...free].filter(({ size }) => size >= bytes).sort((a, b) => a.size - b.size)[0];
      if (!fitting) return storageBuffer(device, `slot ${index}`, bytes);
      free.delete(fitting);
      borrowed.add(fitting);
      return fitting;
    });
    const recording = new Recording([], slots, assignment, externals, borrowed);
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

  /** How many launches it has. */
  get length(): number {
    return this.#steps.length;
  }

  /** Appends every launch, or those of [from, to), as one compute pass. */
  encode(encoder: GPUCommandEncoder, from = 0, to = this.length): void {
    this.#encode(encoder, from, to, ({ grid }) => grid);
  }

  /** Appends the launches of [from, to) without any workgroup: a software adapter translates their kernels. */
  encodeEmpty(encoder: GPUCommandEncoder, from: number, to: number): void {
    this.#encode(encoder, from, to, () => NO_WORKGROUPS);
  }

  #encode(encoder: GPUCommandEncoder, from: number, to: number, gridOf: (step: Step) => Step["grid"]): void {
    const pass = encoder.beginComputePass();
    for (const step of this.#steps.slice(from, to)) {
      pass.setPipeline(step.pipeline);
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(...gridOf(step));
    }
    pass.end();
  }

  /** Lets the recording go that this one was created in the place of, but for the slots that are this one's now. */
  replace(before: Recording): void {
    for (const slot of before.#slots) if (!this.#borrowed.has(slot)) slot.destroy();
    this.#borrowed.clear();
  }

  destroy(): void {
    for (const slot of this.#slots) if (!this.#borrowed.has(slot)) slot.destroy();
  }
}
