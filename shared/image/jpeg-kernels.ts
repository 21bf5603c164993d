// Three of libjpeg-turbo's inner functions in WebAssembly's vector instructions, which its build for WebAssembly leaves
// out: the inverse DCT (jidctint.c), the interpolation of 4:2:0 chroma (h2v2 of jdsample.c) and YCbCr to RGB
// (jdcolext.c). They stand in the decoder's table of functions in the places of those, and give the same bits, for
// damaged files as well: sums and products are the same 32 bits, shifts are where they were.

import { assemble } from "../assembler/assemble.ts";
import { type Memory, wasm } from "./webassembly.ts";

const get = (name: string) => `(local.get $${name})`;
const set = (name: string, value: string) => `(local.set $${name} ${value})`;
const int = (value: number) => `(i32.const ${value})`;
const all = (value: number) => `(i32x4.splat ${int(value)})`;
const all16 = (value: number) => all(((value & 0xffff) << 16) | (value & 0xffff));
const add = (a: string, b: string) => `(i32x4.add ${a} ${b})`;
const sub = (a: string, b: string) => `(i32x4.sub ${a} ${b})`;
const times = (a: string, factor: number) => `(i32x4.mul ${a} ${all(factor)})`;
const eight = (make: (i: number) => string) => Array.from({ length: 8 }, (_, i) => make(i)).join("\n");
const locals = (names: readonly string[], type: string) => names.map((name) => `(local $${name} ${type})`).join(" ");
const numbered = (name: string) => Array.from({ length: 8 }, (_, i) => `${name}${i}`);

/**
 * The one-dimensional transform of i0…i7, four at once, into these names, each shifted right with rounding.
 * Loeffler, Ligtenberg, Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989; the
 * constants are jidctint.c's, 13 bits after the point.
 */
function transform(into: readonly string[], shift: number): string {
  const half = all(2 ** (shift - 1));
  const rounded = (value: string) => `(i32x4.shr_s ${value} ${int(shift)})`;
  const pair = (low: number, even: string, odd: string) => `
    ${set(into[low]!, rounded(add(get(even), get(odd))))}
    ${set(into[7 - low]!, rounded(sub(get(even), get(odd))))}`;
  return `
    ${set("z1", times(add(get("i2"), get("i6")), 4433))}
    ${set("t2", add(get("z1"), times(get("i6"), -15137)))}
    ${set("t3", add(get("z1"), times(get("i2"), 6270)))}
    ${set("t0", add(half, `(i32x4.shl ${add(get("i0"), get("i4"))} ${int(13)})`))}
    ${set("t1", add(half, `(i32x4.shl ${sub(get("i0"), get("i4"))} ${int(13)})`))}
    ${set("e0", add(get("t0"), get("t3")))} ${set("e3", sub(get("t0"), get("t3")))}
    ${set("e1", add(get("t1"), get("t2")))} ${set("e2", sub(get("t1"), get("t2")))}
    ${set("z3", add(get("i7"), get("i3")))}
    ${set("z4", add(get("i5"), get("i1")))}
    ${set("z5", times(add(get("z3"), get("z4")), 9633))}
    ${set("z3", add(get("z5"), times(get("z3"), -16069)))}
    ${set("z4", add(get("z5"), times(get("z4"), -3196)))}
    ${set("z1", times(add(get("i7"), get("i1")), -7373))}
    ${set("z2", times(add(get("i5"), get("i3")), -20995))}
    ${set("t0", add(times(get("i7"), 2446), add(get("z1"), get("z3"))))}
    ${set("t1", add(times(get("i5"), 16819), add(get("z2"), get("z4"))))}
    ${set("t2", add(times(get("i3"), 25172), add(get("z2"), get("z3"))))}
    ${set("t3", add(times(get("i1"), 12299), add(get("z1"), get("z4"))))}
    ${pair(0, "e0", "t3")} ${pair(1, "e1", "t2")} ${pair(2, "e2", "t1")} ${pair(3, "e3", "t0")}`;
}

/**
 * Where all but the first of eight numbers are 0, the C code takes a short cut that does not overflow where the long
 * way does, which only a damaged file's numbers can.
 */
function shortCut(into: readonly string[], only: string, value: string): string {
  const large = `(i32x4.shr_u ${add(get("i0"), all(2 ** 17))} ${int(18)})`;
  return `(if (v128.any_true ${large}) (then
    ${set("only", only)}
    ${set("z1", value)}
    ${into.map((name) => set(name, `(v128.bitselect ${get("z1")} ${get(name)} ${get("only")})`)).join("\n")}))`;
}

