// Normalisation in one pass with what follows it in a network: shortcut, activation, and the signs that a binary layer reads.
import { type PointwiseKind, pointwise } from "./activation.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";
import { describeMap, type MapShape } from "./norm-statistics.ts";
import type { Packing } from "./pack-lanes.ts";
import { packing } from "./pack-signs.ts";

/** What stands behind a normalisation. */
export interface Epilogue {
  readonly activation: PointwiseKind | "none";
  /** A map of the same shape is added before the activation. */
  readonly shortcut: boolean;
}

export function describeEpilogue({ activation, shortcut }: Epilogue): string {
  return `${shortcut ? "+ shortcut " : ""}${activation}`;
}

/** WGSL of v = (x − mean)·scale + bias (+ shortcut) for the element (or quad) `at` of column `channel`. */
function preActivation(shortcut: boolean): string {
  const normal = "(x[at] - norm[channel]) * norm[2u * COLUMNS + channel] + norm[3u * COLUMNS + channel]";
  return `let v = ${normal}${shortcut ? " + shortcut[at]" : ""};`;
}

/**
 * y = activation((x − mean)·scale + bias (+ shortcut)). x, shortcut, y f32 [n][positions][channels], norm as
 * norm-statistics.ts gives it, slope f32 [channels] for prelu; `pack` says who writes bits u32 [n][positions][signWords(channels)],
 * the signs of y, and without `store` nothing but them.
 */
export function normalise(
  o: MapShape & Epilogue & { readonly store: boolean; readonly pack: Packing | false },
): Kernel {
  const rows = o.n * o.positions;
  const prelu = o.activation === "prelu";
  const value = o.activation === "none" ? "v" : pointwise(o.activation, "slope[channel]").value;
  const statements = `${preActivation(o.shortcut)}\nlet result = ${value};${o.store ? "\ny[at] = result;" : ""}`;
  const { width, declarations, ...dispatch } = o.pack
    ? packing({ how: o.pack, rows, channels: o.channels, statements, value: "result" })
    : pointwiseDispatch(rows, o.channels, statements);
  const type = vectorType(width);
  return kernel({
    ...dispatch,
    label: `normalise ${describeEpilogue(o)}${o.pack ? " signs" : ""} ${describeMap(o)}`,
    declarations: [`alias V = ${type};`, declarations ?? ""].join("\n"),
    storage: [
      read("x", type),
      read("norm", type),
      ...(prelu ? [read("slope", type)] : []),
      ...(o.shortcut ? [read("shortcut", type)] : []),
      ...(o.store ? [readWrite("y", type)] : []),
      ...(o.pack ? [readWrite("bits", "u32")] : []),
    ],
  });
}

/** One invocation an element, or a quad. */
function pointwiseDispatch(rows: number, channels: number, statements: string) {
  const width = vectorWidth(channels);
  return {
    width,
    declarations: undefined,
    constants: { COLUMNS: channels / width },
    items: (rows * channels) / width,
    body: `let at = index;\nlet channel = index % COLUMNS;\n${statements}`,
  };
}
