// The kernels of a forward pass in WebAssembly's vector instructions, as text. Outputs lie in the lanes, four channels
// a vector and eight a group, so that no sum goes across lanes; a tile is some outputs side by side in a row, for which
// each weight is read once.
//
// Maps are f32 [position][stride], channels padded with zeros to a multiple of eight. Planes are u32 [position][words].
// Weights are [group][tap][element][8]. Tables are of window-table.ts: segments of 24 bytes (input, output, count,
// first run, past the last run, offsets), runs of 20 (input, weight, length, and what a kernel wants of a run), all in
// bytes but count and length.

const SEGMENT = 24;
const RUN = 20;
/** Outputs of a tile. */
const TILE = 4;

const get = (name: string) => `(local.get $${name})`;
const set = (name: string, value: string) => `(local.set $${name} ${value})`;
const add = (name: string, value: string) => set(name, `(i32.add ${get(name)} ${value})`);
const i32 = (value: number) => `(i32.const ${value})`;
const field = (pointer: string, offset: number) => `(i32.load offset=${offset} ${get(pointer)})`;
const zero = `(i32x4.splat (i32.const 0))`;
const all = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join(" ");
const locals = (type: string, names: readonly string[]) => names.map((name) => `(local $${name} ${type})`).join(" ");
/** Each accumulator of a tile of `count` outputs: its index, its output, and its half of the group. */
const each = (count: number, text: (name: string, output: number, half: number) => string) =>
  all(count, (p) => `${text(`${p}0`, p, 0)} ${text(`${p}1`, p, 1)}`);

/** Runs `body` while `condition`; the body changes what the condition reads. */
const repeat = (label: string, condition: string, body: string) => `
(block $${label}Done (loop $${label}
  (br_if $${label}Done (i32.eqz ${condition}))
  ${body}
  (br $${label})))`;

/** Where the outputs of a tile begin: each a stride behind the one before it. */
const spread = (pointer: string, step: string, count: number) =>
  all(count - 1, (p) => set(`${pointer}${p + 1}`, `(i32.add ${get(`${pointer}${p}`)} ${get(step)})`));

interface Tile {
  /** Before the first run. */
  readonly begin: (count: number) => string;
  /** `length` elements from `w` and `x0`…; both may be changed. */
  readonly run: (count: number) => string;
  readonly end: (count: number) => string;
  readonly locals: string;
}

/**
 * name(segments, end, weights, groupBytes, groups, input, output, outputStride, step, coefficients): groups of eight
 * outputs, each for all segments. `step` lies between the inputs of two outputs side by side, in bytes.
 */
function convolution(name: string, { begin, run, end, locals: own }: Tile): string {
  const tile = (count: number) => `
    ${set("y0", get("o"))} ${spread("y", "outputStride", count)}
    ${begin(count)}
    ${set("r", field("s", 12))}
    ${repeat(
      `runs${count}`,
      `(i32.lt_u ${get("r")} ${field("s", 16)})`,
      `
      ${set("w", `(i32.add ${get("weights")} ${field("r", 4)})`)}
      ${set("x0", `(i32.add ${get("a")} ${field("r", 0)})`)} ${spread("x", "step", count)}
      ${set("length", field("r", 8))}
      ${run(count)}
      ${add("r", i32(RUN))}`,
    )}
    ${end(count)}
    ${add("a", `(i32.mul ${get("step")} ${i32(count)})`)}
    ${add("o", `(i32.mul ${get("outputStride")} ${i32(count)})`)}
    ${add("n", i32(-count))}`;
  const parameters = "segments end weights groupBytes groups input output outputStride step coefficients".split(" ");
  const names = ["s", "a", "o", "n", "r", "w", "length", "k", "past"];
  const pointers = Array.from({ length: TILE }, (_, p) => [`x${p}`, `y${p}`]).flat();
  return `
(func $${name} ${parameters.map((parameter) => `(param $${parameter} i32)`).join(" ")}
  ${locals("i32", [...names, ...pointers])} ${own}
  ${repeat(
    "group",
    get("groups"),
    `
    ${set("s", get("segments"))}
    ${repeat(
      "segment",
      `(i32.lt_u ${get("s")} ${get("end")})`,
      `
      ${set("a", `(i32.add ${get("input")} ${field("s", 0)})`)}
      ${set("o", `(i32.add ${get("output")} ${field("s", 4)})`)}
      ${set("n", field("s", 8))}
      ${set("k", `(i32.add ${field("s", 20)} ${get("past")})`)}
      ${repeat("tiles", `(i32.ge_s ${get("n")} ${i32(TILE)})`, tile(TILE))}
      ${repeat("ones", get("n"), tile(1))}
      ${add("s", i32(SEGMENT))}`,
    )}
    ${add("weights", get("groupBytes"))}
    ${add("output", i32(32))} ${add("coefficients", i32(32))} ${add("past", i32(32))}
    ${add("groups", i32(-1))}`,
  )})`;
}

