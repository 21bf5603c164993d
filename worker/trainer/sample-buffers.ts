// A microbatch's samples on the device: written as they were decoded, and inputs of bytes made float32 there before a
// plan reads them.

import { lookUp } from "../../kernels/layers/look-up.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { MicrobatchInput } from "../../shared/samples/microbatch.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import { LaunchList, type SampleBuffer } from "../plan/launch-list.ts";
import { sampleSize } from "../plan/network-buffers.ts";
import { Recording, storageBuffer } from "../plan/recording.ts";

/** Values at multiples of this alone can be written to a buffer. */
const WORD = 4;

export class SampleBuffers {
  readonly #cache: PipelineCache;
  /** Of each input and target of a microbatch, as a plan binds it. */
  readonly #bound: Record<SampleBuffer, GPUBuffer> = {};
  /** Of each u8 input the bytes as they come, and the table that says what they are. */
  readonly #own: Record<SampleBuffer, GPUBuffer> = {};
  readonly #list = new LaunchList();
  #recording: Promise<Recording> | undefined;

  /** @throws PLAN_TOO_LARGE, DATA_INVALID */
  constructor(cache: PipelineCache, config: RunConfig, dataset: Dataset) {
    this.#cache = cache;
    const { device } = cache;
    const { microbatch, data } = config;
    const task = tasks.get(config.task.kind);
    const buffer = (name: string, bytes: number) => storageBuffer(device, name, bytes);
    const tables = task.tables?.(config.task, { dataset, data }) ?? {};
    for (const input of task.inputs(config.task, { dataset, data })) {
      const { name, encoding, c: channels } = input;
      const size = microbatch * sampleSize(input);
      this.#bound[`sample.${name}`] = buffer(name, 4 * size);
      if (encoding !== "u8") continue;
      const table = tables[name];
      if (!table) throw new RangeError(`task ${config.task.kind} has no table of its input ${name}`);
      const [bytes, values] = [bytesOf(name), tableOf(name)];
      this.#own[bytes] = buffer(bytes, size);
      this.#own[values] = buffer(values, table.byteLength);
      device.queue.writeBuffer(this.#own[values], 0, table);
      const whole = (of: SampleBuffer, length: number) =>
        ({ kind: "external", buffer: of, offset: 0, bytes: length }) as const;
      // A short microbatch leaves what the one before it had behind its own samples: no plan of its size reads there.
      this.#list.run(lookUp({ size, channels }), {
        bytes: whole(bytes, this.#own[bytes].size),
        table: whole(values, table.byteLength),
        y: whole(`sample.${name}`, 4 * size),
      });
    }
    for (const { name, size } of task.targets(config.task, { dataset, data })) {
      this.#bound[`sample.${name}`] = buffer(name, 4 * microbatch * size);
    }
  }

  /** What a recording binds of it. */
  get externals(): Readonly<Record<SampleBuffer, GPUBuffer>> {
    return this.#bound;
  }

  /** Kernels that run before a plan's. */
  get kernels() {
    return this.#list.launches.map(({ kernel }) => kernel);
  }

  /** Compiles what `encode` needs. @throws what the device says where it refuses a kernel */
  ready(): Promise<Recording> {
    this.#recording ??= Recording.create(this.#cache, this.#list, { ...this.#bound, ...this.#own });
    return this.#recording;
  }

  /**
   * Writes a microbatch and appends what makes its bytes float32. An input may also come as the float32 that it
   * becomes.
   */
  write(input: MicrobatchInput, encoder: GPUCommandEncoder, recording: Recording): void {
    const { queue } = this.#cache.device;
    let bytes = false;
    for (const [name, values] of Object.entries(input)) {
      const packed = values instanceof Uint8Array;
      bytes ||= packed;
      queue.writeBuffer(packed ? this.#own[bytesOf(name)] : this.#bound[`sample.${name}`], 0, wholeWords(values));
    }
    if (bytes) recording.encode(encoder);
  }

  destroy(): void {
    for (const buffer of [...Object.values(this.#bound), ...Object.values(this.#own)]) buffer.destroy();
  }
}

const bytesOf = (name: string): SampleBuffer => `sample.${name} bytes`;
const tableOf = (name: string): SampleBuffer => `sample.${name} table`;

function wholeWords(values: MicrobatchInput[string]): MicrobatchInput[string] {
  if (values.byteLength % WORD === 0) return values;
  const padded = new Uint8Array(Math.ceil(values.byteLength / WORD) * WORD);
  padded.set(values);
  return padded;
}
