// What follows a sum before it is stored: factors, norm, shortcut and activation, as WGSL.

import { read, type Storage } from "../text/dispatch.ts";

export interface TailParts {
  /** A factor a position. */
  readonly factors: boolean;
  /** x · scale + bias. */
  readonly affine: boolean;
  readonly add: boolean;
  readonly activation: "none" | "slope" | "clip";
}

/** Vectors a channel group that a tail reads of `constants`: scale, bias, slope. */
export const TAIL_VECTORS = 3;

/** Beside the kernel's own. */
export function tailStorage({ factors, add }: TailParts): Storage[] {
  return [...(factors ? [read("factors")] : []), ...(add ? [read("added", "vec4<f32>")] : [])];
}

/**
 * Statements that make `value`, a variable of four channels, what is stored. They read `position`, `at` (the vector of
 * the output) and `constants` from vector `first` on.
 */
export function tailText({ factors, affine, add, activation }: TailParts, first: string): string {
  return [
    ...(factors ? ["value *= factors[position];"] : []),
    ...(affine ? [`value = value * constants[${first}] + constants[${first} + 1u];`] : []),
    ...(add ? ["value += added[at];"] : []),
    ...(activation === "slope"
      ? [`value = select(value * constants[${first} + 2u], value, value > vec4<f32>());`]
      : activation === "clip"
        ? ["value = clamp(value, vec4<f32>(-1.0), vec4<f32>(1.0));"]
        : []),
  ].join("\n");
}