const store = (output: number, half: number, value: string) =>
  `(v128.store offset=${16 * half} ${get(`y${output}`)} ${value})`;
const stored = (output: number, half: number) => `(v128.load offset=${16 * half} ${get(`y${output}`)})`;

/** Loops over `length` elements of four bytes, `unrolled` at a time, then one by one. */
function elements(count: number, unrolled: number, step: (at: number) => string): string {
  const turn = (many: number) => `
    ${all(many, step)}
    ${all(count, (p) => add(`x${p}`, i32(4 * many)))}
    ${add("w", i32(32 * many))} ${add("length", i32(-many))}`;
  return `${repeat(`many${count}`, `(i32.ge_s ${get("length")} ${i32(unrolled)})`, turn(unrolled))}
    ${repeat(`rest${count}`, get("length"), turn(1))}`;
}

const weights = (at: number) =>
  `${set("w0", `(v128.load offset=${32 * at} ${get("w")})`)} ${set("w1", `(v128.load offset=${32 * at + 16} ${get("w")})`)}`;
const splat = (output: number, at: number) => `(v128.load32_splat offset=${4 * at} ${get(`x${output}`)})`;
const accumulators = (letter: string) => Array.from({ length: 2 * TILE }, (_, i) => `${letter}${i >> 1}${i & 1}`);

/** Sums of products of floats. `multiplyAdd(sum, a, b)` is how. */
function floats(multiplyAdd: (sum: string, a: string, b: string) => string): string {
  return convolution("floats", {
    locals: locals("v128", [...accumulators("f"), "w0", "w1", "v"]),
    begin: (count) => each(count, (i) => set(`f${i}`, zero)),
    run: (count) =>
      elements(
        count,
        4,
        (at) =>
          `${weights(at)} ${all(
            count,
            (p) => `${set("v", splat(p, at))}
          ${set(`f${p}0`, multiplyAdd(get(`f${p}0`), get("v"), get("w0")))}
          ${set(`f${p}1`, multiplyAdd(get(`f${p}1`), get("v"), get("w1")))}`,
          )}`,
      ),
    end: (count) => each(count, (i, p, half) => store(p, half, get(`f${i}`))),
  });
}

const counted = (count: number, operation: "xor" | "and") =>
  elements(
    count,
    2,
    (at) =>
      `${weights(at)} ${all(
        count,
        (p) => `${set("v", splat(p, at))}
      ${all(2, (half) =>
        set(
          `b${p}${half}`,
          `(i8x16.add ${get(`b${p}${half}`)} (i8x16.popcnt (v128.${operation} ${get("v")} ${get(`w${half}`)})))`,
        ),
      )}`,
      )}`,
  );
/** Counts of bytes added to those of the words that they are of. */
const widened = (i: string) => `(i32x4.extadd_pairwise_i16x8_u (i16x8.extadd_pairwise_i8x16_u ${get(`b${i}`)}))`;
const clearCounts = (count: number) => each(count, (i) => set(`b${i}`, zero));

/** coefficient · (offset − 2 · count), in place of what is there or added to it. A run says whether counts are due. */
function bits(operation: "xor" | "and", more: boolean): string {
  return convolution(bitsKernel(operation, more), {
    locals: locals("v128", [...accumulators("b"), ...accumulators("c"), "w0", "w1", "v"]),
    begin: (count) => `${clearCounts(count)} ${each(count, (i) => set(`c${i}`, zero))}`,
    run: (count) => `${counted(count, operation)}
      (if ${field("r", 12)} (then
        ${each(count, (i) => set(`c${i}`, `(i32x4.add ${get(`c${i}`)} ${widened(i)})`))}
        ${clearCounts(count)}))`,
    end: (count) =>
      each(count, (i, p, half) => {
        const whole = `(f32x4.sub (v128.load offset=${16 * half} ${get("k")})
          (f32x4.convert_i32x4_s (i32x4.shl ${get(`c${i}`)} (i32.const 1))))`;
        const worth = `(f32x4.mul ${whole} (v128.load offset=${16 * half} ${get("coefficients")}))`;
        return store(p, half, more ? `(f32x4.add ${stored(p, half)} ${worth})` : worth);
      }),
  });
}

