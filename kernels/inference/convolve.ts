// A convolution with all that follows it: of floats, of bits that are counted over all taps, or at each tap.

import { groupCount, outputHeight, outputWidth, signWords, type WindowShape } from "../../shared/model/window.ts";
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";
import { TAIL_VECTORS, type TailParts, tailStorage, tailText } from "./tail.ts";

/** Outputs side by side of an invocation. */
const TILE = 4;

/** How bits of the activations' planes meet those of the weights'. */
export interface Counting {
  readonly operation: "xor" | "and";
  /** Which plane of the activations each plane of the weights meets. */
  readonly planes: readonly number[];
  /** Added to −2 · count: so many times the channels of each tap, and so many times the set bits of the weight. */
  readonly channels: 0 | 1;
  readonly ones: 0 | 1 | 2;
}

export type Products =
  /** Floats of a pixel of the input, of all groups. */
  | { readonly kind: "float"; readonly pixel: number }
  | ({ readonly kind: "bits" } & Counting)
  /** ±1 · ±1 · c[tap]. */
  | { readonly kind: "taps" };

export interface Convolve {
  readonly shape: WindowShape;
  readonly products: Products;
  readonly tail: TailParts;
}

/** Vectors of `constants` that stand before those of channel groups: C of each tap. */
export function tapVectors({ shape, products }: Pick<Convolve, "shape" | "products">): number {
  return products.kind === "taps" ? shape.kernel ** 2 : 0;
}

/** Vectors of each channel group: a coefficient a term, then the tail's. */
export function groupVectors({ products }: Pick<Convolve, "products">): number {
  return (products.kind === "bits" ? products.planes.length : 0) + TAIL_VECTORS;
}

/**
 * x, weights [planes][kh][kw][elements][groups] of four channels, constants → y. Elements are floats, or words of 32
 * bits, of which x has planes [plane][n][h][w][words]. With groups in the shape, of whole vectors of outputs, x has the
 * elements of each group in turn, and the weights of a vector are those of its own.
 */
export function convolve({ shape, products, tail }: Convolve): Kernel {
  const { n, kernel: size, in: channels } = shape;
  const parts = groupCount(shape);
  const out = parts * shape.out;
  const groups = Math.ceil(out / 4);
  const [oh, ow] = [outputHeight(shape), outputWidth(shape)];
  const across = Math.ceil(ow / TILE);
  const words = signWords(channels);
  const pixel = products.kind === "float" ? products.pixel : parts * words;
  const seen = products.kind === "float" ? channels : words;
  // A vector of outputs lies in one group, which sees elements of its own.
  const [own, elementCount] = parts === 1 ? ["", "PIXEL"] : [` + group / ${shape.out / 4}u * SEEN`, "SEEN"];
  const float = products.kind === "float";
  const each = (text: (p: number) => string) => range(TILE).map(text).join("\n");
  const vectors = groupVectors({ products });
  const first = `${tapVectors({ shape, products })}u + group * ${vectors}u`;

  /** Of a tap: positions of x, and which of them are in the image. */
  const places = `
let y_in = i32(oy * STRIDE + ky) - PADDING;
if (y_in < 0 || y_in >= i32(H)) { continue; }
for (var kx = 0u; kx < SIZE; kx++) {
${each(
  (p) => `let x_in${p} = i32((ox + ${p}u) * STRIDE + kx) - PADDING;
let inside${p} = x_in${p} >= 0 && x_in${p} < i32(W);
let from${p} = ((picture * H + u32(y_in)) * W + select(0u, u32(x_in${p}), inside${p})) * PIXEL${own};`,
)}`;
  const eachTap = (body: string) => `for (var ky = 0u; ky < SIZE; ky++) {${places}\n${body}\n}\n}`;
  const weight = `weights[((ky * SIZE + kx) * ${elementCount} + i) * GROUPS + group]`;
  const elements = (body: string) => `for (var i = 0u; i < ${elementCount}; i++) {\n${body}\n}`;

  const floats = () =>
    eachTap(
      elements(`let w = ${weight};
${each((p) => `sum${p} += select(0.0, x[from${p} + i], inside${p}) * w;`)}`),
    );
  const counts = ({ operation, planes, channels: of, ones }: Counting) => {
    const sign = operation === "xor" ? "^" : "&";
    return `for (var term = 0u; term < ${planes.length}u; term++) {
var planes = array<u32, ${planes.length}>(${planes.map((plane) => `${plane}u`).join(", ")});
let plane = planes[term] * ${n}u * H * W * PIXEL;
let own = term * SIZE * SIZE * ${elementCount} * GROUPS;
${each((p) => `var count${p} = vec4<i32>();`)}
${eachTap(`${each((p) => `let mask${p} = select(0u, 0xffffffffu, inside${p});`)}
${of === 1 ? each((p) => `count${p} += vec4<i32>(select(0, IN, inside${p}));`) : ""}
${elements(`let w = ${weight.replace("[", "[own + ")};
${each((p) => `count${p} -= 2 * vec4<i32>(countOneBits((vec4<u32>(x[plane + from${p} + i]) ${sign} w) & vec4<u32>(mask${p})));`)}
${ones > 0 ? each((p) => `count${p} += ${ones} * vec4<i32>(countOneBits(w & vec4<u32>(mask${p})));`) : ""}`)}`)}
let worth = constants[first + term];
${each((p) => `sum${p} += vec4<f32>(count${p}) * worth;`)}
}`;
  };
  const taps = () =>
    eachTap(`${each((p) => `var count${p} = vec4<u32>();`)}
${elements(`let w = ${weight};
${each((p) => `count${p} += countOneBits(vec4<u32>(x[from${p} + i]) ^ w);`)}`)}
let c = constants[ky * SIZE + kx];
${each((p) => `sum${p} += select(vec4<f32>(), c * (vec4<f32>(count${p}) - f32(IN) / 2.0), inside${p});`)}`);

  const sums = products.kind === "float" ? floats() : products.kind === "taps" ? taps() : counts(products);
  return kernel({
    label: `infer ${products.kind} ${n}x${shape.h}x${shape.w}x${parts * channels}->${out} k${size}${parts === 1 ? "" : ` g${parts}`}`,
    constants: {
      H: shape.h,
      W: shape.w,
      SIZE: size,
      STRIDE: shape.stride,
      PIXEL: pixel,
      GROUPS: groups,
      ...(parts === 1 ? {} : { SEEN: seen }),
    },
    declarations: `const PADDING: i32 = ${shape.padding};\nconst IN: i32 = ${channels};`,
    storage: [
      read("x", float ? "f32" : "u32"),
      read("weights", float ? "vec4<f32>" : "vec4<u32>"),
      read("constants", "vec4<f32>"),
      readWrite("y", "vec4<f32>"),
      ...tailStorage(tail),
    ],
    items: n * groups * across * oh,
    body: `
let group = index % GROUPS;
let ox = (index / GROUPS) % ${across}u * ${TILE}u;
let row = index / (GROUPS * ${across}u);
let oy = row % ${oh}u;
let picture = row / ${oh}u;
let first = ${first};
${each((p) => `var sum${p} = vec4<f32>();`)}
${sums}
${each(
  (p) => `if (ox + ${p}u < ${ow}u) {
let position = row * ${ow}u + ox + ${p}u;
let at = position * GROUPS + group;
var value = sum${p};
${tailText(tail, `first + ${vectors - TAIL_VECTORS}u`)}
y[at] = value;
}`,
)}`,
  });
}
