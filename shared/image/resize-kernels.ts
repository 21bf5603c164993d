// The two passes of a resize in WebAssembly's vector instructions, over the memory that a picture was decoded into: the
// bytes of resize.ts. A weight of 22 bits is two numbers of 11, since products of 16 bits are added in pairs:
// pixel · weight = (pixel · high << 11) + pixel · low, two taps at a time.

import { assemble } from "../assembler/assemble.ts";
import { ONE, type Taps, WEIGHT_BITS } from "./taps.ts";
import { type Memory, wasm } from "./webassembly.ts";

const LOW_BITS = 11;
const LOW_MASK = 2 ** LOW_BITS - 1;
const HALF = ONE / 2;

const sums = (n: string) =>
  `(i32x4.shr_u (i32x4.add (local.get $half) (i32x4.add
     (i32x4.shl (local.get $high${n}) (i32.const ${LOW_BITS})) (local.get $low${n}))) (i32.const ${WEIGHT_BITS}))`;
/** Adds pairs of pixels, u8 in i16, times two weights. */
const addPairs = (n: string, pixels: string) => `
  (local.set $high${n} (i32x4.add (local.get $high${n}) (i32x4.dot_i16x8_s ${pixels} (local.get $highs))))
  (local.set $low${n} (i32x4.add (local.get $low${n}) (i32x4.dot_i16x8_s ${pixels} (local.get $lows))))`;
const clear = (n: string) => `(local.set $high${n} (local.get $none)) (local.set $low${n} (local.get $none))`;
const setUp = `
  (local.set $none (i32x4.splat (i32.const 0)))
  (local.set $half (i32x4.splat (i32.const ${HALF})))`;
const readWeights = `
  (local.set $highs (v128.load32_splat (local.get $tap)))
  (local.set $lows (v128.load32_splat offset=4 (local.get $tap)))
  (local.set $tap (i32.add (local.get $tap) (i32.const 8)))`;
/** Two pixels of three bytes as r r g g b b 0 0. */
const twoPixels = (at: string) =>
  `(i8x16.shuffle 0 16 3 16 1 16 4 16 2 16 5 16 16 16 16 16 (v128.load64_zero (local.get ${at})) (local.get $none))`;
/** The first three of four numbers as bytes; a fourth byte is written that the next output has. */
const storePixel = (at: string, n: string) => `
  (i32.store (local.get ${at}) (i32x4.extract_lane 0 (i8x16.narrow_i16x8_u
    (i16x8.narrow_i32x4_s ${sums(n)} (local.get $none)) (local.get $none))))`;

/**
 * across: two rows at `a` and `b` into `toA` and `toB`; `tap` is, for each of the outputs, where its first pixel lies
 * (in bytes from the row's begin), how many pairs of taps it has, and these: high and low halves, two u16 each.
 * down: one row of `bytes` at `to` from rows of `line` bytes at `from`, by `pairs` pairs of taps.
 */
