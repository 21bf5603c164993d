// A response map in the finer grid in which its peak is looked for: bicubic with a = -0.75, half-pixel centres, the
// border repeated, as OpenCV and PyTorch do it.

/** Of the cubic convolution kernel (Keys, 1981). */
const A = -0.75;
const TAPS = 4;

/** Weights of the four neighbours of a place that lies `t` behind the second of them. */
function cubicWeights(t: number): readonly number[] {
  const near = (x: number) => ((A + 2) * x - (A + 3)) * x * x + 1;
  const far = (x: number) => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

interface Neighbours {
  /** [places][4] */
  readonly index: Int32Array;
  readonly weight: Float64Array;
}

function neighbours(length: number, up: number): Neighbours {
  const places = length * up;
  const index = new Int32Array(places * TAPS);
  const weight = new Float64Array(places * TAPS);
  for (let i = 0; i < places; i++) {
    const at = (i + 0.5) / up - 0.5;
    const before = Math.floor(at);
    for (const [tap, value] of cubicWeights(at - before).entries()) {
      index[i * TAPS + tap] = Math.min(length - 1, Math.max(0, before - 1 + tap));
      weight[i * TAPS + tap] = value;
    }
  }
  return { index, weight };
}

/** Of the maps of a film, which are all of one size. */
const known = new Map<string, Neighbours>();
/** Sizes that are remembered. */
const MOST_KNOWN = 8;

function knownNeighbours(length: number, up: number): Neighbours {
  const key = `${length} ${up}`;
  let found = known.get(key);
  if (!found) {
    if (known.size >= MOST_KNOWN) known.clear();
    found = neighbours(length, up);
    known.set(key, found);
  }
  return found;
}

/**
 * One map [h][w] as [h · up][w · up].
 * @param up a whole number from 1 on
 * @param from where the map begins in what is given
 */
export function upsampled(map: ArrayLike<number>, h: number, w: number, up: number, from = 0): Float64Array {
  const [columns, rows] = [knownNeighbours(w, up), knownNeighbours(h, up)];
  const [wide, high] = [w * up, h * up];
  const between = new Float64Array(h * wide);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < wide; x++) {
      let sum = 0;
      for (let tap = x * TAPS; tap < (x + 1) * TAPS; tap++)
        sum += columns.weight[tap]! * map[from + y * w + columns.index[tap]!]!;
      between[y * wide + x] = sum;
    }
  }
  const result = new Float64Array(high * wide);
  for (let y = 0; y < high; y++) {
    const tap = y * TAPS;
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => rows.index[tap + i]! * wide) as [number, number, number, number];
    const [wa, wb, wc, wd] = rows.weight.subarray(tap, tap + TAPS) as unknown as [number, number, number, number];
    const to = y * wide;
    for (let x = 0; x < wide; x++) {
      result[to + x] = wa * between[a + x]! + wb * between[b + x]! + wc * between[c + x]! + wd * between[d + x]!;
    }
  }
  return result;
}