/** Σ over runs of scale · (count − half): a run is a tap, or a part of one. */
const taps = convolution("taps", {
  locals: locals("v128", [...accumulators("b"), ...accumulators("f"), "w0", "w1", "v", "scale", "half"]),
  begin: (count) => each(count, (i) => set(`f${i}`, zero)),
  run: (count) => `${clearCounts(count)} ${counted(count, "xor")}
    ${set("scale", `(v128.load32_splat offset=12 ${get("r")})`)} ${set("half", `(v128.load32_splat offset=16 ${get("r")})`)}
    ${each(count, (i) =>
      set(
        `f${i}`,
        `(f32x4.add ${get(`f${i}`)} (f32x4.mul ${get("scale")} (f32x4.sub (f32x4.convert_i32x4_s ${widened(i)}) ${get("half")})))`,
      ),
    )}`,
  end: (count) => each(count, (i, p, half) => store(p, half, get(`f${i}`))),
});

/** What a tail has beside scale and bias. */
export interface TailParts {
  readonly factors: boolean;
  readonly add: boolean;
  readonly activation: "none" | "slope" | "clip";
}

export function tailKernel({ factors, add: sum, activation }: TailParts): string {
  return `tail${factors ? "Factors" : ""}${sum ? "Add" : ""}${activation === "none" ? "" : activation}`;
}

/**
 * (input, output, positions, stride bytes, scale, bias, add, slope, factors): program.ts's tail, position by position.
 */
function tail(parts: TailParts): string {
  const parameters = "input output positions stride scale bias add slope factors".split(" ");
  const at = (pointer: string) => `(v128.load (i32.add ${get(pointer)} ${get("c")}))`;
  const x = parts.factors ? `(f32x4.mul ${get("x")} ${get("factor")})` : get("x");
  const one = "(f32x4.splat (f32.const 1))";
  const activation = {
    none: "",
    slope: set(
      "x",
      `(v128.bitselect ${get("x")} (f32x4.mul ${get("x")} ${at("slope")}) (f32x4.gt ${get("x")} ${zero}))`,
    ),
    clip: set("x", `(f32x4.pmax (f32x4.pmin ${get("x")} ${one}) (f32x4.splat (f32.const -1)))`),
  }[parts.activation];
  return `
(func $${tailKernel(parts)} ${parameters.map((name) => `(param $${name} i32)`).join(" ")}
  (local $c i32) (local $x v128) (local $factor v128)
  ${repeat(
    "position",
    get("positions"),
    `
    ${parts.factors ? set("factor", `(v128.load32_splat ${get("factors")})`) : ""}
    ${set("c", i32(0))}
    (loop $vector
      ${set("x", at("input"))}
      ${set("x", `(f32x4.add (f32x4.mul ${x} ${at("scale")}) ${at("bias")})`)}
      ${parts.add ? set("x", `(f32x4.add ${get("x")} ${at("add")})`) : ""}
      ${activation}
      (v128.store (i32.add ${get("output")} ${get("c")}) ${get("x")})
      ${add("c", i32(16))}
      (br_if $vector (i32.lt_u ${get("c")} ${get("stride")})))
    ${["input", "output", ...(parts.add ? ["add"] : [])].map((name) => add(name, get("stride"))).join(" ")}
    ${parts.factors ? add("factors", i32(4)) : ""}
    ${add("positions", i32(-1))}`,
  )})`;
}

export type PlaneRule = "sign" | "bits" | "bases";

/** A vector whose negative lanes are set bits, of the map's vector `x`; `value` and `shift` are the rule's. */
const marks: Readonly<Record<PlaneRule, (x: string) => string>> = {
  sign: (x) => `(f32x4.lt ${x} ${zero})`,
  bits: (x) => `(i32x4.shl (i32x4.trunc_sat_f32x4_s ${levelOf(x)}) ${get("shift")})`,
  bases: (x) => `(f32x4.lt (f32x4.add ${x} (f32x4.splat ${get("value")})) (f32x4.splat (f32.const 0.5)))`,
};
/** round(clip(x, 0, 1) · value), ties to even. */
const levelOf = (x: string) => `(f32x4.nearest (f32x4.mul (f32x4.splat ${get("value")})
  (f32x4.pmax (f32x4.pmin ${x} (f32x4.splat (f32.const 1))) ${zero})))`;