/** Coefficients of four columns, times their quantisation steps. */
function dequantise(half: "low" | "high"): string {
  const offset = half === "low" ? 0 : 16;
  return eight((i) => {
    const coefficients = `(i32x4.extend_${half}_i16x8_s (v128.load offset=${16 * i} ${get("block")}))`;
    return set(`i${i}`, `(i32x4.mul ${coefficients} (v128.load offset=${32 * i + offset} ${get("steps")}))`);
  });
}

/** The columns without any coefficient but the first. */
function lonelyColumns(half: "low" | "high"): string {
  const rows = Array.from({ length: 7 }, (_, i) => `(v128.load offset=${16 * (i + 1)} ${get("block")})`);
  const any = rows.reduce((a, b) => `(v128.or ${a} ${b})`);
  return `(i32x4.extend_${half}_i16x8_s (i16x8.eq ${any} ${get("none")}))`;
}

const lonelyRows = `(i32x4.eq ${get("none")} ${numbered("i")
  .slice(1)
  .map(get)
  .reduce((a, b) => `(v128.or ${a} ${b})`)})`;

/** Four vectors of four, i32, as columns. */
function transpose(from: readonly string[], into: readonly string[]): string {
  const [a, b, c, d] = from.map(get);
  const shuffle = (lanes: readonly number[], x: string, y: string) =>
    `(i8x16.shuffle ${lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)).join(" ")} ${x} ${y})`;
  const low = [0, 4, 1, 5];
  const high = [2, 6, 3, 7];
  return `
    ${set("t0", shuffle(low, a!, b!))} ${set("t1", shuffle(low, c!, d!))}
    ${set("t2", shuffle(high, a!, b!))} ${set("t3", shuffle(high, c!, d!))}
    ${set(into[0]!, shuffle([0, 1, 4, 5], get("t0"), get("t1")))}
    ${set(into[1]!, shuffle([2, 3, 6, 7], get("t0"), get("t1")))}
    ${set(into[2]!, shuffle([0, 1, 4, 5], get("t2"), get("t3")))}
    ${set(into[3]!, shuffle([2, 3, 6, 7], get("t2"), get("t3")))}`;
}

/** 10 bits with a sign, moved up by 128 and limited to a byte: what the C code's table of limits does. */
const limited = (name: string) => add(all(128), `(i32x4.shr_s (i32x4.shl ${get(name)} ${int(22)}) ${int(22)})`);

/** o0…o7, columns of four rows, as bytes to these rows. */
function storeRows(first: number): string {
  const bytes = (from: number) => {
    const two = (i: number) => `(i16x8.narrow_i32x4_s ${limited(`o${i}`)} ${limited(`o${i + 1}`)})`;
    return `(i8x16.narrow_i16x8_u ${two(from)} ${two(from + 2)})`;
  };
  const rows = (row: number) => {
    const lanes = [row, row + 1].flatMap((r) => eight((column) => `${4 * column + r}`).split("\n"));
    const at = (r: number) => `(i32.add (i32.load offset=${4 * (first + r)} ${get("rows")}) ${get("column")})`;
    return `
      ${set("z1", `(i8x16.shuffle ${lanes.join(" ")} ${get("t0")} ${get("t1")})`)}
      (i64.store ${at(row)} (i64x2.extract_lane 0 ${get("z1")}))
      (i64.store ${at(row + 1)} (i64x2.extract_lane 1 ${get("z1")}))`;
  };
  return `${set("t0", bytes(0))} ${set("t1", bytes(4))} ${rows(0)} ${rows(2)}`;
}

const temporaries = ["t0", "t1", "t2", "t3", "e0", "e1", "e2", "e3", "z1", "z2", "z3", "z4", "z5", "only", "none"];
const [inputs, outputs, left, right] = ["i", "o", "l", "r"].map(numbered) as [string[], string[], string[], string[]];

/** Of rows 0 to 3, or 4 to 7: the left and right half of the columns' transforms, which lie in l and r. */
const rowsOf = (first: 0 | 4) => `
  ${transpose(left.slice(first, first + 4), inputs.slice(0, 4))}
  ${transpose(right.slice(first, first + 4), inputs.slice(4))}
  ${transform(outputs, 18)}
  ${shortCut(outputs, lonelyRows, `(i32x4.shr_s ${add(get("i0"), all(16))} ${int(5)})`)}
  ${storeRows(first)}`;

const columnsOf = (half: "low" | "high", into: readonly string[]) => `
  ${dequantise(half)}
  ${transform(into, 11)}
  ${shortCut(into, lonelyColumns(half), `(i32x4.shl ${get("i0")} ${int(2)})`)}`;

/** jpeg_idct_islow(cinfo, compptr, coef_block, output_buf, output_col). */
const inverseDct = `
(func $inverseDct (param $cinfo i32) (param $component i32) (param $block i32) (param $rows i32) (param $column i32)
    (local $steps i32) ${locals([...inputs, ...outputs, ...left, ...right, ...temporaries], "v128")}
  ${set("none", all(0))}
  ${set("steps", `(i32.load offset=80 ${get("component")})`)}
  ${columnsOf("low", left)}
  ${columnsOf("high", right)}
  ${rowsOf(0)}
  ${rowsOf(4)})`;

