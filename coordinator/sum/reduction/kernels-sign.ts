// Kernels for `sign`: bit-sliced counters. Plane k of a group of 128 elements holds bit k of each element's count, so that
// one contribution is added to 128 counters by a few ands and xors (carry-save; Harley and Seal's population count).
//
// Counted is the weight of negative signs. With W the weight of all signs, an element's sum is W − 2 · count.

/** Planes of a group, side by side in memory: counts below 2^16 between two folds into float64. */
export const planes = 16;
/** Bytes of a group's planes, 128 elements of one bit each. */
export const groupBytes = 16 * planes;

/**
 * Adds `weight` (1 to 2^16 − 1) to the counters of `groups` · 128 elements whose bit at `source` is set: each bit of the
 * weight enters at its own plane and ripples up until no counter carries.
 */
const add = `
(func $addSigns (param $source i32) (param $groups i32) (param $weight i32) (param $counters i32)
  (local $rest i32) (local $at i32) (local $x v128) (local $carry v128) (local $plane v128)
  (block $done
    (loop $group
      (br_if $done (i32.eqz (local.get $groups)))
      (local.set $x (v128.load (local.get $source)))
      (local.set $rest (local.get $weight))
      (loop $bit
        (local.set $at (i32.add (local.get $counters) (i32.shl (i32.ctz (local.get $rest)) (i32.const 4))))
        (local.set $carry (local.get $x))
        (loop $ripple
          (local.set $plane (v128.load (local.get $at)))
          (v128.store (local.get $at) (v128.xor (local.get $plane) (local.get $carry)))
          (local.set $carry (v128.and (local.get $plane) (local.get $carry)))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $ripple (v128.any_true (local.get $carry))))
        (local.set $rest (i32.and (local.get $rest) (i32.sub (local.get $rest) (i32.const 1))))
        (br_if $bit (local.get $rest)))
      (local.set $source (i32.add (local.get $source) (i32.const 16)))
      (local.set $counters (i32.add (local.get $counters) (i32.const ${groupBytes})))
      (local.set $groups (i32.sub (local.get $groups) (i32.const 1)))
      (br $group))))`;

/** Lane `lane` of $count is the count of element 32·lane + bit. */
const foldLane = (lane: number) => `
          (f64.store offset=${256 * lane} (local.get $high) (f64.add (f64.load offset=${256 * lane} (local.get $high))
            (f64.sub (local.get $total) (f64.mul (f64.const 2) (f64.convert_i32_s (i32x4.extract_lane ${lane} (local.get $count)))))))`;

/** Adds W − 2 · count to `high` f64 [groups · 128] and clears the counters; only planes below `used` hold anything. */
const fold = `
(func $foldSigns (param $counters i32) (param $groups i32) (param $used i32) (param $total f64) (param $high i32)
  (local $bit i32) (local $at i32) (local $end i32) (local $count v128) (local $shift i32)
  (block $done
    (loop $group
      (br_if $done (i32.eqz (local.get $groups)))
      (local.set $end (i32.add (local.get $counters) (i32.shl (local.get $used) (i32.const 4))))
      (local.set $bit (i32.const 0))
      (loop $element
        (local.set $count (i32x4.splat (i32.const 0)))
        (local.set $shift (i32.const 0))
        (local.set $at (local.get $counters))
        (block $counted
          (loop $plane
            (br_if $counted (i32.ge_s (local.get $at) (local.get $end)))
            (local.set $count (v128.or (local.get $count) (i32x4.shl
              (v128.and (i32x4.shr_u (v128.load (local.get $at)) (local.get $bit)) (i32x4.splat (i32.const 1)))
              (local.get $shift))))
            (local.set $shift (i32.add (local.get $shift) (i32.const 1)))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br $plane)))
        ${[0, 1, 2, 3].map(foldLane).join("")}
        (local.set $high (i32.add (local.get $high) (i32.const 8)))
        (local.set $bit (i32.add (local.get $bit) (i32.const 1)))
        (br_if $element (i32.lt_u (local.get $bit) (i32.const 32))))
      (local.set $high (i32.add (local.get $high) (i32.const 768)))
      (loop $clear
        (v128.store (local.get $counters) (i32x4.splat (i32.const 0)))
        (local.set $counters (i32.add (local.get $counters) (i32.const 16)))
        (br_if $clear (i32.lt_s (local.get $counters) (local.get $end))))
      (local.set $counters (i32.add (local.get $end)
        (i32.sub (i32.const ${groupBytes}) (i32.shl (local.get $used) (i32.const 4)))))
      (local.set $groups (i32.sub (local.get $groups) (i32.const 1)))
      (br $group))))`;

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

export const signKernels = `${add}\n${fold}\n${foldLow}`;
