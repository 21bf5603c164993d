// A program on a GPU: every step becomes a dispatch, over buffers that hold its values.

import { type Convolve, convolve, groupVectors, tapVectors } from "../../../kernels/inference/convolve.ts";
import {
  type FewBits,
  magnitudeMap,
  packMap,
  poolAll,
  poolMap,
  quantiseMap,
  tailMap,
} from "../../../kernels/inference/maps.ts";
import { TAIL_VECTORS, type TailParts } from "../../../kernels/inference/tail.ts";
import type { Kernel } from "../../../kernels/text/kernel.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { groupCount, signWords } from "../../../shared/model/window.ts";
import type { PipelineCache } from "../../pipeline-cache.ts";
import {
  lastReads,
  type Program,
  planeWords,
  type Rule,
  readBy,
  type Step,
  type Tail,
  type Value,
} from "../program/program.ts";

/** Of GPUBufferUsage, which some runtimes do not have. */
export const USAGE = { mapRead: 1, copySource: 4, copyTarget: 8, storage: 128 } as const;
const VECTOR = 4;

/** Floats of a position of a map. */
export const padded = (channels: number) => Math.ceil(channels / VECTOR) * VECTOR;

type Words = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** A kernel with what it binds: values by their place in the program, constants as they are. */
interface Launch {
  readonly kernel: Kernel;
  readonly bound: Readonly<Record<string, number | Words>>;
  readonly output: number;
}

function partsOf({ factors, scale, bias, add, activation }: Tail): TailParts {
  return {
    factors: factors !== undefined,
    affine: scale !== undefined || bias !== undefined,
    add: add !== undefined,
    activation: activation?.kind ?? "none",
  };
}

function boundBy({ factors, add }: Tail, n: number): Record<string, number | Words> {
  const ofEach = (own: Float32Array) => Float32Array.from({ length: n * own.length }, (_, at) => own[at % own.length]);
  return {
    ...(factors === undefined ? {} : { factors: typeof factors === "number" ? factors : ofEach(factors) }),
    ...(add === undefined ? {} : { added: add }),
  };
}

/** Lays a value a channel into vectors of groups: those of group g begin at (before + g · each + at) · 4. */
function inGroups(to: Float32Array, values: Float32Array, before: number, each: number, at: number): void {
  values.forEach((value, c) => {
    to[(before + Math.floor(c / VECTOR) * each + at) * VECTOR + (c % VECTOR)] = value;
  });
}

function tailConstants(to: Float32Array, tail: Tail, channels: number, before: number, each: number, at: number): void {
  inGroups(to, tail.scale ?? new Float32Array(channels).fill(1), before, each, at);
  if (tail.bias) inGroups(to, tail.bias, before, each, at + 1);
  if (tail.activation?.kind === "slope") inGroups(to, tail.activation.slope, before, each, at + 2);
}

/** [out][taps][elements] → [taps][elements of a pixel][padded out]. */
function outermostLast<T extends Float32Array | Uint32Array>(
  to: T,
  values: T,
  sizes: { readonly out: number; readonly taps: number; readonly elements: number; readonly pixel: number },
  from = 0,
): void {
  const { out, taps, elements, pixel } = sizes;
  const stride = padded(out);
  for (let o = 0; o < out; o++) {
    for (let tap = 0; tap < taps; tap++) {
      for (let i = 0; i < elements; i++) {
        to[from + (tap * pixel + i) * stride + o] = values[(o * taps + tap) * elements + i];
      }
    }
  }
}

function fewBits(rule: Rule): FewBits {
  return rule.kind === "bases" ? { kind: "bases", bases: rule.shift.length } : rule;
}

function basesOf(rule: Rule): Record<string, Words> {
  if (rule.kind !== "bases") return {};
  return { bases: Float32Array.from([...rule.shift, ...rule.scale]) };
}

export type MapValue = Extract<Value, { kind: "map" }>;

