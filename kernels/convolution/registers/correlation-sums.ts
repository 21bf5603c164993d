// The three passes of a correlation as products that every tiling cuts: whose rows, columns and steps are what, and how
// an operand is read at them.

import type { Extent } from "../../product/tile-space.ts";
import { read, readWrite, type Storage } from "../../text/dispatch.ts";
import { type CorrelationPass, correlationShape } from "../pass/correlation.ts";

export interface CorrelationSums {
  readonly extent: Extent;
  /** Steps of a sum, counted by three numbers, the last the fastest: the canonical order of kernels/README.md. */
  readonly steps: readonly [number, number, number];
  readonly constants: Readonly<Record<string, number>>;
  /**
   * SCALE; `place_of(row)`, a row as its line and column; `row_at(outer, place, s)` and `column_at(outer, column, s)`,
   * what they multiply by at step s, 0 where there is nothing.
   */
  readonly declarations: string;
  readonly storage: readonly Storage[];
  /** Binding of the result, f32 [outer][rows][columns]. */
  readonly result: string;
  /** WGSL that stores `sum`, scaled, at element `at`. */
  readonly write: (at: string, sum: string) => string;
}

/** Of a gradient: the response's at what a pixel and a tap have in common. */
const RESPONSE_AT = `
fn response_at(sample: u32, y: u32, x: u32) -> f32 {
  let inside = (y < OH) & (x < OW);
  return select(0.0, dy[select(0u, (sample * OH + y) * OW + x, inside)], inside);
}`;
const EXEMPLAR_AT = `
fn exemplar_at(outer: u32, tap: u32, channel: u32) -> f32 {
  return z[((outer % EXEMPLARS) * ROWS * COLUMNS + tap) * CHANNELS + channel];
}`;
/** Beyond the tile's last row or column whatever is read is not stored, but must be there. */
const CLAMPED = "min(column, CHANNELS - 1u)";

export function correlationSums(pass: CorrelationPass): CorrelationSums {
  const { n, exemplars, channels, h, w, rows, columns, oh, ow } = correlationShape(pass);
  const common = {
    constants: {
      EXEMPLARS: exemplars,
      CHANNELS: channels,
      H: h,
      W: w,
      ROWS: rows,
      COLUMNS: columns,
      OH: oh,
      OW: ow,
    },
  };
  const scale = `const SCALE: f32 = ${pass.scale};\n`;
  const placeOf = (length: number) =>
    `fn place_of(row: u32) -> vec2<u32> { return vec2<u32>(row / ${length}u, row % ${length}u); }`;
  const write = (name: string, accumulate: boolean) => (at: string, sum: string) =>
    `${name}[${at}] ${accumulate ? "+=" : "="} SCALE * ${sum};`;
  switch (pass.verb) {
    case "xcorrForward":
      return {
        ...common,
        extent: { rows: oh * ow, columns: 1, outer: n },
        steps: [rows, columns, channels],
        declarations: `${scale}${placeOf(ow)}${EXEMPLAR_AT}
fn row_at(outer: u32, place: vec2<u32>, s: vec3<u32>) -> f32 {
  return x[((outer * H + min(place.x, OH - 1u) + s.x) * W + place.y + s.y) * CHANNELS + s.z];
}
fn column_at(outer: u32, column: u32, s: vec3<u32>) -> f32 {
  return exemplar_at(outer, s.x * COLUMNS + s.y, s.z);
}`,
        storage: [read("x"), read("z"), readWrite("y")],
        result: "y",
        write: write("y", false),
      };
    case "xcorrSearchGradient":
      return {
        ...common,
        extent: { rows: h * w, columns: channels, outer: n },
        steps: [1, rows, columns],
        declarations: `${scale}${placeOf(w)}${RESPONSE_AT}${EXEMPLAR_AT}
fn row_at(outer: u32, place: vec2<u32>, s: vec3<u32>) -> f32 {
  return response_at(outer, place.x - s.y, place.y - s.z);
}
fn column_at(outer: u32, column: u32, s: vec3<u32>) -> f32 {
  return exemplar_at(outer, s.y * COLUMNS + s.z, ${CLAMPED});
}`,
        storage: [read("dy"), read("z"), readWrite("dx")],
        result: "dx",
        write: write("dx", pass.accumulate),
      };
    case "xcorrExemplarGradient":
      return {
        ...common,
        extent: { rows: rows * columns, columns: channels, outer: exemplars },
        steps: [n / exemplars, h, w],
        declarations: `${scale}${placeOf(columns)}${RESPONSE_AT}
fn row_at(outer: u32, place: vec2<u32>, s: vec3<u32>) -> f32 {
  return response_at(s.x * EXEMPLARS + outer, s.y - place.x, s.z - place.y);
}
fn column_at(outer: u32, column: u32, s: vec3<u32>) -> f32 {
  return x[(((s.x * EXEMPLARS + outer) * H + s.y) * W + s.z) * CHANNELS + ${CLAMPED}];
}`,
        storage: [read("dy"), read("x"), readWrite("dz")],
        result: "dz",
        write: write("dz", pass.accumulate),
      };
    default:
      return pass satisfies never;
  }
}

export function correlationLabel(pass: CorrelationPass): string {
  const { n, exemplars, channels, h, w, rows, columns } = correlationShape(pass);
  return `${pass.verb} ${n}x${h}x${w}x${channels} ${exemplars}x${rows}x${columns}`;
}
