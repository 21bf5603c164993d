// The mean over all positions, by which a feature map becomes a vector for the classifier or a discriminator.
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

interface Global {
  readonly n: number;
  readonly positions: number;
  readonly channels: number;
}

/** x f32 [n][positions][channels] → y f32 [n][channels], the mean over positions. */
export function globalAveragePoolForward(o: Global): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `globalAveragePoolForward ${o.n}x${o.positions}x${o.channels}`,
    constants: { COLUMNS: o.channels / width, POSITIONS: o.positions },
    storage: [read("x", type), readWrite("y", type)],
    items: (o.n * o.channels) / width,
    body: `
let start = (index / COLUMNS) * POSITIONS * COLUMNS + index % COLUMNS;
var total = ${type}();
for (var i = 0u; i < POSITIONS; i++) { total += x[start + i * COLUMNS]; }
y[index] = total / f32(POSITIONS);`,
  });
}

/** dx = dy / positions at every position; dy f32 [n][channels], dx f32 [n][positions][channels]. */
export function globalAveragePoolBackward(o: Global & { readonly accumulate: boolean }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `globalAveragePoolBackward ${o.n}x${o.positions}x${o.channels}`,
    constants: { COLUMNS: o.channels / width, POSITIONS: o.positions },
    storage: [read("dy", type), readWrite("dx", type)],
    items: (o.n * o.positions * o.channels) / width,
    body: `
let sample = index / (POSITIONS * COLUMNS);
dx[index] ${o.accumulate ? "+=" : "="} dy[sample * COLUMNS + index % COLUMNS] / f32(POSITIONS);`,
  });
}