/** A sixteenth of three times this column and its neighbour, rounded. */
const interpolated = (neighbour: string, rounding: number) =>
  `(i16x8.shr_u (i16x8.add (i16x8.add (i16x8.mul ${get("this")} ${all16(3)}) ${neighbour}) ${all16(rounding)}) ${int(4)})`;
/** Three times the nearer row and the other, of eight columns from `offset` on. */
const columnSums = (offset: number) => {
  const row = (from: string) =>
    `(i16x8.extend_low_i8x16_u (v128.load64_zero (i32.add (i32.add ${get(from)} ${get("x")}) ${int(offset)})))`;
  return `(i16x8.add (i16x8.mul ${row("near")} ${all16(3)}) ${row("far")})`;
};
const edgeSum = (at: string) => {
  const row = (from: string) => `(i32.load8_u (i32.add ${get(from)} ${at}))`;
  return `(i32.shl (i32.add (i32.mul ${int(3)} ${row("near")}) ${row("far")}) ${int(2)})`;
};
const last = `(i32.sub ${get("width")} ${int(1)})`;

/** Blocks of eight up to the width, the last one over its neighbour where the width is no multiple. */
const blocks = (body: string) => `
  ${set("x", int(0))}
  (loop $block
    ${body}
    ${set("x", `(i32.add ${get("x")} ${int(8)})`)}
    (br_if $block (i32.le_u ${get("x")} (i32.sub ${get("width")} ${int(8)})))
    (if (i32.lt_u ${get("x")} ${get("width")}) (then
      ${set("x", `(i32.sub ${get("width")} ${int(8)})`)}
      (br $block))))`;

/** h2v2_fancy_upsample(cinfo, compptr, input_data, output_data_ptr). */
const upsample = `
(func $upsample (param $cinfo i32) (param $component i32) (param $input i32) (param $output i32)
    (local $width i32) (local $x i32) (local $near i32) (local $far i32) (local $to i32) (local $below i32)
    (local $left i32) (local $this v128)
  ${set("width", `(i32.load offset=40 ${get("component")})`)}
  ${set("left", `(i32.load offset=312 ${get("cinfo")})`)}
  ${set("output", `(i32.load ${get("output")})`)}
  (block $done (loop $row
    (br_if $done (i32.eqz (i32.gt_s ${get("left")} ${int(0)})))
    ${set("near", `(i32.load ${get("input")})`)}
    ${set("far", `(i32.load (i32.add ${get("input")} (i32.sub (i32.shl ${get("below")} ${int(3)}) ${int(4)})))`)}
    ${set("to", `(i32.load ${get("output")})`)}
    ${blocks(`
      ${set("this", columnSums(0))}
      (v128.store (i32.add ${get("to")} (i32.shl ${get("x")} ${int(1)}))
        (i8x16.shuffle 0 16 2 18 4 20 6 22 8 24 10 26 12 28 14 30
          ${interpolated(columnSums(-1), 8)} ${interpolated(columnSums(1), 7)}))`)}
    ;; The first and the last column have no neighbour on one side.
    (i32.store8 ${get("to")} (i32.shr_u (i32.add ${edgeSum(int(0))} ${int(8)}) ${int(4)}))
    (i32.store8 (i32.add ${get("to")} (i32.add ${last} ${get("width")}))
      (i32.shr_u (i32.add ${edgeSum(last)} ${int(7)}) ${int(4)}))
    ${set("input", `(i32.add ${get("input")} (i32.shl ${get("below")} ${int(2)}))`)}
    ${set("below", `(i32.xor ${get("below")} ${int(1)})`)}
    ${set("output", `(i32.add ${get("output")} ${int(4)})`)}
    ${set("left", `(i32.sub ${get("left")} ${int(1)})`)}
    (br $row))))`;

/** Pairs of cb and cr times two weights of 16 bits after the point, rounded. */
const weighed = (cb: number, cr: number) => {
  const weights = all((cr << 16) | (cb & 0xffff));
  const half = (pairs: string) =>
    `(i32x4.shr_s ${add(`(i32x4.dot_i16x8_s ${get(pairs)} ${weights})`, all(2 ** 15))} ${int(16)})`;
  return `(i16x8.narrow_i32x4_s ${half("low")} ${half("high")})`;
};
const sample = (row: string) => `(i16x8.extend_low_i8x16_u (v128.load64_zero (i32.add ${get(row)} ${get("x")})))`;
const rowOf = (component: number) =>
  `(i32.load (i32.add (i32.load offset=${4 * component} ${get("input")}) (i32.shl ${get("row")} ${int(2)})))`;

