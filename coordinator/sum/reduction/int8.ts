// `int8` (shared/codecs/int8.ts) in the reduction: blocks of 64 elements of one tensor, whose exponents lie apart from
// them.

import { blockSize } from "../../../shared/codecs/codec.ts";
import type { CodecReduction, CodedPlace } from "./codec-reduction.ts";
import { addSquares, clamped } from "./kernel-text.ts";

/** The four vectors of i32 in $x, each by `step(index, vector)`. */
const widened = (step: (index: number, lanes: string) => string) =>
  ["low", "high"]
    .flatMap((outer, i) =>
      ["low", "high"].map((inner, j) =>
        step(2 * i + j, `(i32x4.extend_${inner}_i16x8_s (i16x8.extend_${outer}_i8x16_s (local.get $x)))`),
      ),
    )
    .join("");

/**
 * For each block with exponent s: $shift = s − $unit, held to ±40, beyond which a value is 0 or clipped whatever it is;
 * a block of zeros (s = −128) is passed over.
 */
const blocks = (before: string, step: string, after: string, passed = "") => `
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $blocks)))
      (local.set $end (i32.add (local.get $source) (i32.const 64)))
      (local.set $shift (i32.load8_s (local.get $scales)))
      (block $passed
        (br_if $passed (i32.eqz (i32.ne (local.get $shift) (i32.const -128))))
        (local.set $shift (i32.sub (local.get $shift) (local.get $unit)))
        (if (i32.gt_s (local.get $shift) (i32.const 40)) (then (local.set $shift (i32.const 40))))
        (if (i32.lt_s (local.get $shift) (i32.const -40)) (then (local.set $shift (i32.const -40))))
        (local.set $scale (f32.reinterpret_i32 (i32.shl (i32.add (local.get $shift) (i32.const 127)) (i32.const 23))))
        ${before}
        (loop $vector
          (local.set $x (v128.load (local.get $source)))
          ${step}
          (local.set $source (i32.add (local.get $source) (i32.const 16)))
          (br_if $vector (i32.lt_u (local.get $source) (local.get $end))))${passed})
      ${after}
      (local.set $source (local.get $end))
      (local.set $scales (i32.add (local.get $scales) (i32.const 1)))
      (local.set $blocks (i32.sub (local.get $blocks) (i32.const 1)))
      (br $next)))`;

const parameters = "(param $scales i32) (param $source i32) (param $blocks i32) (param $unit i32)";
const locals = "(local $end i32) (local $shift i32) (local $scale f32) (local $x v128)";

const scaled = (lanes: string) =>
  clamped(`(f32x4.mul (f32x4.convert_i32x4_s ${lanes}) (f32x4.splat (local.get $scale)))`);

/** The block's Σ q² and largest |q| of bytes in i32 and u8 lanes: exact, and a quarter of the work of floats. */
const gather = `
          (local.set $dot (i32x4.add (local.get $dot) (i32x4.add
            (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_s (local.get $x)) (i16x8.extend_low_i8x16_s (local.get $x)))
            (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_s (local.get $x)) (i16x8.extend_high_i8x16_s (local.get $x))))))
          (local.set $peak (i8x16.max_u (local.get $peak) (i8x16.abs (local.get $x))))`;

/** 16 bytes' maxima in u8 lanes as four i32 lanes, of which each is the largest of its four bytes. */
const byte = (shift: number) =>
  `(v128.and (i32x4.shr_u (local.get $peak) (i32.const ${shift})) (i32x4.splat (i32.const 255)))`;
const peakLanes = `(i32x4.max_s (i32x4.max_s ${byte(0)} ${byte(8)}) (i32x4.max_s ${byte(16)} ${byte(24)}))`;

/**
 * The largest magnitude and Σ units². A block whose values may be clipped (a shift above 22) counts as if they were
 * not: its magnitudes are held to 2^30 by the caller, and its norm is what its sender says.
 */
const inspect = `
(func $inspectInt8 ${parameters} (param $report i32) (result f64) ${locals} (local $largest v128) (local $squares v128) (local $sum f64) (local $dot v128) (local $peak v128)
  ${blocks(
    `(local.set $dot (i32x4.splat (i32.const 0)))
        (local.set $peak (i32x4.splat (i32.const 0)))`,
    gather,
    "",
    `
        (local.set $largest (f32x4.pmax (local.get $largest)
          (f32x4.mul (f32x4.convert_i32x4_s ${peakLanes}) (f32x4.splat (local.get $scale)))))
        (local.set $squares (f32x4.mul (f32x4.mul (f32x4.convert_i32x4_s (local.get $dot))
          (f32x4.splat (local.get $scale))) (f32x4.splat (local.get $scale))))
        ${addSquares}`,
  )}
  (v128.store (local.get $report) (local.get $largest))
  (local.get $sum))`;

const accumulate = (index: number, units: string) => `
          (v128.store offset=${16 * index} (local.get $low) (i32x4.add (v128.load offset=${16 * index} (local.get $low)) ${units}))`;

const advance = "(local.set $low (i32.add (local.get $low) (i32.const 64)))";
const toBlockEnd = "(local.set $low (local.get $lowEnd))";
const fromBlockStart = "(local.set $lowEnd (i32.add (local.get $low) (i32.const 256)))";

const rounded = (units: string) =>
  `(i32x4.trunc_sat_f32x4_s (f32x4.nearest (f32x4.mul ${units} (f32x4.splat (local.get $factor)))))`;

/**
 * Any factor and shift, by float32; without a factor, and with a shift that cannot clip 127, by a shift of integers.
 */
const addScaled = `
(func $addInt8 ${parameters} (param $factor f32) (param $low i32) ${locals} (local $lowEnd i32)
  ${blocks(
    `(block $floats
          (br_if $floats (f32.ne (local.get $factor) (f32.const 1)))
          (br_if $floats (i32.gt_u (local.get $shift) (i32.const 22)))
          (loop $shifted
            (local.set $x (v128.load (local.get $source)))
            ${widened((index, lanes) => accumulate(index, `(i32x4.shl ${lanes} (local.get $shift))`))}${advance}
            (local.set $source (i32.add (local.get $source) (i32.const 16)))
            (br_if $shifted (i32.lt_u (local.get $source) (local.get $end))))
          (br $passed))`,
    widened((index, lanes) => accumulate(index, rounded(scaled(lanes)))) + advance,
    toBlockEnd,
  ).replace("(local.set $shift (i32.load8_s", `${fromBlockStart} (local.set $shift (i32.load8_s`)})`;

interface Kernels {
  inspectInt8(scales: number, source: number, blocks: number, unit: number, report: number): number;
  addInt8(scales: number, source: number, blocks: number, unit: number, factor: number, low: number): void;
}

/** All exponents come first. */
const scalesOf = ({ part, element }: CodedPlace) => part + element / blockSize;
const sourceOf = ({ part, element, elements }: CodedPlace) => part + elements / blockSize + element;

export const int8: CodecReduction = {
  kind: "int8",
  coding: {
    text: `${inspect}\n${addScaled}`,
    inspect({ inspectInt8 }: Kernels, place) {
      return inspectInt8(scalesOf(place), sourceOf(place), place.blocks, place.exponent, place.report);
    },
    sums: {
      kind: "low",
      add({ addInt8 }: Kernels, place, factor, low) {
        addInt8(scalesOf(place), sourceOf(place), place.blocks, place.exponent, factor, low);
      },
    },
  },
};
