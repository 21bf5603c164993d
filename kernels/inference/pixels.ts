// From bytes of pictures to the map that a network begins with.

import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";

/** bytes u8 [positions][channels] in words, table f32 [256][channels] → y [positions][4], zeros behind the channels. */
export function pixelMap(positions: number, channels: 1 | 2 | 3 | 4): Kernel {
  const value = (c: number) => {
    if (c >= channels) return "0.0";
    const at = `(index * ${channels}u + ${c}u)`;
    return `table[((bytes[${at} / 4u] >> (${at} % 4u * 8u)) & 255u) * ${channels}u + ${c}u]`;
  };
  return kernel({
    label: `infer pixels ${positions}x${channels}`,
    storage: [read("bytes", "u32"), read("table"), readWrite("y", "vec4<f32>")],
    items: positions,
    body: `y[index] = vec4<f32>(${range(4).map(value).join(", ")});`,
  });
}
