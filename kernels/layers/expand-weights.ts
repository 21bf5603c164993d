// Bit planes of a weight made the f32 weight that a convolution multiplies by: what layers with float inputs read, and
// what gradients of inputs go back through.
import { planesOf, type WeightForm } from "../../shared/model/graph.ts";
import { signWords } from "../../shared/model/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";

/** A form that has planes. */
export type PlaneForm = Exclude<WeightForm, { readonly kind: "float" }>;

/** A layer's weight, [out][kernel][kernel][in], and how its planes make it. */
export interface PlaneWeight {
  readonly out: number;
  readonly kernel: number;
  readonly in: number;
  readonly form: PlaneForm;
}

function describeForm(form: PlaneForm): string {
  return form.kind === "ternary" ? form.kind : `${form.kind} ${form.planes} ${form.scale}`;
}

/** Statements that see `set_m`, whether plane m's bits are 1, and `filter_number`, and declare `value`. */
function valueText(form: PlaneForm, quads: boolean): string {
  switch (form.kind) {
    case "linear": {
      const scale = (m: number) => (form.scale === "out" ? `c[${m}u * OUT + filter_number]` : `c[${m}u]`);
      const terms = range(form.planes).map((m) => `value += ${scale(m)} * select(V(1.0), V(-1.0), set_${m});`);
      return `var value = V();\n${terms.join("\n")}`;
    }
    case "ternary":
      return "let value = select(select(V(c[0]), V(-c[1]), set_0), V(), set_1);";
    case "table": {
      const codes = range(form.planes).map((m) => `select(U(), U(${2 ** m}u), set_${m})`);
      const first = form.scale === "out" ? `filter_number * ${2 ** form.planes}u + ` : "";
      const entry = (lane: string) => `c[${first}code${lane}]`;
      const value = quads ? `V(${[".x", ".y", ".z", ".w"].map(entry).join(", ")})` : entry("");
      return `let code = ${codes.join(" | ")};\nlet value = ${value};`;
    }
    default:
      return form satisfies never;
  }
}

/**
 * planes u32 [planes][out][kernel][kernel][signWords(in)], as `WeightForm` says, and its scales c f32 → w f32
 * [out][kernel][kernel][in]. A linear form is summed plane by plane in order.
 */
export function expandWeights(o: PlaneWeight): Kernel {
  const { out, kernel: size, in: input, form } = o;
  const width = vectorWidth(input);
  const words = signWords(input);
  const rows = out * size * size;
  const quads = width === 4;
  const lanes = quads ? "vec4<u32>(1u, 2u, 4u, 8u)" : "1u";
  const bits = (m: number) => `planes[${m * rows * words}u + word] >> shift`;
  return kernel({
    label: `expandWeights ${describeForm(form)} ${out}x${size}x${size}x${input}`,
    constants: { OUT: out, TAPS: size * size, COLUMNS: input / width, WORDS: words },
    declarations: `alias V = ${vectorType(width)};\nalias U = ${quads ? "vec4<u32>" : "u32"};`,
    storage: [read("planes", "u32"), read("c"), readWrite("w", vectorType(width))],
    items: (rows * input) / width,
    body: `
let row = index / COLUMNS;
let channel = (index % COLUMNS) * ${width}u;
let filter_number = row / TAPS;
let word = row * WORDS + channel / 32u;
let shift = channel % 32u;
${range(planesOf(form))
  .map((m) => `let set_${m} = (U(${bits(m)}) & ${lanes}) != U();`)
  .join("\n")}
${valueText(form, quads)}
w[index] = value;`,
  });
}
