// Normalisation in one pass with what follows it in a network: shortcut, activation, and the signs that a binary layer reads.
import { signWords } from "../shared/window.ts";
import { type PointwiseKind, pointwise } from "./activation.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";
import { describeMap, type MapShape } from "./norm-statistics.ts";
import { packSteps } from "./pack-signs.ts";

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
 * norm-statistics.ts gives it, slope f32 [channels] for prelu; `pack` writes bits u32 [n][positions][signWords(channels)],
 * the signs of y, and without `store` nothing but them.
 */
export function normalise(o: MapShape & Epilogue & { readonly store: boolean; readonly pack: boolean }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const prelu = o.activation === "prelu";
  const value = o.activation === "none" ? "v" : pointwise(o.activation, "slope[channel]").value;
  const statements = `${preActivation(o.shortcut)}\nlet result = ${value};${o.store ? "\ny[at] = result;" : ""}`;
  const rows = o.n * o.positions;
  const words = signWords(o.channels);
  return kernel({
    label: `normalise ${describeEpilogue(o)}${o.pack ? " signs" : ""} ${describeMap(o)}`,
    constants: { CHANNELS: o.channels, COLUMNS: o.channels / width, WORDS: words },
    declarations: `alias V = ${type};`,
    storage: [
      read("x", type),
      read("norm", type),
      ...(prelu ? [read("slope", type)] : []),
      ...(o.shortcut ? [read("shortcut", type)] : []),
      ...(o.store ? [readWrite("y", type)] : []),
      ...(o.pack ? [readWrite("bits", "u32")] : []),
    ],
    items: o.pack ? rows * words : (rows * o.channels) / width,
    body: o.pack
      ? packSteps(o.channels, statements, "result")
      : `let at = index;\nlet channel = index % COLUMNS;\n${statements}`,
  });
}
