// `f16` (shared/codecs/f16.ts) in the reduction: four halves at a time become units.

import type { CodecReduction } from "./codec-reduction.ts";
import { accumulate, addSquares, advance, blocks, inspectLocals, report, rounded } from "./kernel-text.ts";

/**
 * Four halves (u32 lanes) in units of the tensor: a half of 1 is 2^14 of them. Normal ones by moving the exponent, 126
 * up from the half's to float32's; subnormal ones are multiples of 2^-10, so that no float32 is ever subnormal.
 */
const halves = (lanes: string) => `
        (local.set $h ${lanes})
        (local.set $m (v128.and (local.get $h) (i32x4.splat (i32.const 0x7fff))))
        (local.set $u (v128.or
          (v128.bitselect
            (f32x4.mul (f32x4.convert_i32x4_s (local.get $m)) (f32x4.splat (f32.const 0.0009765625)))
            (i32x4.add (i32x4.shl (local.get $m) (i32.const 13)) (i32x4.splat (i32.const 0x3f000000)))
            (i32x4.lt_s (local.get $m) (i32x4.splat (i32.const 0x400))))
          (i32x4.shl (v128.and (local.get $h) (i32x4.splat (i32.const 0x8000))) (i32.const 16))))`;

const bothHalves = (step: (offset: number) => string) =>
  halves("(i32x4.extend_low_i16x8_u (local.get $x))") +
  step(0) +
  halves("(i32x4.extend_high_i16x8_u (local.get $x))") +
  step(16);

const text = `
(func $inspectF16 (param $source i32) (param $blocks i32) (param $report i32) (result f64) ${inspectLocals} (local $h v128) (local $m v128) (local $u v128)
  ${blocks(
    128,
    bothHalves(
      () => `
        (local.set $bits (i32x4.max_s (local.get $bits) (local.get $m)))
        (local.set $largest (f32x4.pmax (local.get $largest) (f32x4.abs (local.get $u))))
        (local.set $squares (f32x4.add (local.get $squares) (f32x4.mul (local.get $u) (local.get $u))))`,
    ),
    addSquares,
  )}
  ${report})

(func $addF16 (param $source i32) (param $blocks i32) (param $factor f32) (param $low i32) (local $end i32) (local $x v128) (local $h v128) (local $m v128) (local $u v128)
  ${blocks(
    128,
    bothHalves((offset) =>
      accumulate(offset, rounded("(f32x4.mul (local.get $u) (f32x4.splat (local.get $factor)))")),
    ) + advance(32),
  )})`;

interface Kernels {
  inspectF16(source: number, blocks: number, report: number): number;
  addF16(source: number, blocks: number, factor: number, low: number): void;
}

export const f16: CodecReduction = {
  kind: "f16",
  coding: {
    text,
    infinityBits: 0x7c00,
    inspect({ inspectF16 }: Kernels, { part, element, blocks, report }) {
      return inspectF16(part + 2 * element, blocks, report);
    },
    sums: {
      kind: "low",
      add({ addF16 }: Kernels, { part, element, blocks }, factor, low) {
        addF16(part + 2 * element, blocks, factor, low);
      },
    },
  },
};
