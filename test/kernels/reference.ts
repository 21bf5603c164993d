// The oracle: every operation in float64 with plain loops, written from the definitions and not from the kernels.
import { type Rectify, rectifyShape } from "../../shared/model/rectify.ts";
import { groupCount, outputHeight, outputWidth, signWords, type WindowShape } from "../../shared/model/window.ts";

/** A value with the number of terms summed and the greatest |term|, from which its rounding bound follows. */
export interface Sums {
  readonly values: Float64Array;
  /** Terms in a sum, at most. */
  readonly terms: number;
  /** Greatest product of two factors. */
  readonly greatest: number;
}

type Visit = (y: number, x: number, w: number, inputChannel: number, tap: number, out: number) => void;

/**
 * Every multiply of a convolution: flat indices of y [n][oh][ow][group][out], x [n][h][w][group][in] and w
 * [group][out][kh][kw][in].
 */
export function eachProduct(s: WindowShape, visit: Visit): void {
  const oh = outputHeight(s);
  const ow = outputWidth(s);
  const groups = groupCount(s);
  for (let n = 0; n < s.n; n++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let ky = 0; ky < s.kernel; ky++) {
          const iy = oy * s.stride + ky - s.padding;
          if (iy < 0 || iy >= s.h) continue;
          for (let kx = 0; kx < s.kernel; kx++) {
            const ix = ox * s.stride + kx - s.padding;
            if (ix < 0 || ix >= s.w) continue;
            const tap = ky * s.kernel + kx;
            for (let g = 0; g < groups; g++) {
              const pixel = (((n * s.h + iy) * s.w + ix) * groups + g) * s.in;
              const outputs = (((n * oh + oy) * ow + ox) * groups + g) * s.out;
              for (let o = 0; o < s.out; o++) {
                const plane = ((g * s.out + o) * s.kernel * s.kernel + tap) * s.in;
                for (let i = 0; i < s.in; i++) visit(outputs + o, pixel + i, plane + i, i, tap, g * s.out + o);
              }
            }
          }
        }
      }
    }
  }
}

/** Σ a·b over the products of a convolution, into the y, x or w side. */
function sums(
  s: WindowShape,
  size: number,
  pick: (y: number, x: number, w: number) => readonly [number, number, number],
): Sums {
  const values = new Float64Array(size);
  const counts = new Uint32Array(size);
  let greatest = 0;
  eachProduct(s, (y, x, w) => {
    const [to, a, b] = pick(y, x, w);
    values[to]! += a * b;
    counts[to]! += 1;
    greatest = Math.max(greatest, Math.abs(a * b));
  });
  return { values, terms: counts.reduce((a, b) => Math.max(a, b), 1), greatest };
}

/** Outputs of all groups. */
export function outputsOf(s: WindowShape): number {
  return groupCount(s) * s.out;
}

export function outputSize(s: WindowShape): number {
  return s.n * outputHeight(s) * outputWidth(s) * outputsOf(s);
}

export function inputSize(s: WindowShape): number {
  return s.n * s.h * s.w * groupCount(s) * s.in;
}

export function weightSize(s: WindowShape): number {
  return outputsOf(s) * s.kernel * s.kernel * s.in;
}

export function convolution(s: WindowShape, x: ArrayLike<number>, w: ArrayLike<number>): Sums {
  return sums(s, outputSize(s), (y, i, j) => [y, x[i]!, w[j]!]);
}

export function inputGradient(s: WindowShape, dy: ArrayLike<number>, w: ArrayLike<number>): Sums {
  return sums(s, inputSize(s), (y, i, j) => [i, dy[y]!, w[j]!]);
}

export function weightGradient(s: WindowShape, dy: ArrayLike<number>, x: ArrayLike<number>): Sums {
  return sums(s, weightSize(s), (y, i, j) => [j, dy[y]!, x[i]!]);
}

/** ±1 with sign(±0) = +1. */
export function sign(v: number): number {
  return v < 0 ? -1 : 1;
}

/** Sign planes along the last axis, as methods/README.md and shared/model/window.ts define them. */
export function signPlanes(x: ArrayLike<number>, rows: number, channels: number): Uint32Array<ArrayBuffer> {
  const words = signWords(channels);
  const planes = new Uint32Array(rows * words);
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < channels; channel++) {
      if (x[row * channels + channel]! < 0) planes[row * words + (channel >> 5)]! |= 1 << (channel & 31);
    }
  }
  return planes;
}

/** The entry of C that scales weight `index` of [out][kh][kw][in]. */
export function scaleIndex(s: WindowShape, rectify: Rectify, index: number): number {
  const [out, height, width, input] = rectifyShape(rectify, outputsOf(s), s.kernel, s.in);
  const i = index % s.in;
  const kx = Math.floor(index / s.in) % s.kernel;
  const ky = Math.floor(index / (s.in * s.kernel)) % s.kernel;
  const o = Math.floor(index / (s.in * s.kernel * s.kernel));
  return (
    (((out === 1 ? 0 : o) * height + (height === 1 ? 0 : ky)) * width + (width === 1 ? 0 : kx)) * input +
    (input === 1 ? 0 : i)
  );
}

/** sign(w)·C as floats. */
export function rectified(s: WindowShape, rectify: Rectify, w: ArrayLike<number>, c: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: weightSize(s) }, (_, i) => sign(w[i]!) * c[scaleIndex(s, rectify, i)]!);
}
