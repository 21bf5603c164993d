// A map times factors of its channels, rows and columns, Γ = a ⊗ b ⊗ c of XNOR-Net++ (Bulat and Tzimiropoulos, BMVC
// 2019), and what goes back.
import type { GammaAxis } from "../../shared/model/graph.ts";
import { kernel, read, readWrite, type Storage, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel, KernelSequence } from "../text/kernel.ts";

/** A map [n][h][w][channels], and the axes that have factors: `by_c` f32 [channels], `by_h` [h], `by_w` [w]. */
export interface GammaMap {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly channels: number;
  readonly axes: readonly GammaAxis[];
}

const ALL: readonly GammaAxis[] = ["c", "h", "w"];

/** The axes in one order, whatever order they were named in. */
function inOrder(axes: readonly GammaAxis[]): readonly GammaAxis[] {
  return ALL.filter((axis) => axes.includes(axis));
}

function describeGamma(o: GammaMap): string {
  return `${inOrder(o.axes).join("")} ${o.n}x${o.h}x${o.w}x${o.channels}`;
}

/** y (+)= x · Γ; x, y f32 [n][h][w][channels]. It takes dy to dx as well. */
export function gammaScale(o: GammaMap & { readonly accumulate: boolean }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const axes = inOrder(o.axes);
  const places: Readonly<Record<GammaAxis, string>> = {
    c: "by_c[index % COLUMNS]",
    h: "by_h[(index / (COLUMNS * W)) % H]",
    w: "by_w[(index / COLUMNS) % W]",
  };
  return kernel({
    label: `gammaScale ${describeGamma(o)}`,
    constants: { H: o.h, W: o.w, COLUMNS: o.channels / width },
    storage: [
      read("x", type),
      ...axes.map((axis) => (axis === "c" ? read("by_c", type) : read(`by_${axis}`))),
      readWrite("y", type),
    ],
    items: (o.n * o.h * o.w * o.channels) / width,
    body: `y[index] ${o.accumulate ? "+=" : "="} x[index] * (${axes.map((axis) => places[axis]).join(" * ")});`,
  });
}

/** One kernel of the sums: `items` invocations, each a sum of `terms` products. */
interface Fold {
  readonly what: string;
  readonly storage: readonly Storage[];
  readonly items: number;
  readonly terms: number;
  /** Statements that see `index`. */
  readonly setup: string;
  /** Of term `i`. */
  readonly term: string;
  readonly target: string;
}

/**
 * The sums of dy · x · (the other axes' factors) over all that shares a factor: d_c f32 [channels], d_h [h], d_w [w].
 * dy, x f32 [n][h][w][channels]. Samples are added first, then an axis at a time, each in ascending order.
 */
export function gammaGradients(o: GammaMap): KernelSequence {
  const { n, h, w, channels } = o;
  const has = (axis: GammaAxis) => o.axes.includes(axis);
  const factor = (axis: GammaAxis, at: string) => (has(axis) ? ` * by_${axis}[${at}]` : "");
  const factors = (...axes: readonly GammaAxis[]) => axes.filter(has).map((axis) => read(`by_${axis}`));
  const size = h * w * channels;
  // In scratch: sums over samples [h][w][channels]; those over columns [h][channels]; those over channels [h][w].
  const overColumns = size;
  const overChannels = overColumns + (has("c") ? h * channels : 0);
  const elements = overChannels + (has("h") || has("w") ? h * w : 0);
  const fold = ({ what, storage, items, terms, setup, term, target }: Fold): Kernel =>
    kernel({
      label: `gammaGradients ${what} ${describeGamma(o)}`,
      constants: { H: h, W: w, CHANNELS: channels },
      storage,
      items,
      body: `${setup}\nvar sum = 0.0;\nfor (var i = 0u; i < ${terms}u; i++) { sum += ${term}; }\n${target} = sum;`,
    });
  const kernels = [
    fold({
      what: "samples",
      storage: [read("dy"), read("x"), readWrite("scratch")],
      items: size,
      terms: n,
      setup: "",
      term: `dy[i * ${size}u + index] * x[i * ${size}u + index]`,
      target: "scratch[index]",
    }),
  ];
  if (has("c")) {
    kernels.push(
      fold({
        what: "columns",
        storage: [...factors("w"), readWrite("scratch")],
        items: h * channels,
        terms: w,
        setup: "let first = (index / CHANNELS) * W * CHANNELS + index % CHANNELS;",
        term: `scratch[first + i * CHANNELS]${factor("w", "i")}`,
        target: `scratch[${overColumns}u + index]`,
      }),
      fold({
        what: "d_c",
        storage: [read("scratch"), ...factors("h"), readWrite("d_c")],
        items: channels,
        terms: h,
        setup: "",
        term: `scratch[${overColumns}u + i * CHANNELS + index]${factor("h", "i")}`,
        target: "d_c[index]",
      }),
    );
  }
  if (has("h") || has("w")) {
    kernels.push(
      fold({
        what: "channels",
        storage: [...factors("c"), readWrite("scratch")],
        items: h * w,
        terms: channels,
        setup: "",
        term: `scratch[index * CHANNELS + i]${factor("c", "i")}`,
        target: `scratch[${overChannels}u + index]`,
      }),
    );
  }
  if (has("h")) {
    kernels.push(
      fold({
        what: "d_h",
        storage: [read("scratch"), ...factors("w"), readWrite("d_h")],
        items: h,
        terms: w,
        setup: "",
        term: `scratch[${overChannels}u + index * W + i]${factor("w", "i")}`,
        target: "d_h[index]",
      }),
    );
  }
  if (has("w")) {
    kernels.push(
      fold({
        what: "d_w",
        storage: [read("scratch"), ...factors("h"), readWrite("d_w")],
        items: w,
        terms: h,
        setup: "",
        term: `scratch[${overChannels}u + i * W + index]${factor("h", "i")}`,
        target: "d_w[index]",
      }),
    );
  }
  return { kernels, scratchBytes: 4 * elements };
}
