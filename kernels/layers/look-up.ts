// Bytes that travel to the device as they are decoded, made float32 there: a quarter of the traffic, and the host's own
// bits, since a table has what each value becomes.

import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/**
 * y[i] = table[x[i]][i mod channels] of `size` bytes x, four in each u32 of `bytes` [⌈size / 4⌉], the first lowest;
 * table f32 [256][channels], y f32 [size].
 */
export function lookUp({ size, channels }: { readonly size: number; readonly channels: number }): Kernel {
  const whole = size % 4 === 0;
  const value = (k: number) => `table[((word >> ${8 * k}u) & 255u) * CHANNELS + (first + ${k}u) % CHANNELS]`;
  return kernel({
    label: `lookUp ${size}x${channels}`,
    constants: { SIZE: size, CHANNELS: channels },
    storage: [read("bytes", "u32"), read("table"), readWrite("y", whole ? "vec4<f32>" : "f32")],
    items: Math.ceil(size / 4),
    body: `
let word = bytes[index];
let first = 4u * index;
${
  whole
    ? `y[index] = vec4<f32>(${[0, 1, 2, 3].map(value).join(", ")});`
    : [0, 1, 2, 3].map((k) => `if (first + ${k}u < SIZE) { y[first + ${k}u] = ${value(k)}; }`).join("\n")
}`,
  });
}
