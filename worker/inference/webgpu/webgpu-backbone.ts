// A network that follows a target, on a GPU: features stay there, and what is embedded is computed with the response
// that asks for it, in one submission.

import { correlate } from "../../../kernels/inference/correlate.ts";
import { pixelMap } from "../../../kernels/inference/pixels.ts";
import type { ExportedModel, ExportedTracking } from "../../../shared/export/exported-model.ts";
import { atSide } from "../../../shared/export/read-exported.ts";
import { inputTable } from "../../../shared/export/see-picture.ts";
import type { Backbone, Features, Responses } from "../../../shared/tracking/backbone.ts";
import { PipelineCache } from "../../pipeline-cache.ts";
import { lowered } from "../program/lower.ts";
import { accepted, type Constants, padded, type Recording, record, USAGE } from "./record.ts";

const MAP_READ = 1;
/** Of the crops: red, green and blue. */
const CHANNELS = 3;

/** How crops of one side become features, so many at once. */
interface Plan {
  readonly bytes: GPUBuffer;
  readonly recording: Recording;
  /** Side of the map of features. */
  readonly map: number;
  encode(pass: GPUComputePassEncoder): void;
}

class GpuFeatures implements Features {
  readonly n: number;
  readonly side: number;
  readonly #release: (buffer: GPUBuffer) => void;
  #buffer: GPUBuffer | undefined;

  constructor(n: number, side: number, buffer: GPUBuffer, release: (buffer: GPUBuffer) => void) {
    this.n = n;
    this.side = side;
    this.#buffer = buffer;
    this.#release = release;
  }

