// What stands between convolutions when a network predicts: signs and levels packed, numbers of few bits, pools, and a
// tail by itself.

import { outputHeight, outputWidth, signWords, type WindowShape } from "../../shared/model/window.ts";
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { TAIL_VECTORS, type TailParts, tailStorage, tailText } from "./tail.ts";

/** Positions and channels of a map, of all pictures together, and the floats of a position. */
export interface MapShape {
  readonly positions: number;
  readonly channels: number;
  readonly stride: number;
}

/** x → y = tail(x), of maps of whole vectors. */
export function tailMap({ positions, stride }: MapShape, tail: TailParts): Kernel {
  const groups = stride / 4;
  return kernel({
    label: `infer map ${positions}x${stride}`,
    storage: [
      read("x", "vec4<f32>"),
      read("constants", "vec4<f32>"),
      readWrite("y", "vec4<f32>"),
      ...tailStorage(tail),
    ],
    items: positions * groups,
    body: `
let at = index;
let position = index / ${groups}u;
let first = index % ${groups}u * ${TAIL_VECTORS}u;
var value = x[at];
${tailText(tail, "first")}
y[at] = value;`,
  });
}

export type FewBits =
  | { readonly kind: "sign" }
  | { readonly kind: "bits"; readonly bits: number }
  /** `shift` and `scale` are bound as `bases`, f32 [2][bases]. */
  | { readonly kind: "bases"; readonly bases: number };

function level(bits: number, x: string): string {
  return `round(clamp(${x}, 0.0, 1.0) * ${2 ** bits - 1}.0)`;
}

/** Number of planes, and the bit of `value` in plane `plane`. */
function planeBit(rule: FewBits): readonly [planes: number, bit: string] {
  switch (rule.kind) {
    case "sign":
      return [1, "value < 0.0"];
    case "bits":
      return [rule.bits, `((u32(${level(rule.bits, "value")}) >> plane) & 1u) == 1u`];
    case "bases":
      return [rule.bases, "value + bases[plane] < 0.5"];
    default:
      return rule satisfies never;
  }
}

const basesOf = ({ kind }: FewBits) => (kind === "bases" ? [read("bases")] : []);

/** x → y u32 [planes][positions][words]; with groups of channels words of each of them. */
export function packMap(map: MapShape & { readonly groups?: number }, rule: FewBits): Kernel {
  const { positions, channels, stride, groups } = map;
  const [planes, bit] = planeBit(rule);
  const each = channels / (groups ?? 1);
  const words = (groups ?? 1) * signWords(each);
  const [first, left] =
    groups === undefined
      ? [`index % ${words}u * 32u`, `${channels}u - channel`]
      : [
          `index % ${words}u / ${signWords(each)}u * ${each}u + index % ${signWords(each)}u * 32u`,
          `${each}u - index % ${signWords(each)}u * 32u`,
        ];
  return kernel({
    label: `infer pack ${rule.kind} ${positions}x${channels}${groups === undefined ? "" : ` g${groups}`}`,
    storage: [read("x"), readWrite("y", "u32"), ...basesOf(rule)],
    items: planes * positions * words,
    body: `
let plane = index / ${positions * words}u;
let position = index / ${words}u % ${positions}u;
let channel = ${first};
let count = min(32u, ${left});
var word = 0u;
for (var i = 0u; i < count; i++) {
let value = x[position * ${stride}u + channel + i];
word |= select(0u, 1u << i, ${bit});
}
y[index] = word;`,
  });
}

