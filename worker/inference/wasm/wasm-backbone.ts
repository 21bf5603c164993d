// A network that follows a target, on the CPU: a program for each side of crops, one crop after the other.

import type { ExportedModel, ExportedTracking } from "../../../shared/export/exported-model.ts";
import { atSide } from "../../../shared/export/read-exported.ts";
import { inputTable } from "../../../shared/export/see-picture.ts";
import type { Backbone, Features, Responses } from "../../../shared/tracking/backbone.ts";
import type { Backend } from "../program/backend.ts";
import { lowered } from "../program/lower.ts";
import { wasmBackend } from "./wasm-backend.ts";

class MemoryFeatures implements Features {
  readonly n: number;
  readonly side: number;
  #values: Float32Array | undefined;

  /** @param values [n][side][side][channels] */
  constructor(n: number, side: number, values: Float32Array) {
    this.n = n;
    this.side = side;
    this.#values = values;
  }

  /** @throws RangeError once they were released */
  get values(): Float32Array {
    if (this.#values) return this.#values;
    throw new RangeError("these features were released");
  }

  release(): void {
    this.#values = undefined;
  }
}

interface Program {
  readonly backend: Backend;
  readonly map: number;
}

export class WasmBackbone implements Backbone {
  readonly #model: ExportedModel;
  readonly #tracking: ExportedTracking;
  readonly #channels: number;
  readonly #table: Float32Array;
  readonly #programs = new Map<number, Promise<Program>>();

  constructor(model: ExportedModel, tracking: ExportedTracking) {
    this.#model = model;
    this.#tracking = tracking;
    this.#channels = model.shapes[model.output]!.c;
    this.#table = inputTable(model.input);
  }

  #program(side: number): Promise<Program> {
    const known = this.#programs.get(side);
    if (known) return known;
    const model = atSide(this.#model, side);
    const map = model.shapes[model.output]!.h;
    const program = wasmBackend(lowered(model)).then((backend) => ({ backend, map }));
    this.#programs.set(side, program);
    return program;
  }

  async embed(crops: Uint8Array, n: number, side: number): Promise<Features> {
    const { backend, map } = await this.#program(side);
    const table = this.#table;
    const [each, size] = [crops.length / n, map * map * this.#channels];
    const features = new Float32Array(n * size);
    for (let i = 0; i < n; i++) {
      const own = crops.subarray(i * each, (i + 1) * each);
      const values = Float32Array.from(own, (value, at) => table[3 * value + (at % 3)]!);
      features.set(await backend.run(values), i * size);
    }
    return new MemoryFeatures(n, map, features);
  }

  respond(exemplar: Features, searches: Features): Promise<Responses> {
    const [z, x] = [exemplar as MemoryFeatures, searches as MemoryFeatures];
    const { scale } = this.#tracking.response;
    const side = x.side - z.side + 1;
    const row = z.side * this.#channels;
    const [a, b] = [x.values, z.values];
    const values = new Float32Array(x.n * side * side);
    for (let at = 0; at < values.length; at++) {
      const [n, oy, ox] = [Math.floor(at / side ** 2), Math.floor(at / side) % side, at % side];
      let sum = 0;
      for (let ky = 0; ky < z.side; ky++) {
        const from = ((n * x.side + oy + ky) * x.side + ox) * this.#channels;
        for (let i = 0, j = ky * row; i < row; i++, j++) sum += a[from + i]! * b[j]!;
      }
      values[at] = scale * sum;
    }
    return Promise.resolve({ n: x.n, side, values });
  }

  dispose(): void {
    for (const program of this.#programs.values())
      void program.then(
        ({ backend }) => backend.dispose(),
        () => undefined,
      );
    this.#programs.clear();
  }
}
