// The body of a method whose weights travel as bit planes: what becomes of the map before the convolution, the
// convolution, and the companions of W that say what it sees.

import {
  type Companion,
  type ConvolutionFields,
  planesOf,
  type QuantiseRule,
  scaleShape,
  type WeightForm,
} from "../graph.ts";
import type { Method } from "./method.ts";

/** Sizes of one layer's W. */
export interface LayerSize {
  readonly out: number;
  readonly kernel: number;
  readonly in: number;
}

/** `planes` [planes][out][kh][kw][in] of ±1, which follow from W. */
export function planesCompanion(form: WeightForm, { out, kernel, in: input }: LayerSize): Companion {
  return { name: "planes", role: "derived", signs: true, shape: [planesOf(form), out, kernel, kernel, input] };
}

/** `c`, what the planes are worth; `derived` where it follows from W. */
export function scaleCompanion(form: WeightForm, { out }: LayerSize, role: "derived" | "learned"): Companion {
  return { name: "c", role, shape: scaleShape(form, out) };
}

/** Both following from W; none of a weight of floats. */
export function derivedPlanes(form: WeightForm, layer: LayerSize): Companion[] {
  return form.kind === "float" ? [] : [planesCompanion(form, layer), scaleCompanion(form, layer, "derived")];
}

export interface QuantisedBody {
  readonly form: WeightForm;
  /** How the layer's input is quantised; it stays as it is unless given. */
  readonly activations?: QuantiseRule | undefined;
  /** Companions of W; `planes` and `c` derived from it unless given. */
  readonly companions?: (layer: LayerSize) => Companion[];
}

/** Adds the node that quantises the input, where there is one, and the convolution. */
export function quantisedBody({ form, activations, companions }: QuantisedBody): Method["body"] {
  return (graph, layer) => {
    const { out, kernel } = layer;
    const of = { out, kernel, in: graph.shape(layer.input).c };
    const input = activations
      ? graph.add({ op: "quantise", ...besideName(layer, "input"), rule: activations, input: layer.input })
      : layer.input;
    return graph.add({
      op: "qconv",
      weight: form,
      companions: companions?.(of) ?? derivedPlanes(form, of),
      ...layer,
      input,
    });
  };
}

/** The name of a node that goes with a layer, `layer1.0.conv1.input`, shared where the layer's weights are. */
export function besideName(
  { name, weights }: Pick<ConvolutionFields, "name" | "weights">,
  part: string,
): Pick<ConvolutionFields, "name" | "weights"> {
  return { name: `${name}.${part}`, ...(weights === undefined ? {} : { weights: `${weights}.${part}` }) };
}