/**
 * pack(input, output, positions, stride bytes, words, mask of the last word, value, shift): a plane. Lanes past the map
 * are read and masked.
 */
function pack(rule: PlaneRule): string {
  const parameters = "input output positions stride words mask".split(" ");
  const mark = (at: number) => marks[rule](`(v128.load offset=${16 * at} ${get("x")})`);
  const half = (from: number) => `(i8x16.bitmask (i8x16.narrow_i16x8_s
    (i16x8.narrow_i32x4_s ${mark(from)} ${mark(from + 1)}) (i16x8.narrow_i32x4_s ${mark(from + 2)} ${mark(from + 3)})))`;
  return `
(func $${packKernel(rule)} ${parameters.map((name) => `(param $${name} i32)`).join(" ")} (param $value f32) (param $shift i32)
  (local $x i32) (local $n i32) (local $word i32)
  ${repeat(
    "position",
    get("positions"),
    `
    ${set("x", get("input"))} ${set("n", get("words"))}
    (loop $words
      ${set("word", `(i32.or ${half(0)} (i32.shl ${half(4)} (i32.const 16)))`)}
      ${add("n", i32(-1))}
      (if (i32.eqz ${get("n")}) (then ${set("word", `(i32.and ${get("word")} ${get("mask")})`)}))
      (i32.store ${get("output")} ${get("word")})
      ${add("output", i32(4))} ${add("x", i32(128))}
      (br_if $words ${get("n")}))
    ${add("input", get("stride"))} ${add("positions", i32(-1))}`,
  )})`;
}

/** quantise(input, output, vectors, value, step, first): numbers in place of planes; a base adds to what is there. */
function numbers(rule: PlaneRule): string {
  const x = `(v128.load ${get("input")})`;
  const negative = (name: string) => `(f32x4.neg ${name})`;
  const scale = `(f32x4.splat ${get("scale")})`;
  const signed = `(v128.bitselect ${negative(scale)} ${scale} ${marks[rule](x)})`;
  const value = {
    sign: signed,
    bits: `(f32x4.mul ${levelOf(x)} ${scale})`,
    bases: `(f32x4.add (v128.load ${get("output")}) ${signed})`,
  }[rule];
  return `
(func $${numbersKernel(rule)} (param $input i32) (param $output i32) (param $vectors i32) (param $value f32) (param $scale f32)
  ${repeat(
    "vector",
    get("vectors"),
    `(v128.store ${get("output")} ${value})
    ${add("input", i32(16))} ${add("output", i32(16))} ${add("vectors", i32(-1))}`,
  )})`;
}

/** pool(segments, end, input, output, stride bytes, step, scale): runs are taps; of `avg` the sum, scaled. */
function pool(kind: "max" | "avg"): string {
  const parameters = "segments end input output stride step".split(" ");
  const x = `(v128.load (i32.add (i32.add ${get("a")} ${field("r", 0)}) ${get("c")}))`;
  const first = kind === "max" ? "(f32x4.splat (f32.const -3.4028234663852886e38))" : zero;
  return `
(func $${poolKernel(kind)} ${parameters.map((name) => `(param $${name} i32)`).join(" ")} (param $scale f32)
  ${locals("i32", ["a", "c", "r", "n", "o"])} (local $y v128)
  ${repeat(
    "segment",
    `(i32.lt_u ${get("segments")} ${get("end")})`,
    `
    ${set("a", `(i32.add ${get("input")} ${field("segments", 0)})`)}
    ${set("o", `(i32.add ${get("output")} ${field("segments", 4)})`)}
    ${set("n", field("segments", 8))}
    ${repeat(
      "position",
      get("n"),
      `
      ${set("c", i32(0))}
      (loop $vector
        ${set("y", first)} ${set("r", field("segments", 12))}
        ${repeat(
          "taps",
          `(i32.lt_u ${get("r")} ${field("segments", 16)})`,
          `${set("y", kind === "max" ? `(f32x4.pmax ${get("y")} ${x})` : `(f32x4.add ${get("y")} ${x})`)} ${add("r", i32(RUN))}`,
        )}
        (v128.store (i32.add ${get("o")} ${get("c")}) ${kind === "max" ? get("y") : `(f32x4.mul ${get("y")} (f32x4.splat ${get("scale")}))`})
        ${add("c", i32(16))}
        (br_if $vector (i32.lt_u ${get("c")} ${get("stride")})))
      ${add("a", get("step"))} ${add("o", get("stride"))} ${add("n", i32(-1))}`,
    )}
    ${add("segments", i32(SEGMENT))}`,
  )})`;
}