/**
 * ycc_rgb_convert(cinfo, input_buf, input_row, output_buf, num_rows). Weights beyond 16 bits are one that fits and a
 * whole number: 1.402 = 1 + 0.402, 1.772 = 2 − 0.228, −0.71414 = −1 + 0.28586.
 */
const toRgb = `
(func $toRgb (param $cinfo i32) (param $input i32) (param $row i32) (param $output i32) (param $rows i32)
    (local $width i32) (local $x i32) (local $ys i32) (local $cbs i32) (local $crs i32) (local $to i32)
    ${locals(["y", "cb", "cr", "low", "high", "redGreen", "blue"], "v128")}
  ${set("width", `(i32.load offset=112 ${get("cinfo")})`)}
  (block $done (loop $next
    (br_if $done (i32.eqz (i32.gt_s ${get("rows")} ${int(0)})))
    ${set("ys", rowOf(0))} ${set("cbs", rowOf(1))} ${set("crs", rowOf(2))}
    ${set("to", `(i32.load ${get("output")})`)}
    ${blocks(`
      ${set("y", sample("ys"))}
      ${set("cb", `(i16x8.sub ${sample("cbs")} ${all16(128)})`)}
      ${set("cr", `(i16x8.sub ${sample("crs")} ${all16(128)})`)}
      ${set("low", `(i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 ${get("cb")} ${get("cr")})`)}
      ${set("high", `(i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 ${get("cb")} ${get("cr")})`)}
      ${set(
        "redGreen",
        `(i8x16.narrow_i16x8_u
        (i16x8.add (i16x8.add ${get("y")} ${get("cr")}) ${weighed(0, 26345)})
        (i16x8.add (i16x8.sub ${get("y")} ${get("cr")}) ${weighed(-22554, 18734)}))`,
      )}
      ${set("blue", `(i16x8.add (i16x8.add ${get("y")} (i16x8.add ${get("cb")} ${get("cb")})) ${weighed(-14942, 0)})`)}
      ${set("blue", `(i8x16.narrow_i16x8_u ${get("blue")} ${get("blue")})`)}
      (v128.store (i32.add ${get("to")} (i32.mul ${get("x")} ${int(3)}))
        (i8x16.shuffle 0 8 16 1 9 17 2 10 18 3 11 19 4 12 20 5 ${get("redGreen")} ${get("blue")}))
      (i64.store offset=16 (i32.add ${get("to")} (i32.mul ${get("x")} ${int(3)})) (i64x2.extract_lane 0
        (i8x16.shuffle 13 21 6 14 22 7 15 23 0 0 0 0 0 0 0 0 ${get("redGreen")} ${get("blue")})))`)}
    ${set("row", `(i32.add ${get("row")} ${int(1)})`)}
    ${set("output", `(i32.add ${get("output")} ${int(4)})`)}
    ${set("rows", `(i32.sub ${get("rows")} ${int(1)})`)}
    (br $next))))`;

type TableFunction = (...parameters: number[]) => number;

/** A function of the decoder's table, as `get` gives it. */
export interface FunctionTable {
  get(index: number): TableFunction;
  set(index: number, value: TableFunction): void;
}

/** Where each stands in the table, and the number of the function in the module that it stands for. */
const places = [
  { kernel: "inverseDct", index: 333, instead: "354" },
  { kernel: "upsample", index: 165, instead: "432" },
  { kernel: "toRgb", index: 128, instead: "181" },
  { kernel: "toRgb", index: 152, instead: "181" },
] as const;

/** Narrowest picture that the kernels are for: they make eight columns at once, of chroma as well. */
const LEAST_WIDTH = 32;

let module: object | "none" | undefined;

/**
 * @returns puts the kernels into the table for a picture so wide, or the decoder's own functions; undefined where the
 *   engine has no vector instructions, or the table is another version's
 */
export function jpegKernels(memory: Memory, table: FunctionTable): ((width: number) => void) | undefined {
  if (module === undefined) {
    const bytes = assemble(inverseDct + upsample + toRgb);
    module = wasm.validate(bytes) ? new wasm.Module(bytes) : "none";
  }
  if (module === "none") return undefined;
  // An exported function's name is its number.
  if (places.some(({ index, instead }) => table.get(index).name !== instead)) return undefined;
  const kernels = new wasm.Instance(module, { env: { memory } }).exports as Record<string, TableFunction>;
  const entries = places.map(({ kernel, index }) => ({ index, own: table.get(index), ours: kernels[kernel]! }));
  let installed = false;
  return (width) => {
    if (installed === width >= LEAST_WIDTH) return;
    installed = !installed;
    for (const { index, own, ours } of entries) table.set(index, installed ? ours : own);
  };
}