  /** @throws RangeError once they were released */
  get buffer(): GPUBuffer {
    if (this.#buffer) return this.#buffer;
    throw new RangeError("these features were released");
  }

  release(): void {
    if (this.#buffer) this.#release(this.#buffer);
    this.#buffer = undefined;
  }
}

/** Buffers of one use by their size, for whoever comes next. */
class Spare {
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #all: GPUBuffer[] = [];
  readonly #device: GPUDevice;
  readonly #usage: number;

  constructor(device: GPUDevice, usage: number) {
    this.#device = device;
    this.#usage = usage;
  }

  take(size: number): GPUBuffer {
    const spare = this.#free.get(size)?.pop();
    if (spare) return spare;
    const fresh = this.#device.createBuffer({ size, usage: this.#usage });
    this.#all.push(fresh);
    return fresh;
  }

  /** What was recorded before reads it as it is now: the device does one after the other. */
  readonly release = (buffer: GPUBuffer): void => {
    const { size } = buffer;
    this.#free.set(size, [...(this.#free.get(size) ?? []), buffer]);
  };

  destroy(): void {
    for (const buffer of this.#all) buffer.destroy();
  }
}

/** @param device destroyed with the backbone, where `owned` */
export class WebgpuBackbone implements Backbone {
  readonly #model: ExportedModel;
  readonly #tracking: ExportedTracking;
  readonly #device: GPUDevice;
  readonly #owned: boolean;
  readonly #cache: PipelineCache;
  readonly #constants: Constants = new Map();
  readonly #plans = new Map<string, Promise<Plan>>();
  readonly #features: Spare;
  readonly #staging: Spare;
  readonly #responses: Spare;
  readonly #table: GPUBuffer;
  readonly #made: GPUBuffer[] = [];
  /** Floats of a position of the features. */
  readonly #stride: number;
  /** What is recorded and not yet submitted, and the plans in it: their bytes must stay as they are. */
  #pending: { readonly encoder: GPUCommandEncoder; readonly plans: Set<Plan> } | undefined;
  /** Plans are made one after the other: each looks at what the device refuses. */
  #making: Promise<unknown> = Promise.resolve();

  constructor(model: ExportedModel, tracking: ExportedTracking, device: GPUDevice, owned = true) {
    this.#model = model;
    this.#tracking = tracking;
    this.#device = device;
    this.#owned = owned;
    this.#cache = new PipelineCache(device);
    this.#stride = padded(model.shapes[model.output]!.c);
    this.#features = new Spare(device, USAGE.storage | USAGE.copyTarget | USAGE.copySource);
    this.#responses = new Spare(device, USAGE.storage | USAGE.copySource);
    this.#staging = new Spare(device, USAGE.mapRead | USAGE.copyTarget);
    const table = inputTable(model.input);
    this.#table = this.#buffer(table.byteLength, USAGE.storage | USAGE.copyTarget);
    device.queue.writeBuffer(this.#table, 0, table);
  }

  #buffer(size: number, usage: number): GPUBuffer {
    const fresh = this.#device.createBuffer({ size, usage });
    this.#made.push(fresh);
    return fresh;
  }

  #plan(n: number, side: number): Promise<Plan> {
    const key = `${n} ${side}`;
    const known = this.#plans.get(key);
    if (known) return known;
    const plan = this.#making.then(() => accepted(this.#device, () => this.#planned(n, side)));
    this.#making = plan.catch(() => undefined);
    this.#plans.set(key, plan);
    return plan;
  }

  async #planned(n: number, side: number): Promise<Plan> {
    const model = atSide(this.#model, side);
    const recording = await record(lowered(model, n), this.#cache, this.#constants);
    const kernel = pixelMap(n * side * side, CHANNELS);
    const { pipeline, layout } = await this.#cache.get(kernel);
    const bytes = this.#buffer(4 * Math.ceil((n * side * side * CHANNELS) / 4), USAGE.storage | USAGE.copyTarget);
    const bound: Readonly<Record<string, GPUBuffer>> = { bytes, table: this.#table, y: recording.input };
    const entries = kernel.bindings.map(({ name }, binding) => ({ binding, resource: { buffer: bound[name]! } }));
    const group = this.#device.createBindGroup({ layout, entries });
    return {
      bytes,
      recording,
      map: model.shapes[model.output]!.h,
      encode: (pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...kernel.grid);
        recording.encode(pass);
      },
    };
  }

  async embed(crops: Uint8Array, n: number, side: number): Promise<Features> {
    const plan = await this.#plan(n, side);
    if (this.#pending?.plans.has(plan)) this.#submit();
    const whole = new Uint8Array(plan.bytes.size);
    whole.set(crops);
    this.#device.queue.writeBuffer(plan.bytes, 0, whole);
    this.#pending ??= { encoder: this.#device.createCommandEncoder(), plans: new Set() };
    const { encoder, plans } = this.#pending;
    plans.add(plan);
    const pass = encoder.beginComputePass();
    plan.encode(pass);
    pass.end();
    const size = 4 * n * plan.map ** 2 * this.#stride;
    const features = this.#features.take(size);
    encoder.copyBufferToBuffer(plan.recording.output, 0, features, 0, size);
    return new GpuFeatures(n, plan.map, features, this.#features.release);
  }

  #submit(): void {
    if (this.#pending) this.#device.queue.submit([this.#pending.encoder.finish()]);
    this.#pending = undefined;
  }

  async respond(exemplar: Features, searches: Features): Promise<Responses> {
    const [z, x] = [exemplar as GpuFeatures, searches as GpuFeatures];
    const side = x.side - z.side + 1;
    const kernel = correlate({
      exemplar: { h: z.side, w: z.side },
      search: { h: x.side, w: x.side },
      n: x.n,
      stride: this.#stride,
      scale: this.#tracking.response.scale,
    });
    const { pipeline, layout } = await this.#cache.get(kernel);
    const size = 4 * x.n * side * side;
    const [y, staging] = [this.#responses.take(size), this.#staging.take(size)];
    const bound: Readonly<Record<string, GPUBuffer>> = { x: x.buffer, z: z.buffer, y };
    const entries = kernel.bindings.map(({ name }, binding) => ({ binding, resource: { buffer: bound[name]! } }));
    const group = this.#device.createBindGroup({ layout, entries });
    this.#pending ??= { encoder: this.#device.createCommandEncoder(), plans: new Set() };
    const { encoder } = this.#pending;
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...kernel.grid);
    pass.end();
    encoder.copyBufferToBuffer(y, 0, staging, 0, size);
    this.#responses.release(y);
    this.#submit();
    await staging.mapAsync(MAP_READ);
    const values = new Float32Array(staging.getMappedRange().slice(0));
    staging.unmap();
    this.#staging.release(staging);
    return { n: x.n, side, values };
  }

  dispose(): void {
    this.#pending = undefined;
    for (const plan of this.#plans.values())
      void plan.then(
        ({ recording }) => recording.destroy(),
        () => undefined,
      );
    for (const spare of [this.#features, this.#responses, this.#staging]) spare.destroy();
    for (const buffer of [...this.#made, ...this.#constants.values()]) buffer.destroy();
    if (this.#owned) this.#device.destroy();
  }
}
