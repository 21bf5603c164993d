// The loss of a response map: the logistic loss of each place, both classes of places weighing one half (SiamFC:
// Bertinetto et al. 2016, equations 1 to 3).

import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { KernelSequence } from "../text/kernel.ts";

export interface ResponseLoss {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  /** Cells from the centre within which a place is one of the target, as |rows| + |columns|. */
  readonly radius: number;
  /** Cells within which the greatest response is counted, each a metric. */
  readonly within: readonly number[];
}

/** Cells are counted by halves: a map of even sides has its centre between them. */
const HALVES = 2;
/** Beyond it, e^-|v| is nothing beside 1 in f32, and may not underflow. */
const FARTHEST = 87;

/**
 * scores f32 [n][h][w] → dscores f32 [n][h][w], the gradient of the mean loss, and metrics f32 [1 + within]: the mean
 * loss, then the shares of samples whose greatest response, the first of equal ones, lies within so many cells. A class
 * without a place adds nothing.
 */
export function balancedLogistic(o: ResponseLoss): KernelSequence {
  const constants = { N: o.n, H: o.h, W: o.w, RADIUS: Math.floor(HALVES * o.radius) };
  const targets = countTargets(o);
  const others = o.h * o.w - targets;
  const weight = (places: number) => (places === 0 ? 0 : 0.5 / places);
  const rows = kernel({
    label: `balancedLogistic ${o.n}x${o.h}x${o.w}`,
    constants,
    floats: { TARGET: weight(targets), OTHER: weight(others) },
    storage: [read("scores"), readWrite("dscores"), readWrite("scratch")],
    items: o.n,
    workgroupSize: 8,
    declarations: `
fn cells(y: u32, x: u32) -> u32 {
  return u32(abs(${HALVES} * i32(y) - i32(H - 1u)) + abs(${HALVES} * i32(x) - i32(W - 1u)));
}`,
    body: `
var loss = 0.0;
var greatest = -0x1.fffffep+127f;
var peak = cells(0u, 0u);
for (var y = 0u; y < H; y++) {
  for (var x = 0u; x < W; x++) {
    let at = (index * H + y) * W + x;
    let v = scores[at];
    let far = cells(y, x);
    let is_target = far <= RADIUS;
    let weight = select(OTHER, TARGET, is_target);
    // Of the place's own class: how far the score is on the wrong side.
    let wrong = select(v, -v, is_target);
    let e = exp(-min(abs(v), ${FARTHEST}.0));
    loss += weight * (max(wrong, 0.0) + log(1.0 + e));
    let share = select(e, 1.0, wrong >= 0.0) / (1.0 + e);
    dscores[at] = select(weight, -weight, is_target) * share / f32(N);
    if (v > greatest) {
      greatest = v;
      peak = far;
    }
  }
}
scratch[index] = loss;
scratch[N + index] = f32(peak);`,
  });
  const counts = o.within.map((cells, i) => `if (peak <= ${HALVES * cells}.0) { near_${i} += 1.0; }`);
  const metrics = kernel({
    label: `balancedLogistic metrics ${o.n}`,
    constants: { N: o.n },
    storage: [read("scratch"), readWrite("metrics")],
    items: 1,
    workgroupSize: 1,
    body: `
var loss = 0.0;
${o.within.map((_, i) => `var near_${i} = 0.0;`).join("\n")}
for (var i = 0u; i < N; i++) {
  loss += scratch[i];
  let peak = scratch[N + i];
  ${counts.join("\n  ")}
}
metrics[0] = loss / f32(N);
${o.within.map((_, i) => `metrics[${i + 1}] = near_${i} / f32(N);`).join("\n")}`,
  });
  return { kernels: [rows, metrics], scratchBytes: 8 * o.n };
}

function countTargets({ h, w, radius }: ResponseLoss): number {
  let places = 0;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      if (Math.abs(y - (h - 1) / 2) + Math.abs(x - (w - 1) / 2) <= radius) places++;
    }
  }
  return places;
}
