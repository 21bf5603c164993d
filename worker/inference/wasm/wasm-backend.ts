// A program on the CPU: every step becomes calls of kernels over one memory.

import { assemble } from "../../../shared/assembler/assemble.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { groupCount, signWords, type WindowShape } from "../../../shared/model/window.ts";
import type { Backend } from "../program/backend.ts";
import {
  type BitTerm,
  type Counting,
  lastReads,
  type Program,
  planeWords,
  type Rule,
  readBy,
  type Step,
  type Tail,
  type Value,
} from "../program/program.ts";
import {
  bitsKernel,
  kernelText,
  numbersKernel,
  packKernel,
  poolKernel,
  type TailParts,
  tailKernel,
} from "./kernel-text.ts";
import { MemoryLayout } from "./memory.ts";
import { tapsOf, type WindowTable, windowTable } from "./window-table.ts";

/** Channels that a group computes at once. */
const GROUP = 8;
/** Words whose set bits a byte of each can count: 8 a word, 255 at most; even, for loops of two. */
const MOST_WORDS = 30;
/** Outputs after which a tail follows: what a step has written is near by then, and its weights were read for many. */
const BLOCK = 128;
const INTEGER_MOST = 0x7fff_ffff;

/** Bits of the float that lies in memory. */
function floatBits(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0];
}

type Kernels = Readonly<Record<string, (...values: number[]) => void>>;
type Call = (kernels: Kernels) => void;

const padded = (channels: number) => Math.ceil(channels / GROUP) * GROUP;

/** Channels behind the last one are zeros, or `fill`. */
function paddedTo(values: Float32Array | undefined, channels: number, fill: number): Float32Array {
  const result = new Float32Array(padded(channels));
  result.fill(fill, 0, channels);
  if (values) result.set(values);
  return result;
}

/** [out][taps][elements] → [group][taps][padded elements][8], zeros where there is no output. */
function grouped<T extends Float32Array | Uint32Array>(
  values: T,
  out: number,
  taps: number,
  elements: number,
  pixel: number,
): T {
  const groups = padded(out) / GROUP;
  const result = new (values.constructor as new (length: number) => T)(groups * taps * pixel * GROUP);
  for (let o = 0; o < out; o++) {
    const base = Math.floor(o / GROUP) * taps * pixel * GROUP + (o % GROUP);
    for (let tap = 0; tap < taps; tap++) {
      const from = (o * taps + tap) * elements;
      for (let i = 0; i < elements; i++) result[base + (tap * pixel + i) * GROUP] = values[from + i];
    }
  }
  return result;
}

function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** What counts are taken from, f32 [tap set][padded out]. */
function offsetsOf({ offset }: Counting, { bits }: BitTerm, window: WindowShape, { sets }: WindowTable): Float32Array {
  const { kernel, in: channels } = window;
  const out = groupCount(window) * window.out;
  const words = signWords(channels);
  const each = kernel * kernel * words;
  const stride = padded(out);
  const result = new Float32Array(sets.length * stride);
  sets.forEach((set, index) => {
    const taps = tapsOf(set, kernel);
    for (let o = 0; o < out; o++) {
      let sum = offset.channels * channels * taps.length;
      if (offset.ones > 0) {
        for (const tap of taps) {
          for (let i = 0; i < words; i++) sum += offset.ones * ones(bits[o * each + tap * words + i]);
        }
      }
      result[index * stride + o] = sum;
    }
  });
  return result;
}

/** Whether a machine has what the kernels are written in. */
function hasVectors(): boolean {
  return WebAssembly.validate(
    assemble("(func $f (param $x i32) (v128.store (local.get $x) (i8x16.popcnt (v128.load (local.get $x)))))"),
  );
}

