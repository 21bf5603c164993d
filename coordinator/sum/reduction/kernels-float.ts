// Kernels for values of four or two bytes: f32, f16 and the i32 of `exact`. Each handles blocks of 64 elements of one tensor.
//
// An element becomes clamp(x · inverse, ±2^30) · factor, rounded to even: with inverse = 1/unit and factor ≤ 1 of a norm
// clip. float32 does it exactly where factor is 1: the unit is a power of two, and what underflows rounds to 0 anyway.

/**
 * A vector in units, clamped; what is beyond float32 becomes ±2^30 as well. pmin and pmax are one instruction each: they
 * differ from min and max in zeros' signs and in NaN, which is refused.
 */
export const clamped = (x: string) =>
  `(f32x4.pmax (f32x4.pmin ${x} (f32x4.splat (f32.const 1073741824))) (f32x4.splat (f32.const -1073741824)))`;

/** Per element, of 64: `step` sees the source's 16 bytes in $x. */
const blocks = (step: string, after = "") => `
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $blocks)))
      (local.set $end (i32.add (local.get $source) (i32.const 256)))
      (loop $vector
        (local.set $x (v128.load (local.get $source)))
        ${step}
        (local.set $source (i32.add (local.get $source) (i32.const 16)))
        (br_if $vector (i32.lt_u (local.get $source) (local.get $end))))
      ${after}
      (local.set $blocks (i32.sub (local.get $blocks) (i32.const 1)))
      (br $next)))`;

/** Sum of the lanes of $squares over float64, in a fixed order. */
export const addSquares = `
  (local.set $sum (f64.add (local.get $sum) (f64.add
    (f64.add (f64.promote_f32 (f32x4.extract_lane 0 (local.get $squares))) (f64.promote_f32 (f32x4.extract_lane 1 (local.get $squares))))
    (f64.add (f64.promote_f32 (f32x4.extract_lane 2 (local.get $squares))) (f64.promote_f32 (f32x4.extract_lane 3 (local.get $squares)))))))
  (local.set $squares (f32x4.splat (f32.const 0)))`;

/** Largest magnitudes in units (f32 [4]) at $report, the largest bits of a source's magnitude (u32 [4]) behind them. */
const report = `
  (v128.store (local.get $report) (local.get $largest))
  (v128.store offset=16 (local.get $report) (local.get $bits))
  (local.get $sum)`;

const inspected = `
        (local.set $largest (f32x4.pmax (local.get $largest) (f32x4.abs (local.get $x))))
        (local.set $squares (f32x4.add (local.get $squares) (f32x4.mul (local.get $x) (local.get $x))))`;

const inspectLocals =
  "(local $end i32) (local $x v128) (local $largest v128) (local $bits v128) (local $squares v128) (local $sum f64)";

const accumulate = (offset: number, units: string) => `
        (v128.store offset=${offset} (local.get $low) (i32x4.add (v128.load offset=${offset} (local.get $low)) ${units}))`;

const rounded = (x: string) => `(i32x4.trunc_sat_f32x4_s (f32x4.nearest ${x}))`;
const advance = (bytes: number) => `(local.set $low (i32.add (local.get $low) (i32.const ${bytes})))`;

const inverted = "(f32x4.mul (local.get $x) (f32x4.splat (local.get $inverse)))";

const float32 = `
(func $inspectF32 (param $source i32) (param $blocks i32) (param $inverse f32) (param $report i32) (result f64) ${inspectLocals}
  ${blocks(
    `(local.set $bits (i32x4.max_s (local.get $bits) (v128.and (local.get $x) (i32x4.splat (i32.const 0x7fffffff)))))
        (local.set $x ${clamped(inverted)})${inspected}`,
    addSquares,
  )}
  ${report})

(func $addF32 (param $source i32) (param $blocks i32) (param $inverse f32) (param $factor f32) (param $low i32) (local $end i32) (local $x v128)
  ${blocks(
    accumulate(0, rounded(`(f32x4.mul ${clamped(inverted)} (f32x4.splat (local.get $factor)))`)) + advance(16),
  )})`;

const bounded = `(i32x4.max_s (i32x4.min_s (local.get $x) (i32x4.splat (i32.const 1073741824))) (i32x4.splat (i32.const -1073741824)))`;

const integer = `
(func $inspectI32 (param $source i32) (param $blocks i32) (param $report i32) (result f64) ${inspectLocals}
  ${blocks(`(local.set $x (f32x4.convert_i32x4_s ${bounded}))${inspected}`, addSquares)}
  ${report})

(func $addI32 (param $source i32) (param $blocks i32) (param $low i32) (local $end i32) (local $x v128)
  ${blocks(accumulate(0, bounded) + advance(16))})`;

/**
 * Four halves (u32 lanes) in units of the tensor: a half of 1 is 2^14 of them. Normal ones by moving the exponent, 126 up
 * from the half's to float32's; subnormal ones are multiples of 2^-10, so that no float32 is ever subnormal.
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

/** As `blocks`, for 128 bytes of source a block. */
const halfBlocks = (step: string, after = "") => blocks(step, after).replace("(i32.const 256)", "(i32.const 128)");

const float16 = `
(func $inspectF16 (param $source i32) (param $blocks i32) (param $report i32) (result f64) ${inspectLocals} (local $h v128) (local $m v128) (local $u v128)
  ${halfBlocks(
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
  ${halfBlocks(
    bothHalves((offset) =>
      accumulate(offset, rounded("(f32x4.mul (local.get $u) (f32x4.splat (local.get $factor)))")),
    ) + advance(32),
  )})`;

export const floatKernels = `${float32}\n${integer}\n${float16}`;