/** x → y, numbers of few bits, of every float of a map. */
export function quantiseMap({ positions, stride }: MapShape, rule: FewBits): Kernel {
  const value = () => {
    switch (rule.kind) {
      case "sign":
        return "y[index] = select(1.0, -1.0, value < 0.0);";
      case "bits":
        return `y[index] = ${level(rule.bits, "value")} * ${1 / (2 ** rule.bits - 1)};`;
      case "bases":
        return `var sum = 0.0;
for (var plane = 0u; plane < ${rule.bases}u; plane++) {
sum += select(1.0, -1.0, value + bases[plane] < 0.5) * bases[${rule.bases}u + plane];
}
y[index] = sum;`;
      default:
        return rule satisfies never;
    }
  };
  return kernel({
    label: `infer quantise ${rule.kind} ${positions}x${stride}`,
    storage: [read("x"), readWrite("y"), ...basesOf(rule)],
    items: positions * stride,
    body: `let value = x[index];\n${value()}`,
  });
}

/** Each tap of a window that lies in the image, as `pixel`; of output `position`, of all pictures. */
function windowTaps(shape: WindowShape, body: string): string {
  const { h, w, kernel: size, stride, padding } = shape;
  return `
let ox = position % ${outputWidth(shape)}u;
let row_out = position / ${outputWidth(shape)}u;
let oy = row_out % ${outputHeight(shape)}u;
let picture = row_out / ${outputHeight(shape)}u;
for (var ky = 0u; ky < ${size}u; ky++) {
for (var kx = 0u; kx < ${size}u; kx++) {
let row = i32(oy * ${stride}u + ky) - ${padding};
let column = i32(ox * ${stride}u + kx) - ${padding};
if (row >= 0 && row < ${h} && column >= 0 && column < ${w}) {
let pixel = picture * ${h * w}u + u32(row * ${w} + column);
${body}
}
}
}`;
}

/** Maximum, or mean with padding counted, of a map of whole vectors. */
export function poolMap(shape: WindowShape, kind: "max" | "avg", stride: number): Kernel {
  const groups = stride / 4;
  const lowest = "vec4<f32>(-3.4028234663852886e38)";
  return kernel({
    label: `infer ${kind}-pool ${shape.h}x${shape.w}x${stride} k${shape.kernel}`,
    storage: [read("x", "vec4<f32>"), readWrite("y", "vec4<f32>")],
    items: shape.n * outputHeight(shape) * outputWidth(shape) * groups,
    body: `
let group = index % ${groups}u;
let position = index / ${groups}u;
var value = ${kind === "max" ? lowest : "vec4<f32>()"};
${windowTaps(shape, `let found = x[pixel * ${groups}u + group];\nvalue ${kind === "max" ? "= max(value, found)" : "+= found"};`)}
y[index] = value${kind === "max" ? "" : ` / ${shape.kernel ** 2}.0`};`,
  });
}

/** The mean over the positions of each of `n` pictures. */
export function poolAll({ positions, stride }: MapShape, n = 1): Kernel {
  const groups = stride / 4;
  const own = positions / n;
  return kernel({
    label: `infer pool all ${n}x${own}x${stride}`,
    storage: [read("x", "vec4<f32>"), readWrite("y", "vec4<f32>")],
    items: n * groups,
    body: `
var value = vec4<f32>();
let first = index / ${groups}u * ${own * groups}u + index % ${groups}u;
for (var position = 0u; position < ${own}u; position++) { value += x[first + position * ${groups}u]; }
y[index] = value / ${own}.0;`,
  });
}

/** The mean over channels and window of |x|, zeros around it counted: y f32 [positions of the window]. */
export function magnitudeMap(shape: WindowShape, stride: number): Kernel {
  return kernel({
    label: `infer magnitude ${shape.h}x${shape.w}x${stride} k${shape.kernel}`,
    storage: [read("x", "vec4<f32>"), readWrite("y")],
    items: shape.n * outputHeight(shape) * outputWidth(shape),
    body: `
let position = index;
var sum = vec4<f32>();
${windowTaps(shape, `for (var i = 0u; i < ${stride / 4}u; i++) { sum += abs(x[pixel * ${stride / 4}u + i]); }`)}
y[index] = ((sum.x + sum.y) + (sum.z + sum.w)) / ${shape.kernel ** 2 * shape.in}.0;`,
  });
}
