// How the outputs of a resize are made of inputs along one axis: Pillow's bilinear with antialiasing, in weights of 22
// bits (libImaging/Resample.c).

/** Some neighbouring outputs of one axis. */
export interface Taps {
  /** Of each output, its first input. */
  readonly start: Int32Array;
  /** Of each output, how many inputs it is made of. */
  readonly count: Int32Array;
  /** `most` of each output; 2^22 together, but for rounding. */
  readonly weights: Int32Array;
  readonly most: number;
}

export const WEIGHT_BITS = 22;
export const ONE = 2 ** WEIGHT_BITS;

/** A triangle as wide as an output's share of the inputs, or one input on either side where that is less. */
function makeTaps(inputs: number, outputs: number, first: number, count: number): Taps {
  const scale = inputs / outputs;
  const support = Math.max(1, scale);
  const most = Math.ceil(support) * 2 + 1;
  const taps = {
    start: new Int32Array(count),
    count: new Int32Array(count),
    weights: new Int32Array(count * most),
    most,
  };
  const shares = new Float64Array(most);
  const narrow = 1 / support;
  for (let o = 0; o < count; o++) {
    const centre = (first + o + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const high = Math.min(inputs, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let i = low; i < high; i++) {
      const share = Math.max(0, 1 - Math.abs((i - centre + 0.5) * narrow));
      shares[i - low] = share;
      sum += share;
    }
    // What weighs nothing at the ends is left out: it adds nothing, and a picture of its own size has one tap each.
    let begin = low;
    let end = high;
    const weigh = (i: number) => Math.trunc(0.5 + (shares[i - low]! / sum) * ONE);
    while (begin < end - 1 && weigh(begin) === 0) begin += 1;
    while (end > begin + 1 && weigh(end - 1) === 0) end -= 1;
    taps.start[o] = begin;
    taps.count[o] = end - begin;
    for (let i = begin; i < end; i++) taps.weights[o * most + i - begin] = weigh(i);
  }
  return taps;
}

/** Taps are the same for all pictures of a size, and crops have few sizes: made once, up to so many. */
const KEPT_TAPS = 1024;
/** Of outputs that are kept; a row of 65,500 pixels has a megabyte of taps. */
const KEPT_OUTPUTS = 1024;
const kept = new Map<string, Taps>();

/** Of outputs [first, first + count) of `outputs` that are made of `inputs`. */
export function tapsOf(inputs: number, outputs: number, first: number, count: number): Taps {
  if (count > KEPT_OUTPUTS) return makeTaps(inputs, outputs, first, count);
  const key = `${inputs} ${outputs} ${first} ${count}`;
  let taps = kept.get(key);
  if (taps === undefined) {
    taps = makeTaps(inputs, outputs, first, count);
    if (kept.size >= KEPT_TAPS) kept.clear();
    kept.set(key, taps);
  }
  return taps;
}
