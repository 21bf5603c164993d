// `sign` (shared/codecs/sign.ts) in the reduction: bit-sliced counters. Plane k of a group of 128 elements holds bit k
// of each element's count, so that one contribution is added to 128 counters by a few ands and xors (carry-save; Harley
// and Seal's population count).
//
// Counted is the weight of negative signs. With W the weight of all signs, an element's sum is W − 2 · count.

import type { CodecReduction, OpenSums, OwnSumsPlace } from "./codec-reduction.ts";

/** Elements of a group of counters. */
const groupSize = 128;
/** Planes of a group, side by side in memory: counts below 2^16 between two folds into float64. */
const planes = 16;
/** Bytes of a group's planes, 128 elements of one bit each. */
const groupBytes = 16 * planes;

/**
 * Adds `weight` (1 to 2^16 − 1) to the counters of `groups` · 128 elements whose bit at `source` is set: each bit of
 * the weight enters at its own plane and ripples up until no counter carries.
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

interface Kernels {
  addSigns(source: number, groups: number, weight: number, counters: number): void;
  foldSigns(counters: number, groups: number, used: number, total: number, high: number): void;
}

const padded = (elements: number) => Math.ceil(elements / groupSize) * groupSize;

/** Counters of a round, folded before they could carry out of their planes. */
function openCounters({ addSigns, foldSigns }: Kernels, { at, elements, high }: OwnSumsPlace): OpenSums {
  const groups = padded(elements) / groupSize;
  /** Samples whose signs are in the counters. */
  let total = 0;
  const fold = () => {
    if (total > 0) foldSigns(at, groups, 32 - Math.clz32(total), total, high);
    total = 0;
  };
  return {
    // Signs weigh whole samples, so a scaled weight is rounded; one beyond what the counters hold goes in parts.
    add(part, samples, scale) {
      for (let rest = Math.round(samples * scale); rest > 0; ) {
        const weight = Math.min(rest, 2 ** planes - 1);
        if (total + weight >= 2 ** planes) fold();
        addSigns(part, groups, weight, at);
        total += weight;
        rest -= weight;
      }
    },
    fold,
  };
}

export const sign: CodecReduction = {
  kind: "sign",
  coding: {
    text: `${add}\n${fold}`,
    // Each sign is ±samples units, and nothing but its own sums bounds them.
    inspect(_: Kernels, { size, samples }) {
      return size * samples * samples;
    },
    sums: {
      kind: "own",
      padded,
      bytes: (elements) => (padded(elements) / groupSize) * groupBytes,
      open: openCounters,
    },
  },
};
