// A correlation and its gradients as their definitions read, one sum an invocation.

import { type Dispatch, kernel, read, readWrite } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { type CorrelationPass, correlationShape } from "../pass/correlation.ts";
import { correlationLabel } from "../registers/correlation-sums.ts";

type Loops = Pick<Dispatch, "storage" | "items" | "body">;

function loopsOf(pass: CorrelationPass): Loops {
  const { n, exemplars, channels, h, w, rows, columns, oh, ow } = correlationShape(pass);
  switch (pass.verb) {
    case "xcorrForward":
      return {
        storage: [read("x"), read("z"), readWrite("y")],
        items: n * oh * ow,
        body: `
let ox = index % OW;
let oy = (index / OW) % OH;
let b = index / (OW * OH);
var sum = 0.0;
for (var ky = 0u; ky < ROWS; ky++) {
  for (var kx = 0u; kx < COLUMNS; kx++) {
    for (var c = 0u; c < CHANNELS; c++) {
      sum += x[((b * H + oy + ky) * W + ox + kx) * CHANNELS + c]
        * z[(((b % EXEMPLARS) * ROWS + ky) * COLUMNS + kx) * CHANNELS + c];
    }
  }
}
y[index] = SCALE * sum;`,
      };
    case "xcorrSearchGradient":
      return {
        storage: [read("dy"), read("z"), readWrite("dx")],
        items: n * h * w * channels,
        body: `
let c = index % CHANNELS;
let ix = (index / CHANNELS) % W;
let iy = (index / (CHANNELS * W)) % H;
let b = index / (CHANNELS * W * H);
var sum = 0.0;
for (var ky = 0u; ky < ROWS; ky++) {
  for (var kx = 0u; kx < COLUMNS; kx++) {
    let oy = iy - ky;
    let ox = ix - kx;
    if ((oy < OH) & (ox < OW)) {
      sum += dy[(b * OH + oy) * OW + ox] * z[(((b % EXEMPLARS) * ROWS + ky) * COLUMNS + kx) * CHANNELS + c];
    }
  }
}
dx[index] ${pass.accumulate ? "+=" : "="} SCALE * sum;`,
      };
    case "xcorrExemplarGradient":
      return {
        storage: [read("dy"), read("x"), readWrite("dz")],
        items: exemplars * rows * columns * channels,
        body: `
let c = index % CHANNELS;
let kx = (index / CHANNELS) % COLUMNS;
let ky = (index / (CHANNELS * COLUMNS)) % ROWS;
let e = index / (CHANNELS * COLUMNS * ROWS);
var sum = 0.0;
for (var b = e; b < N; b += EXEMPLARS) {
  for (var oy = 0u; oy < OH; oy++) {
    for (var ox = 0u; ox < OW; ox++) {
      sum += dy[(b * OH + oy) * OW + ox] * x[((b * H + oy + ky) * W + ox + kx) * CHANNELS + c];
    }
  }
}
dz[index] ${pass.accumulate ? "+=" : "="} SCALE * sum;`,
      };
    default:
      return pass satisfies never;
  }
}

export function naiveCorrelation(pass: CorrelationPass): KernelSequence {
  const { n, exemplars, channels, h, w, rows, columns, oh, ow } = correlationShape(pass);
  const constants = {
    N: n,
    EXEMPLARS: exemplars,
    CHANNELS: channels,
    H: h,
    W: w,
    ROWS: rows,
    COLUMNS: columns,
    OH: oh,
    OW: ow,
  };
  const label = `naive ${correlationLabel(pass)}`;
  return { kernels: [kernel({ label, constants, floats: { SCALE: pass.scale }, ...loopsOf(pass) })], scratchBytes: 0 };
}
