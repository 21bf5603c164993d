// What the reduction's kernels share, in WebAssembly's text format. Each handles blocks of 64 elements of one tensor.
//
// An element becomes clamp(x · inverse, ±2^30) · factor, rounded to even: with inverse = 1/unit and factor ≤ 1 of a
// norm clip. float32 does it exactly where factor is 1: the unit is a power of two, and what underflows rounds to 0
// anyway.

/**
 * A vector in units, clamped; what is beyond float32 becomes ±2^30 as well. pmin and pmax are one instruction each:
 * they differ from min and max in zeros' signs and in NaN, which is refused.
 */
export const clamped = (x: string) =>
  `(f32x4.pmax (f32x4.pmin ${x} (f32x4.splat (f32.const 1073741824))) (f32x4.splat (f32.const -1073741824)))`;

/** Over $blocks of so many bytes at $source: `step` sees 16 of them in $x, `after` runs at the end of each block. */
export const blocks = (bytes: number, step: string, after = "") => `
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $blocks)))
      (local.set $end (i32.add (local.get $source) (i32.const ${bytes})))
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
export const report = `
  (v128.store (local.get $report) (local.get $largest))
  (v128.store offset=16 (local.get $report) (local.get $bits))
  (local.get $sum)`;

/** $x is in units: its magnitudes and squares. */
export const inspected = `
        (local.set $largest (f32x4.pmax (local.get $largest) (f32x4.abs (local.get $x))))
        (local.set $squares (f32x4.add (local.get $squares) (f32x4.mul (local.get $x) (local.get $x))))`;

/** What blocks(), inspected and report name. */
export const inspectLocals =
  "(local $end i32) (local $x v128) (local $largest v128) (local $bits v128) (local $squares v128) (local $sum f64)";

/** Adds four i32 `units` to the sums at $low + offset. */
export const accumulate = (offset: number, units: string) => `
        (v128.store offset=${offset} (local.get $low) (i32x4.add (v128.load offset=${offset} (local.get $low)) ${units}))`;

/** Four f32 to i32, ties to even. */
export const rounded = (x: string) => `(i32x4.trunc_sat_f32x4_s (f32x4.nearest ${x}))`;
export const advance = (bytes: number) => `(local.set $low (i32.add (local.get $low) (i32.const ${bytes})))`;
