// Adds a microbatch's gradient to a lease's accumulator on the GPU, so that a lease is read back once.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";

/** Elements of the gradient arena that share a tensor: every tensor starts at a multiple of 256 bytes. */
const SEGMENT = 64;

function checked(size: number): number {
  if (size % SEGMENT !== 0) throw new RangeError(`accumulate: size ${size} must be a multiple of ${SEGMENT}`);
  return size;
}

/**
 * Quads of a segment that an invocation takes: what it reads of its tensor it reads once. Four neighbours share a
 * segment.
 */
const TURNS = 4;
const NEIGHBOURS = SEGMENT / 4 / TURNS;

/**
 * `statements` of every quad of the gradient, where `v` is its value times WEIGHT, and `bits` that of |v|. Non-finite
 * values have the greatest bits, so a peak ≥ 0x7f800000 says that the gradient was not finite.
 */
function eachQuad(setup: string, statements: string): string {
  const turn = (k: number) => `{
let at = first + ${k * NEIGHBOURS}u;
let v = gradient[at] * WEIGHT;
let bits = bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu);
most = max(most, bits);
${statements}
}`;
  return `
let segment = index / ${NEIGHBOURS}u;
let first = segment * ${SEGMENT / 4}u + index % ${NEIGHBOURS}u;
let tensor = segments[segment];
${setup}
var most = vec4<u32>();
${range(TURNS).map(turn).join("\n")}
let largest = max(max(most.x, most.y), max(most.z, most.w));
if (largest > atomicLoad(&peak[tensor])) { atomicMax(&peak[tensor], largest); }`;
}

/**
 * Order-independent accumulation in integers. gradient f32 [size]; segments u32 [size/64], the tensor of each 64
 * elements; scale f32 [tensors], powers of two; sum i32 [size] += clamp(round(v·scale), ±clip) with v =
 * gradient·weight, 0 where v is not finite; peak atomic u32 [tensors] = the greatest bits of |v| so far.
 */
export function accumulateExact(o: { readonly size: number; readonly weight: number; readonly clip: number }): Kernel {
  // An f32 holds it, and so do an i32 and what `round` made of any smaller value.
  if (!Number.isInteger(o.clip) || o.clip > 2 ** 30 || Math.fround(o.clip) !== o.clip) {
    throw new RangeError(`accumulateExact: clip ${o.clip} must be an integer up to 2^30 that f32 can hold`);
  }
  return kernel({
    label: `accumulateExact ${o.size}`,
    floats: { WEIGHT: o.weight, CLIP: o.clip },
    storage: [
      read("gradient", "vec4<f32>"),
      read("segments", "u32"),
      read("scale"),
      readWrite("sum", "vec4<i32>"),
      readWrite("peak", "atomic<u32>"),
    ],
    items: checked(o.size) / 4 / TURNS,
    body: eachQuad(
      "let unit = scale[tensor];",
      `let finite = bits < vec4<u32>(0x7f800000u);
let level = clamp(round(select(vec4<f32>(), v, finite) * unit), vec4<f32>(-CLIP), vec4<f32>(CLIP));
sum[at] += vec4<i32>(level);`,
    ),
  });
}

/** As accumulateExact, in floats: sum f32 [size] += gradient·weight; bindings gradient, segments, sum, peak. */
export function accumulateFloat(o: { readonly size: number; readonly weight: number }): Kernel {
  return kernel({
    label: `accumulateFloat ${o.size}`,
    floats: { WEIGHT: o.weight },
    storage: [
      read("gradient", "vec4<f32>"),
      read("segments", "u32"),
      readWrite("sum", "vec4<f32>"),
      readWrite("peak", "atomic<u32>"),
    ],
    items: checked(o.size) / 4 / TURNS,
    body: eachQuad("", "sum[at] += v;"),
  });
}