/** magnitudes(input, output, positions, stride bytes): the sum over channels of |x|. */
const magnitudes = `
(func $magnitudes (param $input i32) (param $output i32) (param $positions i32) (param $stride i32)
  (local $c i32) (local $y v128)
  ${repeat(
    "position",
    get("positions"),
    `
    ${set("c", i32(0))} ${set("y", zero)}
    (loop $vector
      ${set("y", `(f32x4.add ${get("y")} (f32x4.abs (v128.load (i32.add ${get("input")} ${get("c")}))))`)}
      ${add("c", i32(16))}
      (br_if $vector (i32.lt_u ${get("c")} ${get("stride")})))
    (f32.store ${get("output")} (f32.add
      (f32.add (f32x4.extract_lane 0 ${get("y")}) (f32x4.extract_lane 1 ${get("y")}))
      (f32.add (f32x4.extract_lane 2 ${get("y")}) (f32x4.extract_lane 3 ${get("y")}))))
    ${add("input", get("stride"))} ${add("output", i32(4))} ${add("positions", i32(-1))}`,
  )})`;

/**
 * box(segments, end, input, output, stride bytes, step, scale): the sum of a plane of floats under each window, scaled.
 */
const box = `
(func $box ${["segments", "end", "input", "output", "stride", "step"].map((name) => `(param $${name} i32)`).join(" ")} (param $scale f32)
  ${locals("i32", ["a", "r", "n", "o"])} (local $y f32)
  ${repeat(
    "segment",
    `(i32.lt_u ${get("segments")} ${get("end")})`,
    `
    ${set("a", `(i32.add ${get("input")} ${field("segments", 0)})`)}
    ${set("o", `(i32.add ${get("output")} ${field("segments", 4)})`)}
    ${set("n", field("segments", 8))}
    ${repeat(
      "position",
      get("n"),
      `
      ${set("y", "(f32.const 0)")} ${set("r", field("segments", 12))}
      ${repeat(
        "taps",
        `(i32.lt_u ${get("r")} ${field("segments", 16)})`,
        `${set("y", `(f32.add ${get("y")} (f32.load (i32.add ${get("a")} ${field("r", 0)})))`)} ${add("r", i32(RUN))}`,
      )}
      (f32.store ${get("o")} (f32.mul ${get("y")} ${get("scale")}))
      ${add("a", get("step"))} ${add("o", get("stride"))} ${add("n", i32(-1))}`,
    )}
    ${add("segments", i32(SEGMENT))}`,
  )})`;

export const bitsKernel = (operation: "xor" | "and", more: boolean) => `${operation}${more ? "More" : ""}`;
export const packKernel = (rule: PlaneRule) => `pack_${rule}`;
export const numbersKernel = (rule: PlaneRule) => `numbers_${rule}`;
export const poolKernel = (kind: "max" | "avg") => `pool_${kind}`;

const rules = ["sign", "bits", "bases"] as const;
const exact = (sum: string, a: string, b: string) => `(f32x4.add ${sum} (f32x4.mul ${a} ${b}))`;

/** Every kernel by its name. */
const texts: ReadonlyMap<string, () => string> = new Map<string, () => string>([
  ["floats", () => floats(exact)],
  ["taps", () => taps],
  ["magnitudes", () => magnitudes],
  ["box", () => box],
  ...(["xor", "and"] as const).flatMap((operation) =>
    [false, true].map((more) => [bitsKernel(operation, more), () => bits(operation, more)] as const),
  ),
  ...rules.map((rule) => [packKernel(rule), () => pack(rule)] as const),
  ...rules.map((rule) => [numbersKernel(rule), () => numbers(rule)] as const),
  ...(["max", "avg"] as const).map((kind) => [poolKernel(kind), () => pool(kind)] as const),
  ...[false, true].flatMap((factors) =>
    [false, true].flatMap((sum) =>
      (["none", "slope", "clip"] as const).map((activation) => {
        const parts = { factors, add: sum, activation };
        return [tailKernel(parts), () => tail(parts)] as const;
      }),
    ),
  ),
]);

/** The text of a module with these kernels. */
export function kernelText(names: Iterable<string>): string {
  return [...new Set(names)].map((name) => texts.get(name)!()).join("\n");
}
