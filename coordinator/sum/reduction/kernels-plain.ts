// Kernels for what travels as it was accumulated: float32, or i32 multiples of the unit. And from i32 sums to float64.

import {
  accumulate,
  addSquares,
  advance,
  blocks,
  clamped,
  inspected,
  inspectLocals,
  report,
  rounded,
} from "./kernel-text.ts";

const inverted = "(f32x4.mul (local.get $x) (f32x4.splat (local.get $inverse)))";

const float32 = `
(func $inspectF32 (param $source i32) (param $blocks i32) (param $inverse f32) (param $report i32) (result f64) ${inspectLocals}
  ${blocks(
    256,
    `(local.set $bits (i32x4.max_s (local.get $bits) (v128.and (local.get $x) (i32x4.splat (i32.const 0x7fffffff)))))
        (local.set $x ${clamped(inverted)})${inspected}`,
    addSquares,
  )}
  ${report})

(func $addF32 (param $source i32) (param $blocks i32) (param $inverse f32) (param $factor f32) (param $low i32) (local $end i32) (local $x v128)
  ${blocks(
    256,
    accumulate(0, rounded(`(f32x4.mul ${clamped(inverted)} (f32x4.splat (local.get $factor)))`)) + advance(16),
  )})`;

const bounded = `(i32x4.max_s (i32x4.min_s (local.get $x) (i32x4.splat (i32.const 1073741824))) (i32x4.splat (i32.const -1073741824)))`;

const integer = `
(func $inspectI32 (param $source i32) (param $blocks i32) (param $report i32) (result f64) ${inspectLocals}
  ${blocks(256, `(local.set $x (f32x4.convert_i32x4_s ${bounded}))${inspected}`, addSquares)}
  ${report})

(func $addI32 (param $source i32) (param $blocks i32) (param $low i32) (local $end i32) (local $x v128)
  ${blocks(256, accumulate(0, bounded) + advance(16))})`;

/** Adds `low` i32 to `high` f64, four at a time, and clears it; exact, as both are integers below 2^53. */
const foldLow = `
(func $foldLow (param $low i32) (param $quads i32) (param $high i32) (local $x v128)
  (block $done
    (loop $quad
      (br_if $done (i32.eqz (local.get $quads)))
      (local.set $x (v128.load (local.get $low)))
      (v128.store (local.get $high) (f64x2.add (v128.load (local.get $high)) (f64x2.convert_low_i32x4_s (local.get $x))))
      (f64.store offset=16 (local.get $high) (f64.add (f64.load offset=16 (local.get $high)) (f64.convert_i32_s (i32x4.extract_lane 2 (local.get $x)))))
      (f64.store offset=24 (local.get $high) (f64.add (f64.load offset=24 (local.get $high)) (f64.convert_i32_s (i32x4.extract_lane 3 (local.get $x)))))
      (v128.store (local.get $low) (i32x4.splat (i32.const 0)))
      (local.set $low (i32.add (local.get $low) (i32.const 16)))
      (local.set $high (i32.add (local.get $high) (i32.const 32)))
      (local.set $quads (i32.sub (local.get $quads) (i32.const 1)))
      (br $quad))))`;

export const plainKernels = `${float32}\n${integer}\n${foldLow}`;