const text = `
(func $across (param $a i32) (param $b i32) (param $toA i32) (param $toB i32) (param $tap i32) (param $outputs i32)
    (local $p i32) (local $q i32) (local $pairs i32)
    (local $none v128) (local $half v128) (local $highs v128) (local $lows v128) (local $pixels v128)
    (local $high0 v128) (local $low0 v128) (local $high1 v128) (local $low1 v128)
  ${setUp}
  (loop $output
    (local.set $p (i32.add (local.get $a) (i32.load (local.get $tap))))
    (local.set $q (i32.add (local.get $b) (i32.load (local.get $tap))))
    (local.set $pairs (i32.load offset=4 (local.get $tap)))
    (local.set $tap (i32.add (local.get $tap) (i32.const 8)))
    ${clear("0")} ${clear("1")}
    (loop $pair
      ${readWeights}
      (local.set $pixels ${twoPixels("$p")})
      ${addPairs("0", "(local.get $pixels)")}
      (local.set $pixels ${twoPixels("$q")})
      ${addPairs("1", "(local.get $pixels)")}
      (local.set $p (i32.add (local.get $p) (i32.const 6)))
      (local.set $q (i32.add (local.get $q) (i32.const 6)))
      (br_if $pair (local.tee $pairs (i32.sub (local.get $pairs) (i32.const 1)))))
    ${storePixel("$toA", "0")}
    ${storePixel("$toB", "1")}
    (local.set $toA (i32.add (local.get $toA) (i32.const 3)))
    (local.set $toB (i32.add (local.get $toB) (i32.const 3)))
    (br_if $output (local.tee $outputs (i32.sub (local.get $outputs) (i32.const 1))))))

(func $down (param $from i32) (param $line i32) (param $taps i32) (param $pairs i32) (param $to i32) (param $bytes i32)
    (local $p i32) (local $tap i32) (local $left i32) (local $done i32)
    (local $none v128) (local $half v128) (local $highs v128) (local $lows v128)
    (local $one v128) (local $two v128) (local $pixels v128)
    (local $high0 v128) (local $low0 v128) (local $high1 v128) (local $low1 v128)
    (local $high2 v128) (local $low2 v128) (local $high3 v128) (local $low3 v128)
  ${setUp}
  (loop $columns
    (local.set $p (i32.add (local.get $from) (local.get $done)))
    (local.set $tap (local.get $taps))
    (local.set $left (local.get $pairs))
    ${["0", "1", "2", "3"].map(clear).join(" ")}
    (loop $pair
      ${readWeights}
      (local.set $one (v128.load (local.get $p)))
      (local.set $p (i32.add (local.get $p) (local.get $line)))
      (local.set $two (v128.load (local.get $p)))
      (local.set $p (i32.add (local.get $p) (local.get $line)))
      (local.set $pixels (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $one) (local.get $two)))
      (local.set $two (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $one) (local.get $two)))
      (local.set $one (i16x8.extend_low_i8x16_u (local.get $pixels)))
      ${addPairs("0", "(local.get $one)")}
      (local.set $one (i16x8.extend_high_i8x16_u (local.get $pixels)))
      ${addPairs("1", "(local.get $one)")}
      (local.set $one (i16x8.extend_low_i8x16_u (local.get $two)))
      ${addPairs("2", "(local.get $one)")}
      (local.set $one (i16x8.extend_high_i8x16_u (local.get $two)))
      ${addPairs("3", "(local.get $one)")}
      (br_if $pair (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (v128.store (i32.add (local.get $to) (local.get $done)) (i8x16.narrow_i16x8_u
      (i16x8.narrow_i32x4_s ${sums("0")} ${sums("1")}) (i16x8.narrow_i32x4_s ${sums("2")} ${sums("3")})))
    (local.set $done (i32.add (local.get $done) (i32.const 16)))
    (br_if $columns (i32.lt_s (local.get $done) (local.get $bytes)))))
`;

/** Addresses and lengths are in bytes. Up to 16 bytes behind what they read and write are touched, too. */
export interface ResizeKernels {
  across(a: number, b: number, toA: number, toB: number, tap: number, outputs: number): void;
  down(from: number, line: number, taps: number, pairs: number, to: number, bytes: number): void;
}

let module: object | undefined | "none";

/** @returns undefined where the engine has no vector instructions */
export function resizeKernels(memory: Memory): ResizeKernels | undefined {
  if (module === undefined) {
    const bytes = assemble(text);
    module = wasm.validate(bytes) ? new wasm.Module(bytes) : "none";
  }
  if (module === "none") return undefined;
  return new wasm.Instance(module as object, { env: { memory } }).exports as ResizeKernels;
}

const pairsOf = (taps: number) => (taps + 1) >> 1;

function writePairs({ count, weights, most }: Taps, output: number, into: Int32Array, at: number): number {
  const first = output * most;
  const taps = count[output]!;
  let to = at;
  for (let tap = 0; tap < taps; tap += 2) {
    const one = weights[first + tap]!;
    const two = tap + 1 < taps ? weights[first + tap + 1]! : 0;
    into[to++] = (one >> LOW_BITS) | ((two >> LOW_BITS) << 16);
    into[to++] = (one & LOW_MASK) | ((two & LOW_MASK) << 16);
  }
  return to;
}

/** The taps of rows, as `across` reads them. @param mirrored the last output first */
export function acrossTable(taps: Taps, mirrored: boolean): Int32Array {
  const outputs = taps.start.length;
  const table = new Int32Array(outputs * (2 + 2 * pairsOf(taps.most)));
  let at = 0;
  for (let i = 0; i < outputs; i++) {
    const output = mirrored ? outputs - 1 - i : i;
    table[at++] = 3 * taps.start[output]!;
    table[at++] = pairsOf(taps.count[output]!);
    at = writePairs(taps, output, table, at);
  }
  return table.subarray(0, at);
}

export interface DownTable {
  readonly words: Int32Array;
  /** Of each output, where its pairs begin, in words, and how many there are. */
  readonly begin: Int32Array;
  readonly pairs: Int32Array;
}

export function downTable(taps: Taps): DownTable {
  const outputs = taps.start.length;
  const words = new Int32Array(outputs * 2 * pairsOf(taps.most));
  const begin = new Int32Array(outputs);
  let at = 0;
  for (let output = 0; output < outputs; output++) {
    begin[output] = at;
    at = writePairs(taps, output, words, at);
  }
  return { words: words.subarray(0, at), begin, pairs: taps.count.map(pairsOf) };
}