/** @throws RUNTIME_MISSING without vectors; RangeError for a memory that is not to be had */
export async function wasmBackend(program: Program): Promise<Backend> {
  if (!hasVectors()) {
    throw new BitswarmError(
      "RUNTIME_MISSING",
      "WebAssembly has no vectors here; use a browser, Node or Deno of 2023 on",
    );
  }
  const planned = new Planner(program).plan();
  const memory = planned.layout.memory();
  const { instance } = await WebAssembly.instantiate(assemble(kernelText(planned.kernels)), { env: { memory } });
  const kernels = instance.exports as unknown as Kernels;
  const floats = new Float32Array(memory.buffer);
  const { calls, input, output } = planned;
  return {
    kind: "wasm",
    run: (values) => {
      input(floats, values);
      for (const call of calls) call(kernels);
      return output(floats);
    },
    dispose: () => undefined,
  };
}

/** Where a value lies. */
interface Place {
  readonly at: number;
  readonly bytes: number;
}

class Planner {
  readonly #program: Program;
  readonly #layout = new MemoryLayout();
  readonly #kernels = new Set<string>();
  readonly #places: Place[] = [];
  readonly #calls: Call[] = [];
  /** Floats of a position, of each map. */
  readonly #strides: readonly number[];

  constructor(program: Program) {
    this.#program = program;
    // Pixels of the input lie side by side where only convolutions of floats read them, which then read no zeros.
    const plain = program.steps.every((step) =>
      step.op === "float" ? step.tail.add !== program.input : !readBy(step).includes(program.input),
    );
    this.#strides = program.values.map((value, id) => {
      if (value.kind !== "map") return 1;
      return id === program.input && plain ? value.c : padded(value.c);
    });
  }

  plan() {
    const { values, steps, input, output } = this.#program;
    const last = lastReads(this.#program);
    // Constants first: they are all there before the first value has a place.
    const made = steps.map((step) => this.#prepared(step));
    const take = (id: number) => {
      const bytes = this.#bytes(id);
      this.#places[id] = { at: this.#layout.take(bytes), bytes };
    };
    take(input);
    steps.forEach((step, at) => {
      take(step.output);
      this.#calls.push(...made[at]());
      for (const id of new Set([...readBy(step), step.output])) {
        if (last[id] === at) this.#layout.release(this.#places[id].at, this.#places[id].bytes);
      }
    });
    const [from, to] = [values[input], values[output]] as Extract<Value, { kind: "map" }>[];
    const places = [this.#places[input].at / 4, this.#places[output].at / 4];
    const stride = this.#strides[input];
    return {
      layout: this.#layout,
      kernels: this.#kernels,
      calls: this.#calls,
      input: (floats: Float32Array, given: Float32Array) => {
        if (stride === from.c) return floats.set(given, places[0]);
        for (let p = 0; p < from.h * from.w; p++) {
          floats.set(given.subarray(p * from.c, (p + 1) * from.c), places[0] + p * stride);
        }
      },
      output: (floats: Float32Array) => {
        const [positions, apart] = [to.h * to.w, this.#strides[output]];
        if (positions === 1 || apart === to.c) return floats.slice(places[1], places[1] + positions * to.c);
        const values = new Float32Array(positions * to.c);
        for (let p = 0; p < positions; p++) {
          const from = places[1] + p * apart;
          values.set(floats.subarray(from, from + to.c), p * to.c);
        }
        return values;
      },
    };
  }

  #bytes(id: number): number {
    const value = this.#program.values[id];
    const positions = value.h * value.w;
    switch (value.kind) {
      case "map":
        return 4 * positions * this.#strides[id];
      case "planes":
        return 4 * value.planes * positions * planeWords(value);
      case "factors":
        return 4 * positions;
      default:
        return value satisfies never;
    }
  }

  #kernel(name: string): string {
    this.#kernels.add(name);
    return name;
  }

  /** The step's constants are laid down; its calls are made when its values have places. */
  #prepared(step: Step): () => Call[] {
    switch (step.op) {
      case "float":
      case "bits":
      case "taps":
        return this.#convolution(step);
      case "map":
        return this.#map(step);
      case "pack":
      case "quantise":
        return this.#quantised(step);
      case "pool":
      case "globalpool":
        return this.#pool(step);
      case "magnitude":
        return this.#magnitude(step);
      default:
        return step satisfies never;
    }
  }

  /** A window table in memory. @param extra what a kernel reads of a run beside where it is */
  #table(
    table: WindowTable,
    bytes: { readonly element: number; readonly output: number },
    extra: (set: number, run: number) => readonly number[],
    offsets: (set: number) => number = () => 0,
  ): number {
    const starts = table.runs.map((runs, set) => {
      const rows = runs.flatMap((run, index) => {
        return [run.input * bytes.element, run.weight * 4 * GROUP, run.length, ...extra(set, index)];
      });
      return this.#layout.constant(Int32Array.from(rows));
    });
    const segments = table.segments.flatMap(({ input, output, count, taps }) => [
      input * bytes.element,
      output * bytes.output,
      count,
      starts[taps],
      starts[taps] + 20 * table.runs[taps].length,
      offsets(taps),
    ]);
    return this.#layout.constant(Int32Array.from(segments));
  }

  #convolution(step: Extract<Step, { op: "float" | "bits" | "taps" }>): () => Call[] {
    const { window, input, output } = step;
    const { kernel, stride, in: channels } = window;
    const parts = groupCount(window);
    const out = parts * window.out;
    const taps = kernel * kernel;
    const words = signWords(channels);
    const pixel = step.op === "float" ? this.#strides[input] : parts * words;
    // A part reads its own channels of a pixel; zeros behind the last of a whole one cost less than a run a tap.
    const seen = parts === 1 ? pixel : step.op === "float" ? channels : words;
    const most = step.op === "float" ? INTEGER_MOST : MOST_WORDS;
    const table = windowTable(window, { pixel, seen, most, apart: step.op === "taps" });
    const outputStride = 4 * this.#strides[output];
    const bytes = { element: 4, output: outputStride };
    const groups = parts === 1 ? padded(out) / GROUP : window.out / GROUP;
    const groupBytes = 4 * taps * seen * GROUP;
    const planeBytes = 4 * window.h * window.w * pixel;
    /** `segments` of each part. */
    const kernels: { name: string; weights: number; segments: number[]; plane: number; coefficients: number }[] = [];
    const same = (segments: number) => Array.from({ length: parts }, () => segments);
    if (step.op === "float") {
      const weights = this.#layout.constant(grouped(step.weight, out, taps, channels, seen));
      const segments = same(this.#table(table, bytes, () => [0, 0]));
      kernels.push({ name: this.#kernel("floats"), weights, segments, plane: 0, coefficients: 0 });
    } else if (step.op === "taps") {
      const weights = this.#layout.constant(grouped(step.bits, out, taps, words, words));
      const ofRun = (set: number, index: number) => {
        const run = table.runs[set][index];
        const before = (run.weight - run.tap * words) * 32;
        // −2 of c · (count − in/2), drawn in: exact, a power of two.
        return [-2 * step.c[run.tap], Math.min(channels - before, 32 * run.length) / 2].map(floatBits);
      };
      const segments = same(this.#table(table, bytes, ofRun));
      kernels.push({ name: this.#kernel("taps"), weights, segments, plane: 0, coefficients: 0 });
    } else {
      step.terms.forEach((term, index) => {
        const weights = this.#layout.constant(grouped(term.bits, out, taps, words, words));
        const offsets = this.#layout.constant(offsetsOf(step.counting, term, window, table));
        const due = (set: number, run: number) => dueFlush(table.runs[set], run);
        const segments = same(0).map((_, part) =>
          this.#table(
            table,
            bytes,
            (set, run) => [due(set, run) ? 1 : 0, 0],
            (set) => offsets + 4 * (padded(out) * set + window.out * part),
          ),
        );
        const coefficients = this.#layout.constant(paddedTo(term.coefficient, out, 0));
        const name = this.#kernel(bitsKernel(step.counting.operation, index > 0));
        kernels.push({ name, weights, segments, plane: term.plane, coefficients });
      });
    }
    const tail = this.#tail(step.tail, out);
    const blocks = blocksOf(table);
    const step4 = 4 * stride * pixel;
    return () => {
      const [from, to] = [this.#places[input].at, this.#places[output].at];
      const finish = tail?.(to, to, outputStride);
      return blocks.flatMap(({ first, end, position, positions }) => [
        ...kernels.flatMap(({ name, weights, segments, plane, coefficients }) =>
          segments.map((segment, part): Call => {
            const a = from + plane * planeBytes + 4 * seen * part;
            const [begin, past] = [segment + 24 * first, segment + 24 * end];
            const [own, before] = [weights + part * groups * groupBytes, 4 * window.out * part];
            return (call) =>
              call[name](
                begin,
                past,
                own,
                groupBytes,
                groups,
                a,
                to + before,
                outputStride,
                step4,
                coefficients + before,
              );
          }),
        ),
        ...(finish ? [finish(position, positions)] : []),
      ]);
    };
  }

  /** Of a tail that does something: (input, output, stride) → (first position, positions) → the call. */
  #tail(tail: Tail, channels: number) {
    if (Object.keys(tail).length === 0) return undefined;
    const { activation, add, factors } = tail;
    const parts: TailParts = {
      factors: factors !== undefined,
      add: add !== undefined,
      activation: activation?.kind ?? "none",
    };
    const name = this.#kernel(tailKernel(parts));
    const constant = (values: Float32Array | undefined, fill: number) =>
      this.#layout.constant(paddedTo(values, channels, fill));
    const [scale, bias] = [constant(tail.scale, 1), constant(tail.bias, 0)];
    const slope = activation?.kind === "slope" ? constant(activation.slope, 0) : 0;
    const fixed = factors instanceof Float32Array ? this.#layout.constant(factors) : 0;
    return (input: number, output: number, stride: number) => {
      const sum = add === undefined ? 0 : this.#places[add].at;
      const many = typeof factors === "number" ? this.#places[factors].at : fixed;
      return (position: number, positions: number): Call => {
        const at = position * stride;
        const from = many + 4 * position;
        return (call) => call[name](input + at, output + at, positions, stride, scale, bias, sum + at, slope, from);
      };
    };
  }

  #map({ input, output, tail }: Extract<Step, { op: "map" }>): () => Call[] {
    const value = this.#program.values[output] as Extract<Value, { kind: "map" }>;
    // A map that is read for itself is a tail that only copies.
    const made = this.#tail({ scale: new Float32Array(value.c).fill(1), ...tail }, value.c)!;
    return () => [
      made(this.#places[input].at, this.#places[output].at, 4 * this.#strides[output])(0, value.h * value.w),
    ];
  }

  #quantised({ op, input, output, rule }: Extract<Step, { op: "pack" | "quantise" }>): () => Call[] {
    const { h, w, c } = this.#program.values[input] as Extract<Value, { kind: "map" }>;
    const made = this.#program.values[output];
    const parts = made.kind === "planes" ? (made.groups ?? 1) : 1;
    const own = c / parts;
    // A part of a pixel is packed as if it were a pixel: they lie side by side, as channels of so many are not padded.
    const positions = h * w * parts;
    const stride = parts === 1 ? 4 * this.#strides[input] : 4 * own;
    const words = signWords(own);
    const mask = own % 32 === 0 ? -1 : (1 << (own % 32)) - 1;
    const name = this.#kernel(op === "pack" ? packKernel(rule.kind) : numbersKernel(rule.kind));
    const planes = planesOf(rule);
    return () => {
      const [from, to] = [this.#places[input].at, this.#places[output].at];
      if (op === "pack") {
        return planes.map(({ value, shift }, j): Call => {
          const at = to + j * 4 * positions * words;
          return (call) => call[name](from, at, positions, stride, words, mask, value, shift);
        });
      }
      const vectors = (positions * stride) / 16;
      const fresh: Call[] = [];
      if (rule.kind === "bases") {
        const clear = this.#kernel(numbersKernel("bits"));
        fresh.push((call) => call[clear](from, to, vectors, 0, 0));
      }
      const calls = rule.kind === "bits" ? planes.slice(0, 1) : planes;
      return [
        ...fresh,
        ...calls.map(
          ({ value, scale }): Call =>
            (call) =>
              call[name](from, to, vectors, value, scale),
        ),
      ];
    };
  }

  #pool(step: Extract<Step, { op: "pool" | "globalpool" }>): () => Call[] {
    const { input, output } = step;
    const { h, w } = this.#program.values[input];
    const stride = 4 * this.#strides[output];
    const pixel = this.#strides[input];
    const kind = step.op === "pool" ? step.kind : "avg";
    const name = this.#kernel(poolKernel(kind));
    const table =
      step.op === "pool"
        ? windowTable(step.window, { pixel, most: INTEGER_MOST, apart: true })
        : everything(h * w, pixel);
    const segments = this.#table(table, { element: 4, output: stride }, () => [0, 0]);
    const end = segments + 24 * table.segments.length;
    const scale = 1 / (step.op === "pool" ? step.window.kernel ** 2 : h * w);
    const between = step.op === "pool" ? 4 * pixel * step.window.stride : 0;
    return () => {
      const [from, to] = [this.#places[input].at, this.#places[output].at];
      return [(call) => call[name](segments, end, from, to, stride, between, scale)];
    };
  }

  #magnitude({ input, output, window }: Extract<Step, { op: "magnitude" }>): () => Call[] {
    const positions = window.h * window.w;
    const stride = 4 * this.#strides[input];
    const [sums, box] = [this.#kernel("magnitudes"), this.#kernel("box")];
    const table = windowTable(window, { pixel: 1, most: INTEGER_MOST, apart: true });
    const segments = this.#table(table, { element: 4, output: 4 }, () => [0, 0]);
    const end = segments + 24 * table.segments.length;
    const scale = 1 / (window.kernel ** 2 * window.in);
    const planeAt = this.#layout.constant(new Float32Array(positions));
    return () => {
      const [from, to] = [this.#places[input].at, this.#places[output].at];
      return [
        (call) => call[sums](from, planeAt, positions, stride),
        (call) => call[box](segments, end, planeAt, to, 4, 4 * window.stride, scale),
      ];
    };
  }
}

/** One output of all positions. */
function everything(positions: number, pixel: number): WindowTable {
  const runs = Array.from({ length: positions }, (_, p) => ({ input: p * pixel, weight: 0, length: 1, tap: 0 }));
  return {
    segments: [{ input: 0, output: 0, count: 1, taps: 0 }],
    sets: [{ top: 0, bottom: 1, left: 0, right: 1 }],
    runs: [runs],
  };
}

/** Counts of a byte are added up before they may pass 255: behind the last run, and where the next one is too much. */
function dueFlush(runs: WindowTable["runs"][number], index: number): boolean {
  if (index === runs.length - 1) return true;
  let words = 0;
  for (let i = 0; i <= index; i++) {
    words += runs[i].length;
    const full = words + runs[i + 1].length > MOST_WORDS;
    if (i === index) return full;
    if (full) words = 0;
  }
  return true;
}

interface Block {
  readonly first: number;
  readonly end: number;
  readonly position: number;
  readonly positions: number;
}

/** Segments one after the other until they are of BLOCK outputs. */
function blocksOf({ segments }: WindowTable): Block[] {
  const blocks: Block[] = [];
  for (let first = 0; first < segments.length; ) {
    let end = first;
    let positions = 0;
    while (end < segments.length && positions < BLOCK) positions += segments[end++].count;
    blocks.push({ first, end, position: segments[first].output, positions });
    first = end;
  }
  return blocks;
}

/** What a kernel wants of each plane of a rule. */
function planesOf(rule: Rule): { readonly value: number; readonly shift: number; readonly scale: number }[] {
  switch (rule.kind) {
    case "sign":
      return [{ value: 0, shift: 0, scale: 1 }];
    case "bits": {
      const most = 2 ** rule.bits - 1;
      return Array.from({ length: rule.bits }, (_, j) => ({ value: most, shift: 31 - j, scale: 1 / most }));
    }
    case "bases":
      return Array.from(rule.shift, (value, j) => ({ value, shift: 0, scale: rule.scale[j] }));
    default:
      return rule satisfies never;
  }
}