class Planner {
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
  }

  launches(): readonly Launch[] {
    return this.#program.steps.map((step) => this.#launch(step));
  }

  /** Bytes of a value. */
  bytes(id: number): number {
    const value = this.#program.values[id];
    const positions = this.#program.n * value.h * value.w;
    switch (value.kind) {
      case "map":
        return 4 * positions * padded(value.c);
      case "planes":
        return 4 * value.planes * positions * planeWords(value);
      case "factors":
        return 4 * positions;
      default:
        return value satisfies never;
    }
  }

  #map(id: number): { readonly positions: number; readonly channels: number; readonly stride: number } {
    const { h, w, c } = this.#program.values[id] as MapValue;
    return { positions: this.#program.n * h * w, channels: c, stride: padded(c) };
  }

  #launch(step: Step): Launch {
    const { input, output } = step;
    const plain = { x: input, y: output };
    switch (step.op) {
      case "float":
      case "bits":
      case "taps":
        return this.#convolution(step);
      case "map": {
        const { channels, stride } = this.#map(output);
        const constants = new Float32Array(TAIL_VECTORS * stride);
        tailConstants(constants, step.tail, channels, 0, TAIL_VECTORS, 0);
        const kernel = tailMap(this.#map(output), partsOf(step.tail));
        return { kernel, bound: { ...plain, constants, ...boundBy(step.tail, this.#program.n) }, output };
      }
      case "pack": {
        const { groups } = this.#program.values[output] as Extract<Value, { kind: "planes" }>;
        const kernel = packMap({ ...this.#map(input), ...(groups && { groups }) }, fewBits(step.rule));
        return { kernel, bound: { ...plain, ...basesOf(step.rule) }, output };
      }
      case "quantise":
        return {
          kernel: quantiseMap(this.#map(input), fewBits(step.rule)),
          bound: { ...plain, ...basesOf(step.rule) },
          output,
        };
      case "pool":
        return { kernel: poolMap(step.window, step.kind, this.#map(input).stride), bound: plain, output };
      case "globalpool":
        return { kernel: poolAll(this.#map(input), this.#program.n), bound: plain, output };
      case "magnitude":
        return { kernel: magnitudeMap(step.window, this.#map(input).stride), bound: plain, output };
      default:
        return step satisfies never;
    }
  }

  #convolution(step: Extract<Step, { op: "float" | "bits" | "taps" }>): Launch {
    const { window: shape, tail, input, output } = step;
    const { in: channels } = shape;
    const parts = groupCount(shape);
    const out = parts * shape.out;
    const taps = shape.kernel ** 2;
    const words = signWords(channels);
    // Of all channels; of a part, those that its outputs see, which lie in the weights.
    const pixel = step.op === "float" ? padded(parts * channels) : parts * words;
    const seen = parts === 1 ? pixel : step.op === "float" ? channels : words;
    const products: Convolve["products"] =
      step.op === "float"
        ? { kind: "float", pixel }
        : step.op === "taps"
          ? { kind: "taps" }
          : {
              kind: "bits",
              operation: step.counting.operation,
              ...step.counting.offset,
              planes: step.terms.map(({ plane }) => plane),
            };
    const sizes = { out, taps, elements: step.op === "float" ? channels : words, pixel: seen };
    const each = taps * seen * padded(out);
    const terms = step.op === "bits" ? step.terms : [];
    const weights = new (step.op === "float" ? Float32Array : Uint32Array)(each * Math.max(1, terms.length));
    if (step.op === "float") outermostLast(weights as Float32Array, step.weight, sizes);
    else if (step.op === "taps") outermostLast(weights as Uint32Array, step.bits, sizes);
    terms.forEach(({ bits }, term) => {
      outermostLast(weights as Uint32Array, bits, sizes, term * each);
    });

    const [before, vectors] = [tapVectors({ shape, products }), groupVectors({ products })];
    const constants = new Float32Array(VECTOR * (before + (padded(out) / VECTOR) * vectors));
    // −2 of c · (count − in/2), drawn in.
    if (step.op === "taps") step.c.forEach((c, tap) => void constants.fill(-2 * c, VECTOR * tap, VECTOR * (tap + 1)));
    terms.forEach(({ coefficient }, term) => {
      inGroups(constants, coefficient, before, vectors, term);
    });
    tailConstants(constants, tail, out, before, vectors, vectors - TAIL_VECTORS);
    const kernel = convolve({ shape, products, tail: partsOf(tail) });
    return { kernel, bound: { x: input, weights, constants, y: output, ...boundBy(tail, this.#program.n) }, output };
  }
}

/** A program with its buffers, ready to be run. */
export interface Recording {
  readonly input: GPUBuffer;
  readonly output: GPUBuffer;
  encode(pass: GPUComputePassEncoder): void;
  destroy(): void;
}

/** What a program never changes, by step and binding: other programs of the same network share it. */
export type Constants = Map<string, GPUBuffer>;

/** Compiles a program and lays out its values; `constants` gets what it needs and has not yet. */
export async function record(program: Program, cache: PipelineCache, constants: Constants): Promise<Recording> {
  const { device } = cache;
  const planner = new Planner(program);
  const launches = planner.launches();
  const compiled = await Promise.all(launches.map(({ kernel }) => cache.get(kernel)));
  const made: GPUBuffer[] = [];
  const constant = (key: string, words: Words) => {
    const known = constants.get(key);
    if (known) return known;
    const size = Math.max(16, words.byteLength);
    const fresh = device.createBuffer({ size, usage: USAGE.storage | USAGE.copyTarget });
    device.queue.writeBuffer(fresh, 0, words);
    constants.set(key, fresh);
    return fresh;
  };
  const value = (id: number) => {
    const usage = USAGE.storage | USAGE.copyTarget | USAGE.copySource;
    const fresh = device.createBuffer({ size: Math.max(16, planner.bytes(id)), usage });
    made.push(fresh);
    return fresh;
  };

  // Values that nobody reads any more leave their buffer to the next that fits.
  const last = lastReads(program);
  const places = new Map<number, GPUBuffer>([[program.input, value(program.input)]]);
  const free: GPUBuffer[] = [];
  const take = (id: number) => {
    const bytes = planner.bytes(id);
    free.sort((a, b) => a.size - b.size);
    const fit = free.findIndex(({ size }) => size >= bytes);
    return fit < 0 ? value(id) : free.splice(fit, 1)[0];
  };
  const passes = launches.map(({ kernel, bound, output }, at) => {
    places.set(output, take(output));
    const entries = kernel.bindings.map(({ name }, binding) => {
      const to = bound[name];
      const buffer = typeof to === "number" ? places.get(to)! : constant(`${at} ${name} ${to.length}`, to);
      return { binding, resource: { buffer } };
    });
    const step = program.steps[at];
    for (const id of new Set([...readBy(step), output])) {
      if (last[id] === at) free.push(places.get(id)!);
    }
    const { pipeline, layout } = compiled[at];
    return { pipeline, group: device.createBindGroup({ layout, entries }), grid: kernel.grid };
  });
  return {
    input: places.get(program.input)!,
    output: places.get(program.output)!,
    encode: (pass) => {
      for (const { pipeline, group, grid } of passes) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...grid);
      }
    },
    destroy: () => {
      for (const one of made) one.destroy();
    },
  };
}

/**
 * What `work` makes on the device.
 * @throws COMPUTE_FAILED for what the device refuses
 */
export async function accepted<T>(device: GPUDevice, work: () => Promise<T>): Promise<T> {
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("validation");
  const made = await work().catch((error: unknown) => error as Error);
  const refused = [await device.popErrorScope(), await device.popErrorScope()].find((error) => error !== null);
  if (!(made instanceof Error) && !refused) return made;
  throw new BitswarmError("COMPUTE_FAILED", `the GPU refuses the network: ${(refused ?? (made as Error)).message}`);
}
