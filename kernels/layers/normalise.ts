// Normalisation in one pass with what follows it in a network: shortcut, activation, and the signs that a binary layer
// reads.

import { columnRows } from "../text/column-rows.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { type PointwiseKind, pointwise } from "./activation.ts";
import type { Packing } from "./pack-lanes.ts";
import { packing } from "./pack-signs.ts";
import { describeMap, type MapShape } from "./sample-blocks.ts";

/** What stands behind a normalisation. */
export interface Epilogue {
  readonly activation: PointwiseKind | "none";
  /** A map of the same shape is added before the activation. */
  readonly shortcut: boolean;
}

export function describeEpilogue({ activation, shortcut }: Epilogue): string {
  return `${shortcut ? "+ shortcut " : ""}${activation}`;
}

/**
 * y = activation((x − mean)·scale + bias (+ shortcut)). x, shortcut, y f32 [n][positions][channels], norm as
 * norm-statistics.ts gives it, slope f32 [channels] for prelu; `pack` says who writes bits u32
 * [n][positions][signWords(channels)], the signs of y, and without `store` nothing but them. With `groups` each group
 * of channels has words of its own, [n][positions][group][signWords(channels / groups)].
 */
export function normalise(
  o: MapShape & Epilogue & { readonly store: boolean; readonly pack: Packing | false; readonly groups?: number },
): Kernel {
  const rows = o.n * o.positions;
  const groups = o.pack === false ? undefined : o.groups;
  const prelu = o.activation === "prelu";
  const value = o.activation === "none" ? "v" : pointwise(o.activation, "slope_of").value;
  // Packed by groups, a row is one group of a position, and `channel` and COLUMNS are within it.
  const [column, columns] =
    groups === undefined ? ["channel", "COLUMNS"] : [`(row % ${groups}u * COLUMNS + channel)`, `${groups}u * COLUMNS`];
  const setup = `let center = norm[${column}];
let scale = norm[2u * ${columns} + ${column}];
let bias = norm[3u * ${columns} + ${column}];${prelu ? `\nlet slope_of = slope[${column}];` : ""}`;
  const each = `let v = (x[at] - center) * scale + bias${o.shortcut ? " + shortcut[at]" : ""};
let result = ${value};${o.store ? "\ny[at] = result;" : ""}`;
  const { width, declarations, ...dispatch } = o.pack
    ? packing({ how: o.pack, rows, channels: o.channels, groups, setup, statements: each, value: "result" })
    : storing(rows, o.channels, setup, each);
  const type = vectorType(width);
  return kernel({
    ...dispatch,
    label: `normalise ${describeEpilogue(o)}${o.pack ? " signs" : ""} ${describeMap(o)}${groups === undefined ? "" : ` g${groups}`}`,
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

function storing(rows: number, channels: number, setup: string, each: string) {
  const width = vectorWidth(channels);
  const columns = channels / width;
  return { width, declarations: undefined, constants: { COLUMNS: columns }, ...columnRows(rows, columns, setup, each) };
}
